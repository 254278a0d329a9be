// SPDX-License-Identifier: Apache-2.0
// model.safetensors: eight bytes of header length, a JSON header, the tensors' bytes. Accepts what
// the official library (0.8) accepts and refuses what it refuses: tensors must tile the data
// exactly, in any order, without hole, overlap or rest.
//
//     | n: u64 | {"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},..} | data |
//     0        8                                                              8 + n    end of file
#include <stdlib.h>

#include "format/json.h"
#include "format/tensors.h"

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 100 * 1000 * 1000 };  // the library's limit

// The sub-byte types of the newest files (F4, F6) are missing: no classifier here is made of them,
// and an unknown type is refused by name.
static const wb_dtype_info dtypes[] = {
    {"F32", WB_DTYPE_F32, 4},       {"F16", WB_DTYPE_F16, 2},    {"BF16", WB_DTYPE_BF16, 2},
    {"I64", WB_DTYPE_I64, 8},       {"F64", WB_DTYPE_OTHER, 8},  {"U64", WB_DTYPE_OTHER, 8},
    {"C64", WB_DTYPE_OTHER, 8},     {"I32", WB_DTYPE_OTHER, 4},  {"U32", WB_DTYPE_OTHER, 4},
    {"I16", WB_DTYPE_OTHER, 2},     {"U16", WB_DTYPE_OTHER, 2},  {"I8", WB_DTYPE_OTHER, 1},
    {"U8", WB_DTYPE_OTHER, 1},      {"BOOL", WB_DTYPE_OTHER, 1}, {"F8_E4M3", WB_DTYPE_OTHER, 1},
    {"F8_E5M2", WB_DTYPE_OTHER, 1}, {NULL, WB_DTYPE_OTHER, 0},
};

// One member of the header as the file states it.
typedef struct entry {
    const wb_dtype_info *dtype;  // NULL: not stated
    bool has_shape, has_offsets;
    int rank;
    int64_t shape[WB_MAX_RANK];
    int64_t first, end;  // in the data
} entry;

typedef struct reader {
    const wb_source *source;
    wb_json json;
    uint64_t data_first, data_bytes;  // where the tensors' bytes lie in the file
    char name[WB_JSON_TEXT_BYTES];    // of the entry being read
} reader;

// The name of an entry may be any text of a kilobyte: a message has room for its start.
static wb_status fail_entry(const reader *r, const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, r->json.at, "%s: tensor %.160s %s", r->source->name, r->name,
                   what);
}

static wb_status read_dtype(reader *r, entry *e, wb_error *err) {
    char text[WB_JSON_TEXT_BYTES];
    const wb_status status = wb_json_string(&r->json, text, sizeof text, err);
    if (status) return status;
    for (e->dtype = dtypes; e->dtype->name; e->dtype++)
        if (strcmp(e->dtype->name, text) == 0) return WB_OK;
    return wb_fail(err, WB_ERR_FORMAT, r->json.at,
                   "%s: tensor %.160s has the unknown dtype \"%.32s\"", r->source->name, r->name,
                   text);
}

// numbers[*n] <- the array of whole numbers at the cursor, none of them negative.
static wb_status read_numbers(reader *r, int64_t *numbers, int capacity, int *n, wb_error *err) {
    bool more = true;
    wb_status status = wb_json_open(&r->json, '[', err);
    for (*n = 0; !status; ++*n) {
        status = wb_json_next_element(&r->json, &more, err);
        if (status || !more) break;
        if (*n == capacity) return fail_entry(r, "has too many dimensions or offsets", err);
        status = wb_json_int(&r->json, &numbers[*n], err);
        if (!status && numbers[*n] < 0)
            return fail_entry(r, "has a negative dimension or offset", err);
    }
    return status;
}

// Whether they make sense is add_entry's question: the shape may come after them.
static wb_status read_offsets(reader *r, entry *e, wb_error *err) {
    int64_t offsets[2];
    int n;
    const wb_status status = read_numbers(r, offsets, 2, &n, err);
    if (status) return status;
    if (n != 2) return fail_entry(r, "needs two data_offsets", err);
    e->first = offsets[0];
    e->end = offsets[1];
    return WB_OK;
}

// A key twice is refused, as the library does; a key that is unknown says nothing to it either.
static wb_status read_entry_member(reader *r, const char *key, entry *e, wb_error *err) {
    if (strcmp(key, "dtype") == 0) {
        if (e->dtype) return fail_entry(r, "has two dtypes", err);
        return read_dtype(r, e, err);
    }
    if (strcmp(key, "shape") == 0) {
        if (e->has_shape) return fail_entry(r, "has two shapes", err);
        e->has_shape = true;
        return read_numbers(r, e->shape, WB_MAX_RANK, &e->rank, err);
    }
    if (strcmp(key, "data_offsets") == 0) {
        if (e->has_offsets) return fail_entry(r, "has data_offsets twice", err);
        e->has_offsets = true;
        return read_offsets(r, e, err);
    }
    return wb_json_skip(&r->json, err);
}

static wb_status read_entry(reader *r, entry *e, wb_error *err) {
    char key[WB_JSON_TEXT_BYTES];
    bool more = true;
    wb_status status = wb_json_open(&r->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&r->json, key, sizeof key, &more, err);
        if (status || !more) break;
        status = read_entry_member(r, key, e, err);
    }
    return status;
}

// Both numbers of bytes, that of the shape and that of the offsets, come from the file. Once they
// agree and lie inside the data, the tensor can be used where it is.
static wb_status add_entry(reader *r, wb_tensors *table, const entry *e, wb_error *err) {
    uint64_t n_bytes;
    if (!e->dtype || !e->has_shape || !e->has_offsets)
        return fail_entry(r, "lacks its dtype, shape or data_offsets", err);
    if (!wb_shape_elements(e->shape, e->rank, &n_bytes) ||
        __builtin_mul_overflow(n_bytes, (uint64_t)e->dtype->element_bytes, &n_bytes))
        return fail_entry(r, "has a shape beyond all memory", err);
    if (e->end < e->first || (uint64_t)e->end > r->data_bytes)
        return fail_entry(r, "has data_offsets outside the file, download it again", err);
    if ((uint64_t)(e->end - e->first) != n_bytes)
        return wb_fail(
            err, WB_ERR_FORMAT, r->json.at,
            "%s: tensor %.160s needs %llu bytes by its shape, its data_offsets hold %lld",
            r->source->name, r->name, (unsigned long long)n_bytes, (long long)(e->end - e->first));
    const uint64_t first = r->data_first + (uint64_t)e->first;
    wb_tensor tensor = {.name = r->name,
                        .dtype = e->dtype->dtype,
                        .rank = e->rank,
                        .data = r->source->data + first,
                        .n_bytes = (size_t)n_bytes};
    memcpy(tensor.shape, e->shape, sizeof tensor.shape);
    return wb_tensors_add(table, &tensor, strlen(r->name), r->source, err);
}

// __metadata__ is a map from text to text that says nothing here.
static wb_status skip_metadata(reader *r, wb_error *err) {
    char key[WB_JSON_TEXT_BYTES];
    bool more = true;
    if (wb_json_peek(&r->json) == 'n') return wb_json_skip(&r->json, err);
    wb_status status = wb_json_open(&r->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&r->json, key, sizeof key, &more, err);
        if (status || !more) break;
        if (wb_json_peek(&r->json) != '"') return fail_entry(r, "must map texts to texts", err);
        status = wb_json_skip(&r->json, err);
    }
    return status;
}

// Empty tensors first, so that one between two others overlaps neither.
static int compare_places(const void *a, const void *b) {
    const wb_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

// The tensors added from index n_before on must lie end to end over the data.
static wb_status check_tiling(const reader *r, wb_tensors *table, size_t n_before, wb_error *err) {
    const uint8_t *expected = r->source->data + r->data_first;
    wb_tensor *added = table->items + n_before;
    const size_t n = table->n - n_before;
    if (n > 0) qsort(added, n, sizeof *added, compare_places);
    for (size_t i = 0; i < n; expected = added[i].data + added[i].n_bytes, i++) {
        if (added[i].data == expected) continue;
        return wb_fail(
            err, WB_ERR_FORMAT, (uint64_t)(added[i].data - r->source->data), "%s: tensor %.160s %s",
            r->source->name, added[i].name,
            added[i].data < expected ? "overlaps another one" : "leaves unused bytes before it");
    }
    const uint64_t end = (uint64_t)(expected - r->source->data);
    if (end != r->source->n_bytes)
        return wb_fail(err, WB_ERR_FORMAT, end,
                       "%s: its tensors end at byte %llu, the file at %zu, download it again",
                       r->source->name, (unsigned long long)end, r->source->n_bytes);
    return WB_OK;
}

// Tensors are added as they come and checked against each other at the end: the order of the
// header is free.
static wb_status read_header(reader *r, wb_tensors *table, wb_error *err) {
    const size_t n_before = table->n;
    bool more = true, has_metadata = false;
    wb_status status = wb_json_open(&r->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&r->json, r->name, sizeof r->name, &more, err);
        if (status || !more) break;
        if (strcmp(r->name, "__metadata__") == 0) {
            if (has_metadata) return fail_entry(r, "occurs twice", err);
            has_metadata = true;
            status = skip_metadata(r, err);
            continue;
        }
        entry e = {0};
        status = read_entry(r, &e, err);
        if (!status) status = add_entry(r, table, &e, err);
    }
    if (!status) status = wb_json_end(&r->json, err);
    return status ? status : check_tiling(r, table, n_before, err);
}

wb_status wb_safetensors_parse(wb_tensors *table, const wb_source *source, wb_error *err) {
    if (wb_source_is_lfs_pointer(source))
        return wb_fail(err, WB_ERR_FORMAT, 0,
                       "%s: is a Git LFS pointer, fetch the file itself with git lfs pull",
                       source->name);
    if (source->n_bytes < LENGTH_BYTES)
        return wb_fail(err, WB_ERR_FORMAT, 0, "%s: shorter than a safetensors header",
                       source->name);
    const uint64_t n = wb_read_u64(source->data);
    if (n > MAX_HEADER_BYTES || !wb_source_holds(source, LENGTH_BYTES, n))
        return wb_fail(err, WB_ERR_FORMAT, 0,
                       "%s: states a header of %llu bytes, the file has %zu, download it again",
                       source->name, (unsigned long long)n, source->n_bytes);
    reader r = {.source = source,
                .json = wb_json_of(source, LENGTH_BYTES, (size_t)n),
                .data_first = LENGTH_BYTES + n,
                .data_bytes = source->n_bytes - LENGTH_BYTES - n};
    return read_header(&r, table, err);
}
