// SPDX-License-Identifier: Apache-2.0
// Any bytes as tokenizer.json: refused, or a tokenizer whose ids are in range for its own text.
#include "tokenizer_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    enum { MOST = 64 };
    int32_t ids[MOST];
    wb_tokenizer *tokenizer;
    if (fuzz_open_tokenizer(&tokenizer, "tokenizer.json", data, n_bytes)) return 0;
    fuzz_encode(tokenizer, data, n_bytes, data, n_bytes, MOST, ids);
    fuzz_encode(tokenizer, data, n_bytes, NULL, 0, MOST - 1, ids);
    wb_tokenizer_close(tokenizer);
    return 0;
}
