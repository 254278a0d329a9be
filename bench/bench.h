// SPDX-License-Identifier: Apache-2.0
// What the programs of this folder share that use the public API alone.
#ifndef BENCH_H
#define BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wattbert/wattbert.h>

static inline double bench_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// For qsort.
static inline int bench_compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The file's bytes, ended by 0, for free(); NULL where it cannot be read or is empty.
static inline char *bench_read(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    const long n_bytes = fseek(file, 0, SEEK_END) ? 0 : ftell(file);
    rewind(file);
    char *bytes = n_bytes > 0 ? malloc((size_t)n_bytes + 1) : NULL;
    if (bytes && fread(bytes, 1, (size_t)n_bytes, file) != (size_t)n_bytes) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    if (bytes) bytes[n_bytes] = 0;
    return bytes;
}

// texts[capacity] <- the lines of bytes, borrowed; how many.
static inline int bench_list_lines(wb_text *texts, int capacity, const char *bytes) {
    int n = 0;
    for (const char *at = bytes, *end; n < capacity && (end = strchr(at, '\n')); at = end + 1)
        texts[n++] = (wb_text){.text = at, .n_bytes = (size_t)(end - at)};
    return n;
}

#endif
