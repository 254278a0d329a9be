// SPDX-License-Identifier: Apache-2.0
// Any bytes as model.safetensors.index.json: no accepted shard leads out of the folder.
#include <stdlib.h>

#include "format/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    wb_index index;
    wb_error err = {0};
    const wb_status status = wb_index_parse(&index, &source, &err);
    if (status && (err.status != status || !err.message[0])) abort();
    for (int shard = 0; shard < index.n_shards; shard++)
        if (index.shards[shard][0] == '.' || strchr(index.shards[shard], '/')) abort();
    for (size_t i = 0; i < index.n_entries; i++)
        if (wb_index_find(&index, index.entries[i].tensor) != index.entries[i].shard) abort();
    wb_index_close(&index);
    return 0;
}
