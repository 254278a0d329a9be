// SPDX-License-Identifier: Apache-2.0
// Memory, 64-byte aligned. Tests replace malloc's family with a failing one at link time.
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum { ALIGNMENT = 64 };

void *wb_alloc(size_t n_bytes) {
    if (n_bytes > SIZE_MAX - ALIGNMENT) return NULL;
    // aligned_alloc wants a multiple of the alignment; 0 bytes still make a block that can be
    // freed.
    const size_t rounded = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return aligned_alloc(ALIGNMENT, rounded ? rounded : ALIGNMENT);
}

void *wb_alloc_zeroed(size_t n_bytes) {
    void *block = wb_alloc(n_bytes);
    if (block) memset(block, 0, n_bytes);
    return block;
}

void *wb_alloc_array(size_t n, size_t element_bytes) {
    if (element_bytes && n > SIZE_MAX / element_bytes) return NULL;
    return wb_alloc_zeroed(n * element_bytes);
}

void *wb_realloc_array(void *block, size_t old_n, size_t n, size_t element_bytes) {
    void *grown = wb_alloc_array(n, element_bytes);
    if (!grown) return NULL;
    if (block) memcpy(grown, block, (old_n < n ? old_n : n) * element_bytes);
    wb_free(block);
    return grown;
}

char *wb_string_copy(const char *text, size_t n_bytes) {
    if (n_bytes == SIZE_MAX) return NULL;
    char *copy = wb_alloc(n_bytes + 1);
    if (!copy) return NULL;
    if (n_bytes) memcpy(copy, text, n_bytes);
    copy[n_bytes] = 0;
    return copy;
}

void wb_free(void *block) {
    free(block);
}
