// SPDX-License-Identifier: Apache-2.0
// A model folder: config.json and the weights, in one file or in shards. Files stay mapped for the
// life of the checkpoint, since tensors point into them; everything else is checked here once.
#include "format/checkpoint.h"

#include <stdio.h>

#include "format/config.h"
#include "format/index.h"
#include "format/inventory.h"
#include "format/source.h"
#include "format/tensors.h"

enum { PATH_BYTES = 4096, SHOWN_BYTES = 200 };

// Appends the tensors of one whole file.
typedef wb_status weights_parser(wb_tensors *table, const wb_source *source, wb_error *err);

// A weights file by its name, in transformers' order of preference.
typedef struct weights_form {
    const char *name;
    weights_parser *parse;
    bool is_index;
} weights_form;

static const weights_form forms[] = {
    {"model.safetensors", wb_safetensors_parse, false},
    {"model.safetensors.index.json", wb_safetensors_parse, true},
    {"pytorch_model.bin", wb_torch_parse, false},
    {"pytorch_model.bin.index.json", wb_torch_parse, true},
};

struct wb_checkpoint {
    wb_config config;
    char config_sha256[WB_SHA256_TEXT];
    const weights_form *form;
    char path[PATH_BYTES];  // of the form's file
    wb_tensors tensors;
    wb_file *files;  // [n_files] mapped weights
    int n_files;
};

// What errors call a file. A message has room for 511 bytes: of a long path the end tells more than
// the start.
static const char *shown(const char *path) {
    const size_t length = strlen(path);
    return path + (length > SHOWN_BYTES ? length - SHOWN_BYTES : 0);
}

// A mapped file of the folder.
typedef struct opened {
    char path[PATH_BYTES];
    wb_file file;
    wb_source source;
} opened;

static wb_status open_file(opened *o, const char *dir, const char *name, wb_error *err) {
    o->file = (wb_file){0};
    if (!wb_path_join(o->path, sizeof o->path, dir, name))
        return wb_fail(err, WB_ERR_IO, 0, "%.64s..: the path is too long", dir);
    const wb_status status = wb_file_map(&o->file, o->path, err);
    o->source =
        (wb_source){.data = o->file.data, .n_bytes = o->file.n_bytes, .name = shown(o->path)};
    return status;
}

// Nothing of config.json is kept but numbers, labels and its hash, so its mapping ends here.
static wb_status read_config(wb_checkpoint *c, const char *dir, wb_error *err) {
    opened o;
    wb_status status = open_file(&o, dir, "config.json", err);
    if (!status) status = wb_config_parse(&c->config, &o.source, err);
    wb_sha256 hash;
    wb_sha256_init(&hash);
    wb_sha256_add(&hash, o.file.data, o.file.n_bytes);
    wb_sha256_text(&hash, c->config_sha256);
    wb_file_close(&o.file);
    return status;
}

// A file that is there is used, even if another would open where it does not: a broken download
// should not be hidden by an older file beside it.
static wb_status find_form(wb_checkpoint *c, const char *dir, wb_error *err) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (!wb_path_join(c->path, sizeof c->path, dir, forms[i].name)) continue;
        if (!wb_file_exists(c->path)) continue;
        c->form = &forms[i];
        return WB_OK;
    }
    return wb_fail(err, WB_ERR_IO, 0,
                   "%.300s: has neither model.safetensors nor pytorch_model.bin nor an index of "
                   "either, download the weights into it",
                   dir);
}

// Maps one weights file as files[n_files] and appends its tensors.
static wb_status read_weights(wb_checkpoint *c, const char *dir, const char *name, wb_error *err) {
    opened o;
    wb_status status = open_file(&o, dir, name, err);
    if (status) return status;
    c->files[c->n_files++] = o.file;
    return c->form->parse(&c->tensors, &o.source, err);
}

// One mapping per weights file; close() unmaps the first n_files.
static wb_status alloc_files(wb_checkpoint *c, int n, wb_error *err) {
    c->files = wb_alloc_array((size_t)n, sizeof *c->files);
    return c->files ? WB_OK : wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d files", n);
}

// The tensors of shard number shard, those from n_before on, are the ones the index places there.
static wb_status check_shard(const wb_checkpoint *c, const wb_index *index, int shard,
                             size_t n_before, wb_error *err) {
    for (size_t i = n_before; i < c->tensors.n; i++) {
        const char *name = c->tensors.items[i].name;
        if (wb_index_find(index, name) == shard) continue;
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: does not place tensor %.100s in %.64s, where it is", shown(c->path),
                       name, index->shards[shard]);
    }
    return WB_OK;
}

static wb_status read_shards(wb_checkpoint *c, const char *dir, const wb_index *index,
                             wb_error *err) {
    wb_status status = alloc_files(c, index->n_shards, err);
    for (int shard = 0; !status && shard < index->n_shards; shard++) {
        const size_t n_before = c->tensors.n;
        status = read_weights(c, dir, index->shards[shard], err);
        if (!status) status = check_shard(c, index, shard, n_before, err);
    }
    if (!status) status = wb_tensors_sort(&c->tensors, shown(c->path), err);
    for (size_t i = 0; !status && i < index->n_entries; i++)
        if (!wb_tensors_find(&c->tensors, index->entries[i].tensor))
            status = wb_fail(err, WB_ERR_MODEL, 0, "%s: tensor %.100s is not in its shard %.64s",
                             shown(c->path), index->entries[i].tensor,
                             index->shards[index->entries[i].shard]);
    return status;
}

static wb_status read_indexed(wb_checkpoint *c, const char *dir, wb_error *err) {
    opened o;
    wb_index index = {0};
    wb_status status = open_file(&o, dir, c->form->name, err);
    if (!status) status = wb_index_parse(&index, &o.source, err);
    wb_file_close(&o.file);
    if (!status) status = read_shards(c, dir, &index, err);
    wb_index_close(&index);
    return status;
}

// One file holds everything.
static wb_status read_single(wb_checkpoint *c, const char *dir, wb_error *err) {
    wb_status status = alloc_files(c, 1, err);
    if (!status) status = read_weights(c, dir, c->form->name, err);
    return status ? status : wb_tensors_sort(&c->tensors, shown(c->path), err);
}

// What only the two files together can tell, and what config.json left open.
static wb_status check_tensors(wb_checkpoint *c, wb_error *err) {
    wb_status status = wb_inventory_check(&c->tensors, &c->config, shown(c->path), err);
    if (!status) status = wb_config_name_labels(&c->config, err);
    if (c->config.n_labels == 1) c->config.is_regression = true;
    return status;
}

wb_status wb_checkpoint_open(wb_checkpoint **out, const char *dir, wb_error *err) {
    *out = NULL;
    wb_checkpoint *c = wb_alloc_zeroed(sizeof *c);
    if (!c) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for a model");

    wb_status status = read_config(c, dir, err);
    if (!status) status = find_form(c, dir, err);
    if (!status) status = c->form->is_index ? read_indexed(c, dir, err) : read_single(c, dir, err);
    if (!status) status = check_tensors(c, err);
    if (status) {
        wb_checkpoint_close(c);
        return status;
    }
    *out = c;
    return WB_OK;
}

void wb_checkpoint_close(wb_checkpoint *checkpoint) {
    if (!checkpoint) return;
    wb_config_close(&checkpoint->config);
    wb_tensors_close(&checkpoint->tensors);
    for (int i = 0; i < checkpoint->n_files; i++) wb_file_close(&checkpoint->files[i]);
    wb_free(checkpoint->files);
    wb_free(checkpoint);
}

const wb_config *wb_checkpoint_config(const wb_checkpoint *checkpoint) {
    return &checkpoint->config;
}

const char *wb_checkpoint_weights_file(const wb_checkpoint *checkpoint) {
    return checkpoint->form->name;
}

const wb_tensor *wb_checkpoint_tensor(const wb_checkpoint *checkpoint, const char *name) {
    return wb_tensors_find(&checkpoint->tensors, name);
}

// A piece at a time, so that a file that is only hashed does not stay in memory.
static void add_file(wb_sha256 *hash, const wb_file *file) {
    const size_t piece_bytes = 4 << 20;
    for (size_t i = 0; i < file->n_bytes; i += piece_bytes) {
        const size_t left = file->n_bytes - i, n = left < piece_bytes ? left : piece_bytes;
        wb_sha256_add(hash, file->data + i, n);
        wb_file_release(file->data + i, n);
    }
}

void wb_checkpoint_weights_sha256(const wb_checkpoint *checkpoint, char out[WB_SHA256_TEXT]) {
    wb_sha256 hash;
    wb_sha256_init(&hash);
    for (int i = 0; i < checkpoint->n_files; i++) add_file(&hash, &checkpoint->files[i]);
    wb_sha256_text(&hash, out);
}

const char *wb_checkpoint_config_sha256(const wb_checkpoint *checkpoint) {
    return checkpoint->config_sha256;
}

uint64_t wb_checkpoint_identity(const wb_checkpoint *checkpoint) {
    enum { SAMPLE_BYTES = 4096 };
    uint64_t mark = wb_fingerprint(0, checkpoint->config_sha256, WB_SHA256_TEXT);
    for (int i = 0; i < checkpoint->n_files; i++) {
        const wb_file *file = &checkpoint->files[i];
        const int64_t stamp[2] = {(int64_t)file->n_bytes, file->modified_ns};
        mark = wb_fingerprint(mark, stamp, sizeof stamp);
    }
    for (size_t i = 0; i < checkpoint->tensors.n; i++) {
        const wb_tensor *tensor = &checkpoint->tensors.items[i];
        const int64_t form[2] = {tensor->dtype, (int64_t)tensor->n_bytes};
        mark = wb_fingerprint(mark, tensor->name, strlen(tensor->name));
        mark = wb_fingerprint(mark, tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape);
        mark = wb_fingerprint(mark, form, sizeof form);
        mark = wb_fingerprint(mark, tensor->data,
                              tensor->n_bytes < SAMPLE_BYTES ? tensor->n_bytes : SAMPLE_BYTES);
    }
    return mark;
}

// The file that a tensor lies in; NULL where it is empty.
static const wb_file *file_of(const wb_checkpoint *c, const wb_tensor *tensor) {
    for (int i = 0; i < c->n_files; i++) {
        const wb_file *file = &c->files[i];
        if (tensor->data >= file->data && tensor->data < file->data + file->n_bytes) return file;
    }
    return NULL;
}

void wb_checkpoint_read(float *y, const wb_checkpoint *checkpoint, const wb_tensor *tensor,
                        size_t first, size_t n) {
    enum { CHUNK = 1024 };
    uint8_t bytes[CHUNK * sizeof(float)];
    const wb_file *file = file_of(checkpoint, tensor);
    const size_t element_bytes = tensor->dtype == WB_DTYPE_F32 ? 4 : 2;
    for (size_t done = 0, m; done < n; done += m) {
        m = n - done < CHUNK ? n - done : CHUNK;
        wb_tensor chunk = *tensor;
        const size_t offset = (first + done) * element_bytes;
        chunk.data += offset;
        if (file &&
            wb_file_read_at(file, (size_t)(chunk.data - file->data), bytes, m * element_bytes))
            chunk.data = bytes;
        wb_tensor_widen(y + done, &chunk, 0, m);
    }
}

void wb_checkpoint_release(const wb_checkpoint *checkpoint) {
    for (int i = 0; i < checkpoint->n_files; i++)
        wb_file_release(checkpoint->files[i].data, checkpoint->files[i].n_bytes);
}

uint64_t wb_checkpoint_fingerprint(const wb_checkpoint *checkpoint) {
    uint64_t mark = 0;
    for (int i = 0; i < checkpoint->n_files; i++)
        mark = wb_fingerprint_file(mark, &checkpoint->files[i]);
    return mark;
}
