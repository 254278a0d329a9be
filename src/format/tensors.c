// SPDX-License-Identifier: Apache-2.0
// The table of named tensors: an array, sorted by name once all files are read.
#include "format/tensors.h"

#include <stdlib.h>

bool wb_shape_elements(const int64_t *shape, int rank, uint64_t *n_elements) {
    *n_elements = 1;
    // In order and without a short cut for zeros, as the safetensors library multiplies.
    for (int i = 0; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(*n_elements, (uint64_t)shape[i], n_elements))
            return false;
    return true;
}

static bool ends_with(const char *text, size_t n_bytes, const char *end) {
    const size_t n = strlen(end);
    return n_bytes >= n && memcmp(text + n_bytes - n, end, n) == 0;
}

// TensorFlow's names for a layer norm's scale and shift, which old conversions kept.
char *wb_tensor_name_copy(const char *name, size_t n_bytes) {
    static const struct {
        const char *old_end, *end;
    } renames[] = {{".gamma", ".weight"}, {".beta", ".bias"}};
    for (size_t i = 0; i < 2; i++) {
        if (!ends_with(name, n_bytes, renames[i].old_end)) continue;
        const size_t stem = n_bytes - strlen(renames[i].old_end), end = strlen(renames[i].end);
        char *copy = wb_alloc(stem + end + 1);
        if (!copy) return NULL;
        memcpy(copy, name, stem);
        memcpy(copy + stem, renames[i].end, end + 1);
        return copy;
    }
    return wb_string_copy(name, n_bytes);
}

// Doubling: an array that grew by its own length is copied once a tensor on average.
static wb_status reserve_one(wb_tensors *table, const wb_source *source, wb_error *err) {
    if (table->n == WB_MAX_TENSORS)
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: more than %d tensors", source->name,
                       WB_MAX_TENSORS);
    if (table->n < table->capacity) return WB_OK;
    const size_t capacity = table->capacity ? 2 * table->capacity : 16;
    wb_tensor *grown = wb_realloc_array(table->items, table->n, capacity, sizeof *table->items);
    if (!grown)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its tensors", source->name);
    table->items = grown;
    table->capacity = capacity;
    return WB_OK;
}

wb_status wb_tensors_add(wb_tensors *table, const wb_tensor *tensor, size_t name_bytes,
                         const wb_source *source, wb_error *err) {
    if (memchr(tensor->name, 0, name_bytes))
        return wb_fail(err, WB_ERR_FORMAT, 0, "%s: a tensor's name has a 0 byte in it",
                       source->name);
    const wb_status status = reserve_one(table, source, err);
    if (status) return status;
    char *name = wb_tensor_name_copy(tensor->name, name_bytes);
    if (!name) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its tensors", source->name);
    wb_tensor *added = &table->items[table->n++];
    *added = *tensor;
    added->name = name;
    return WB_OK;
}

// Bytes, not letters: a locale must not change which tensor is found.
static int compare_names(const void *a, const void *b) {
    return strcmp(((const wb_tensor *)a)->name, ((const wb_tensor *)b)->name);
}

wb_status wb_tensors_sort(wb_tensors *table, const char *file, wb_error *err) {
    if (table->n == 0) return WB_OK;
    qsort(table->items, table->n, sizeof *table->items, compare_names);
    for (size_t i = 1; i < table->n; i++)
        if (strcmp(table->items[i - 1].name, table->items[i].name) == 0)
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: tensor %.160s occurs twice", file,
                           table->items[i].name);
    return WB_OK;
}

const wb_tensor *wb_tensors_find(const wb_tensors *table, const char *name) {
    const wb_tensor key = {.name = name};
    if (table->n == 0) return NULL;
    return bsearch(&key, table->items, table->n, sizeof *table->items, compare_names);
}

void wb_tensors_close(wb_tensors *table) {
    for (size_t i = 0; i < table->n; i++) wb_free((void *)(uintptr_t)table->items[i].name);
    wb_free(table->items);
    *table = (wb_tensors){0};
}
