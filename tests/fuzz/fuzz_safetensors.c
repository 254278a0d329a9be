// SPDX-License-Identifier: Apache-2.0
// Any bytes as model.safetensors: every tensor that is accepted lies inside them.
#include <stdlib.h>

#include "format/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    wb_tensors table = {0};
    wb_error err = {0};
    const wb_status status = wb_safetensors_parse(&table, &source, &err);
    if (status && (err.status != status || !err.message[0])) abort();
    for (size_t i = 0; !status && i < table.n; i++) {
        const wb_tensor *tensor = &table.items[i];
        if (tensor->data < data || tensor->n_bytes > n_bytes - (size_t)(tensor->data - data))
            abort();
    }
    if (!status && wb_tensors_sort(&table, "fuzz", &err) == WB_OK)
        for (size_t i = 0; i < table.n; i++)
            if (wb_tensors_find(&table, table.items[i].name) != &table.items[i]) abort();
    wb_tensors_close(&table);
    return 0;
}
