// SPDX-License-Identifier: Apache-2.0
// The table of named tensors that every weights format fills: one file or all shards of it.
#ifndef WB_FORMAT_TENSORS_H
#define WB_FORMAT_TENSORS_H

#include "format/checkpoint.h"
#include "format/source.h"

// Far above a DistilBERT's 104 tensors; bounds what a file of nothing but names can cost.
enum { WB_MAX_TENSORS = 1 << 14 };

typedef struct wb_tensors {
    wb_tensor *items;
    size_t n, capacity;
} wb_tensors;

// How a file spells an element type, and what one takes.
typedef struct wb_dtype_info {
    const char *name;
    wb_dtype dtype;
    int element_bytes;
} wb_dtype_info;

// The product of shape[rank] in *n_elements; false if it is negative or overflows.
bool wb_shape_elements(const int64_t *shape, int rank, uint64_t *n_elements);

// name as the table keeps it: .gamma and .beta become .weight and .bias. Owned by the caller;
// NULL: no memory.
char *wb_tensor_name_copy(const char *name, size_t n_bytes);

// Appends a copy of *tensor, whose name is name_bytes long and is copied too. A 0 in it is an
// error.
wb_status wb_tensors_add(wb_tensors *table, const wb_tensor *tensor, size_t name_bytes,
                         const wb_source *source, wb_error *err);

// Sorts by name, so that find works; a name that occurs twice is an error.
wb_status wb_tensors_sort(wb_tensors *table, const char *file, wb_error *err);
const wb_tensor *wb_tensors_find(const wb_tensors *table, const char *name);

void wb_tensors_close(wb_tensors *table);

// ---- The readers that fill it ----

// safetensors.c: appends the tensors of a whole .safetensors file.
wb_status wb_safetensors_parse(wb_tensors *table, const wb_source *source, wb_error *err);
// torch.c: appends the tensors of a whole file of torch.save.
wb_status wb_torch_parse(wb_tensors *table, const wb_source *source, wb_error *err);

#endif
