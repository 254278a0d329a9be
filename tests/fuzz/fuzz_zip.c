// SPDX-License-Identifier: Apache-2.0
// Any bytes as pytorch_model.bin: entries and tensors that are accepted lie inside them.
#include <stdlib.h>

#include "format/tensors.h"
#include "format/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    wb_zip zip;
    wb_tensors table = {0};
    wb_error err = {0};
    if (wb_zip_open(&zip, &source, &err) == WB_OK) {
        for (size_t i = 0; i < zip.n; i++) {
            const wb_zip_entry *entry = &zip.entries[i];
            if (!wb_source_holds(&source, entry->first, entry->n_bytes)) abort();
            if (wb_zip_find(&zip, entry->name, entry->name_bytes) != entry) abort();
        }
    }
    wb_zip_close(&zip);
    const wb_status status = wb_torch_parse(&table, &source, &err);
    if (status && (err.status != status || !err.message[0])) abort();
    for (size_t i = 0; !status && i < table.n; i++) {
        const wb_tensor *tensor = &table.items[i];
        if (!wb_source_holds(&source, (uint64_t)(tensor->data - data), tensor->n_bytes)) abort();
    }
    wb_tensors_close(&table);
    return 0;
}
