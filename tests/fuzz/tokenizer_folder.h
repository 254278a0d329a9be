// SPDX-License-Identifier: Apache-2.0
// For the fuzz targets of src/text: a tokenizer from the bytes of one file, through a folder of its
// own, because that is how programs open them.
#ifndef WB_FUZZ_TOKENIZER_FOLDER_H
#define WB_FUZZ_TOKENIZER_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/tokenizer.h"

// *tokenizer <- what a folder with only this file gives. Aborts where the promises of failure are
// broken: a status without its error, or an error that leaves something behind.
static inline wb_status fuzz_open_tokenizer(wb_tokenizer **tokenizer, const char *name,
                                            const void *data, size_t n_bytes) {
    char dir[] = "/tmp/wattbert-fuzz-XXXXXX", path[128];
    if (!mkdtemp(dir)) abort();
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, n_bytes, file) != n_bytes || fclose(file) != 0) abort();
    wb_error err = {0};
    const wb_status status = wb_tokenizer_open(tokenizer, dir, &err);
    unlink(path);
    rmdir(dir);
    if (status && (*tokenizer || err.status != status || !err.message[0])) abort();
    return status;
}

// The ids of a text, all in range and at most max_length of them, or abort.
static inline int fuzz_encode(const wb_tokenizer *tokenizer, const void *text, size_t n_bytes,
                              const void *pair, size_t pair_bytes, int max_length, int32_t *ids) {
    int n_ids;
    if (wb_tokenizer_encode(tokenizer, text, n_bytes, pair, pair_bytes, max_length, ids, &n_ids,
                            NULL) != WB_OK ||
        n_ids > max_length)
        abort();
    for (int i = 0; i < n_ids; i++)
        if (ids[i] < 0 || ids[i] >= wb_tokenizer_size(tokenizer)) abort();
    return n_ids;
}

#endif
