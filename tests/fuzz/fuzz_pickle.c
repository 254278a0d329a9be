// SPDX-License-Identifier: Apache-2.0
// Any bytes as data.pkl: what is accepted is a list of tensors whose texts lie inside the bytes.
#include <stdlib.h>

#include "format/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check_span(wb_span span, size_t n_bytes) {
    if (span.first > n_bytes || span.n_bytes > n_bytes - span.first) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    wb_pickle pickle;
    wb_error err = {0};
    const wb_status status = wb_pickle_open(&pickle, &source, 0, n_bytes, &err);
    if (status && (err.status != status || !err.message[0])) abort();
    for (size_t i = 0; i < pickle.n_items; i++) {
        check_span(pickle.items[i].name, n_bytes);
        if (pickle.items[i].tensor >= pickle.n_tensors) abort();
        const wb_pickle_tensor *tensor = &pickle.tensors[pickle.items[i].tensor];
        check_span(tensor->storage, n_bytes);
        if (tensor->rank < 0 || tensor->rank > WB_MAX_RANK || !tensor->dtype->name) abort();
    }
    wb_pickle_close(&pickle);
    return 0;
}
