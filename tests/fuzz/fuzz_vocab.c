// SPDX-License-Identifier: Apache-2.0
// Any bytes as vocab.txt: refused, or a tokenizer whose ids stay below its number of lines; its own
// text is encoded with it.
#include "tokenizer_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    int32_t ids[64];
    wb_tokenizer *tokenizer;
    if (fuzz_open_tokenizer(&tokenizer, "vocab.txt", data, n_bytes)) return 0;
    size_t n_lines = n_bytes > 0 && data[n_bytes - 1] != '\n';
    for (size_t i = 0; i < n_bytes; i++) n_lines += data[i] == '\n';
    if (wb_tokenizer_size(tokenizer) != (int)n_lines) abort();
    fuzz_encode(tokenizer, data, n_bytes, data, n_bytes, 64, ids);
    fuzz_encode(tokenizer, data, n_bytes, NULL, 0, 3, ids);
    wb_tokenizer_close(tokenizer);
    return 0;
}
