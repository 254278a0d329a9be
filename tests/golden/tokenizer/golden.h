// SPDX-License-Identifier: Apache-2.0
// What the tokenizer's golden checks share: digests as zlib computes them, so that Python makes
// them at C's speed, and the way to the shared data folder, which is not part of the repository.
#ifndef WB_GOLDEN_TOKENIZER_H
#define WB_GOLDEN_TOKENIZER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

// ctest shows a test that returns this as skipped.
enum { GOLDEN_SKIPPED = 77 };

typedef struct golden_crc {
    uint32_t table[256];
} golden_crc;

static inline golden_crc golden_crc_make(void) {
    golden_crc crc;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
        crc.table[byte] = value;
    }
    return crc;
}

// zlib.crc32(data, so_far) of Python.
static inline uint32_t golden_crc_add(const golden_crc *crc, uint32_t so_far, const void *data,
                                      size_t n_bytes) {
    const uint8_t *bytes = data;
    uint32_t value = ~so_far;
    for (size_t i = 0; i < n_bytes; i++) value = value >> 8 ^ crc->table[(value ^ bytes[i]) & 0xFF];
    return ~value;
}

static inline uint32_t golden_crc_add_ids(const golden_crc *crc, uint32_t so_far,
                                          const int32_t *ids, int n_ids) {
    for (int i = 0; i < n_ids; i++) {
        const uint32_t id = (uint32_t)ids[i];
        const uint8_t bytes[] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16),
                                 (uint8_t)(id >> 24)};
        so_far = golden_crc_add(crc, so_far, bytes, sizeof bytes);
    }
    return so_far;
}

// out <- the path of name in the shared data folder beside the checkout, or in WATTBERT_SHARED.
// False, and says "skipped", where it is not there.
static inline bool golden_find_shared(char *out, size_t capacity, const char *name) {
    const char *shared = getenv("WATTBERT_SHARED");
    const int n =
        snprintf(out, capacity, "%s/%s", shared ? shared : WB_SOURCE_DIR "/../shared", name);
    if (n > 0 && (size_t)n < capacity && wb_file_exists(out)) return true;
    printf("skipped: no %s in the shared data folder (WATTBERT_SHARED)\n", name);
    return false;
}

// The lines of a file of digests that are not comments. NULL at its end.
static inline char *golden_read_line(FILE *file, char *line, int capacity) {
    while (fgets(line, capacity, file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] != '#') return line;
    }
    return NULL;
}

#endif
