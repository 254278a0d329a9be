// SPDX-License-Identifier: Apache-2.0
// pytorch_model.bin: a zip archive with data.pkl, which describes tensors, and one entry of raw
// bytes for each of their storages. Joins the two: what the pickle says must fit what the archive
// holds, and a tensor is used where it lies.
#include <stdio.h>

#include "format/pickle.h"
#include "format/tensors.h"
#include "format/zip.h"

// The archive's folder ("archive/", "pytorch_model/") and its entries.
typedef struct archive {
    const wb_source *source;
    wb_zip zip;
    const char *folder;  // [folder_bytes] with its slash
    size_t folder_bytes;
} archive;

// Whether the file begins with these bytes.
static bool starts_with(const wb_source *source, const char *bytes, size_t n_bytes) {
    return source->n_bytes >= n_bytes && memcmp(source->data, bytes, n_bytes) == 0;
}

// Files that are no zip archive but that people do have, by name.
static wb_status refuse_others(const wb_source *source, wb_error *err) {
    // A pickled magic number, 0x1950a86a20f9469cfc6c: torch.save before version 1.6.
    static const char legacy[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    if (wb_source_is_lfs_pointer(source))
        return wb_fail(err, WB_ERR_FORMAT, 0,
                       "%s: is a Git LFS pointer, fetch the file itself with git lfs pull",
                       source->name);
    if (starts_with(source, legacy, sizeof legacy - 1))
        return wb_fail(
            err, WB_ERR_FORMAT, 0,
            "%s: written by a PyTorch before 1.6, save it again with torch.save(torch.load"
            "(..)) of a newer one",
            source->name);
    return WB_OK;
}

// "folder/" + name; NULL where there is none, or where the name is too long for any.
static const wb_zip_entry *find_entry(const archive *a, const char *name, size_t name_bytes) {
    char path[512];
    if (name_bytes > sizeof path || a->folder_bytes > sizeof path - name_bytes) return NULL;
    memcpy(path, a->folder, a->folder_bytes);
    memcpy(path + a->folder_bytes, name, name_bytes);
    return wb_zip_find(&a->zip, path, a->folder_bytes + name_bytes);
}

// The entry FOLDER/data.pkl; its folder is the archive's.
static wb_status find_pickle(archive *a, const wb_zip_entry **pickle, wb_error *err) {
    static const char end[] = "/data.pkl";
    const size_t end_bytes = sizeof end - 1;
    *pickle = NULL;
    for (size_t i = 0; i < a->zip.n; i++) {
        const wb_zip_entry *entry = &a->zip.entries[i];
        if (entry->name_bytes <= end_bytes) continue;
        const size_t folder = entry->name_bytes - end_bytes;
        if (memcmp(entry->name + folder, end, end_bytes) != 0 || memchr(entry->name, '/', folder))
            continue;
        if (*pickle)
            return wb_fail(err, WB_ERR_FORMAT, entry->header, "%s: has two data.pkl",
                           a->source->name);
        *pickle = entry;
        a->folder = entry->name;
        a->folder_bytes = folder + 1;
    }
    if (!*pickle)
        return wb_fail(err, WB_ERR_FORMAT, 0,
                       "%s: a zip archive without data.pkl, not torch.save's", a->source->name);
    if (find_entry(a, "constants.pkl", strlen("constants.pkl")))
        return wb_fail(err, WB_ERR_FORMAT, 0,
                       "%s: a TorchScript program, save model.state_dict() instead",
                       a->source->name);
    return WB_OK;
}

// Tensors are used where they lie, so their bytes must be in this machine's order; every machine
// this program runs on is little-endian.
static wb_status check_byte_order(const archive *a, wb_error *err) {
    static const char little[] = "little";
    const wb_zip_entry *entry = find_entry(a, "byteorder", strlen("byteorder"));
    if (!entry) return WB_OK;  // before PyTorch 2.1
    if (entry->n_bytes == sizeof little - 1 &&
        memcmp(a->source->data + entry->first, little, sizeof little - 1) == 0)
        return WB_OK;
    return wb_fail(
        err, WB_ERR_FORMAT, entry->first,
        "%s: its byte order is not little-endian, save it again on a little-endian machine",
        a->source->name);
}

// Row after row without gaps; a dimension of 1 may have any stride, since it takes no step.
static bool is_contiguous(const wb_pickle_tensor *tensor) {
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != expected) return false;
        if (__builtin_mul_overflow(expected, tensor->shape[i], &expected)) return false;
    }
    return true;
}

// The offset of such an error is that of the tensor's name in the pickle.
static wb_status fail_tensor(const archive *a, const wb_tensor *tensor, size_t name_bytes,
                             const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, (uint64_t)(tensor->name - (const char *)a->source->data),
                   "%s: tensor %.*s %s", a->source->name, name_bytes < 160 ? (int)name_bytes : 160,
                   tensor->name, what);
}

// Three statements about one storage must agree: its size in the archive, its length in the pickle,
// and how far the tensor reaches. Several tensors may share one (tied weights do).
static wb_status add_tensor(const archive *a, wb_tensors *table, wb_span name,
                            const wb_pickle_tensor *described, wb_error *err) {
    const char *text = (const char *)a->source->data;
    wb_tensor tensor = {
        .name = text + name.first, .dtype = described->dtype->dtype, .rank = described->rank};
    memcpy(tensor.shape, described->shape, sizeof tensor.shape);

    // torch numbers storages, so a key has a handful of digits.
    char path[64] = "data/";
    const size_t start = strlen(path);
    if (described->storage.n_bytes > sizeof path - start)
        return fail_tensor(a, &tensor, name.n_bytes,
                           "lies in a storage of no legal name, download it again", err);
    memcpy(path + start, text + described->storage.first, described->storage.n_bytes);
    const wb_zip_entry *storage = find_entry(a, path, start + described->storage.n_bytes);
    if (!storage)
        return fail_tensor(a, &tensor, name.n_bytes,
                           "lies in a storage that is not there, download it again", err);

    const uint64_t element = (uint64_t)described->dtype->element_bytes;
    uint64_t n_elements, end, storage_bytes;
    if (described->storage_elements < 0 ||
        __builtin_mul_overflow((uint64_t)described->storage_elements, element, &storage_bytes) ||
        storage_bytes != storage->n_bytes)
        return fail_tensor(a, &tensor, name.n_bytes,
                           "has a storage of another size than it says, download it again", err);
    if (!wb_shape_elements(described->shape, described->rank, &n_elements) ||
        described->first < 0 ||
        __builtin_add_overflow((uint64_t)described->first, n_elements, &end) ||
        end > (uint64_t)described->storage_elements)
        return fail_tensor(a, &tensor, name.n_bytes,
                           "reaches beyond its storage, download it again", err);
    if (n_elements > 1 && !is_contiguous(described))
        return fail_tensor(a, &tensor, name.n_bytes,
                           "is a strided view, save it again after .contiguous()", err);
    tensor.data = a->source->data + storage->first + (uint64_t)described->first * element;
    tensor.n_bytes = (size_t)(n_elements * element);
    return wb_tensors_add(table, &tensor, name.n_bytes, a->source, err);
}

// The pickle's arrays live only until the tensors are in the table.
static wb_status read_archive(archive *a, wb_tensors *table, wb_error *err) {
    const wb_zip_entry *entry;
    wb_pickle pickle = {0};
    wb_status status = find_pickle(a, &entry, err);
    if (!status) status = check_byte_order(a, err);
    if (!status) status = wb_pickle_open(&pickle, a->source, entry->first, entry->n_bytes, err);
    for (size_t i = 0; !status && i < pickle.n_items; i++)
        status = add_tensor(a, table, pickle.items[i].name, &pickle.tensors[pickle.items[i].tensor],
                            err);
    wb_pickle_close(&pickle);
    return status;
}

wb_status wb_torch_parse(wb_tensors *table, const wb_source *source, wb_error *err) {
    archive a = {.source = source};
    wb_status status = refuse_others(source, err);
    if (!status) status = wb_zip_open(&a.zip, source, err);
    if (!status) status = read_archive(&a, table, err);
    wb_zip_close(&a.zip);
    return status;
}
