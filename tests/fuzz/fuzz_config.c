// SPDX-License-Identifier: Apache-2.0
// Any bytes as config.json: what is accepted is in range and has all its labels.
#include <stdlib.h>

#include "format/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    wb_config config;
    wb_error err = {0};
    const wb_status status = wb_config_parse(&config, &source, &err);
    if (status) {
        if (err.status != status || !err.message[0] || config.labels) abort();
        return 0;
    }
    const int dimensions[] = {config.d_model, config.n_heads,    config.n_layers,
                              config.d_ff,    config.vocab_size, config.max_positions};
    for (size_t i = 0; i < sizeof dimensions / sizeof dimensions[0]; i++)
        if (dimensions[i] < 1 || dimensions[i] > WB_MAX_VOCAB) abort();
    if (config.d_head * config.n_heads != config.d_model) abort();
    for (int label = 0; config.labels && label < config.n_labels; label++)
        if (!config.labels[label]) abort();
    wb_config_close(&config);
    return 0;
}
