// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file of packed weights: what is accepted says in every word what was expected, and
// one thread and three agree on it. The corpus expects word i to be 100 + i.
#include <stdlib.h>
#include <string.h>

#include "engine/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static wb_status check(const uint8_t *data, size_t n_bytes, int n_threads) {
    wb_cache_page expected = {.magic = "wattbert packed weights\n"};
    for (uint64_t i = 0; i < WB_PAGE_CONTENTS; i++) expected.fields[i] = 100 + i;
    expected.fields[WB_PAGE_FORMAT] = 1;
    if (n_bytes > sizeof expected) expected.fields[WB_PAGE_N_BYTES] = n_bytes - sizeof expected;
    wb_pool *pool;
    wb_error err = {.message = ""};
    if (wb_pool_open(&pool, n_threads, NULL)) abort();
    const wb_status status = wb_cache_check(data, n_bytes, &expected, pool, &err);
    wb_pool_close(pool);
    if (status && (err.status != status || !err.message[0])) abort();
    if (!status && (n_bytes < sizeof expected ||
                    memcmp(data, &expected, offsetof(wb_cache_page, fields[WB_PAGE_CONTENTS]))))
        abort();
    return status;
}

// No other bit will do in a file that was accepted.
static void check_flipped(const uint8_t *data, size_t n_bytes, size_t at) {
    uint8_t *changed = malloc(n_bytes);
    if (!changed) abort();
    memcpy(changed, data, n_bytes);
    changed[at] ^= 1;
    if (!check(changed, n_bytes, 1)) abort();
    free(changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_status status = check(data, n_bytes, 1);
    if (status != check(data, n_bytes, 3)) abort();
    if (!status) check_flipped(data, n_bytes, n_bytes - 1);
    if (!status) check_flipped(data, n_bytes, data[n_bytes - 1] * n_bytes / 256);
    return 0;
}
