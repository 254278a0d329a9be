// SPDX-License-Identifier: Apache-2.0
// model.safetensors.index.json and pytorch_model.bin.index.json: which shard holds which tensor.
#ifndef WB_FORMAT_INDEX_H
#define WB_FORMAT_INDEX_H

#include "format/source.h"

enum { WB_MAX_SHARDS = 1 << 10 };

typedef struct wb_index_entry {
    char *tensor;  // as wb_tensor_name_copy spells it
    int shard;
} wb_index_entry;

typedef struct wb_index {
    char **shards;  // [n_shards] names of files beside the index, in the order they first occur
    int n_shards;
    wb_index_entry *entries;  // [n_entries], sorted by tensor, each once
    size_t n_entries, capacity;
} wb_index;

//   WB_ERR_FORMAT, WB_ERR_MODEL (a tensor twice, a shard outside the folder), WB_ERR_MEMORY
wb_status wb_index_parse(wb_index *index, const wb_source *source, wb_error *err);
void wb_index_close(wb_index *index);

// The shard that holds a tensor; -1 where the index does not name it.
int wb_index_find(const wb_index *index, const char *tensor);

#endif
