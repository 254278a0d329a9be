// SPDX-License-Identifier: Apache-2.0
// Packed weights: how w[n, k] lies in panels of TILE_N columns, for every precision. Written
// over lanes.h, which a set's file includes first.
//
// The unit is a word of 32 bits (16 for f16): one f32, two bf16 or four int8 of
// consecutive k. Row kw of a panel holds word kw of each of its columns, so a product reads
// memory strictly forwards. For f32, n = 5, k = 2, and if TILE_N were 4 (0 = padding):
//
//     w:  a0 a1 | b0 b1 | c0 c1 | d0 d1 | e0 e1
//     ->  a0 b0 c0 d0   a1 b1 c1 d1 | e0 0 0 0   e1 0 0 0
//
// Instructions that multiply small matrices take words of 64 bits, four bf16 or eight int8 of one
// column, in the same order (neon_i8mm/, neon_bf16/): what depends on it says how many values a
// word has.
//
// A panel of int8 opens with one int32 a column, -128 times the sum of its weights: inputs
// are stored plus 128, and a product that starts from there needs no correction. A set that
// multiplies otherwise packs other starts (gemm_turned.h).
#ifndef WB_KERNELS_PANELS_H
#define WB_KERNELS_PANELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Words are moved 16 deep: a cache line of each column becomes 16 rows of the panel.
enum { PACK_DEPTH = 16 };

KERNEL_INLINE size_t words_of(int k, int values) {
    return ((size_t)k + (size_t)values - 1) / (size_t)values;
}

KERNEL_INLINE size_t panel_bytes_of_f32(int k) {
    return (size_t)k * TILE_N * sizeof(float);
}

KERNEL_INLINE size_t panel_bytes_in_words_bf16(int k, const int word) {
    return words_of(k, word) * TILE_N * (size_t)word * sizeof(uint16_t);
}

KERNEL_INLINE size_t panel_bytes_of_bf16(int k) {
    return panel_bytes_in_words_bf16(k, 2);
}

KERNEL_INLINE size_t panel_bytes_of_f16(int k) {
    return words_of(k, 2) * TILE_N * 2 * sizeof(uint16_t);  // rounded up to 64 bytes
}

KERNEL_INLINE size_t panel_bytes_in_words_i8(int k, const int word) {
    return TILE_N * sizeof(int32_t) + words_of(k, word) * TILE_N * (size_t)word;
}

KERNEL_INLINE size_t panel_bytes_of_i8(int k) {
    return panel_bytes_in_words_i8(k, 4);
}

KERNEL_INLINE int n_panels(int n) {
    return (n + TILE_N - 1) / TILE_N;
}

KERNEL_INLINE int smaller(int a, int b) {
    return a < b ? a : b;
}

KERNEL_INLINE void pack_panels_f32(float *packed, const float *w, int n, int k) {
    for (int j = 0; j < n; j += TILE_N, packed += (size_t)k * TILE_N) {
        const int columns = smaller(TILE_N, n - j);
        if (columns < TILE_N) memset(packed, 0, panel_bytes_of_f32(k));
        for (int k_from = 0; k_from < k; k_from += PACK_DEPTH) {
            const int k_to = smaller(k, k_from + PACK_DEPTH);
            for (int c = 0; c < columns; c++) {
                const float *column = w + (size_t)(j + c) * (size_t)k;
                for (int kk = k_from; kk < k_to; kk++)
                    packed[(size_t)kk * TILE_N + (size_t)c] = column[kk];
            }
        }
    }
}

// The first n <= 16 of a row, with zeros after them, as bf16 or f16.
KERNEL_INLINE void convert_16(uint16_t *out, const float *x, int n, bool is_bf16) {
    const lanes v = n >= 16 ? lanes_load(x) : lanes_load_first(x, n);
    if (is_bf16) {
        lanes_store_bf16(out, v);
    } else {
        lanes_store_f16(out, v);
    }
}

KERNEL_INLINE void pack_panels_in_words_bf16(uint16_t *packed, const float *w, int n, int k,
                                             const int word) {
    const size_t panel_bytes = panel_bytes_in_words_bf16(k, word);
    for (int j = 0; j < n; j += TILE_N, packed += panel_bytes / sizeof *packed) {
        const int columns = smaller(TILE_N, n - j);
        if (columns < TILE_N) memset(packed, 0, panel_bytes);
        for (int k_from = 0; k_from < k; k_from += PACK_DEPTH) {
            uint16_t *rows = packed + (size_t)k_from * TILE_N;
            const int n_words = smaller(k - k_from + word - 1, PACK_DEPTH) / word;
            for (int c = 0; c < columns; c++) {
                uint16_t values[16];
                convert_16(values, w + (size_t)(j + c) * (size_t)k + k_from, k - k_from, true);
                for (int kw = 0; kw < n_words; kw++)
                    memcpy(rows + ((size_t)kw * TILE_N + (size_t)c) * (size_t)word,
                           values + word * kw, (size_t)word * sizeof *rows);
            }
        }
    }
}

KERNEL_INLINE void pack_panels_bf16(uint16_t *packed, const float *w, int n, int k) {
    pack_panels_in_words_bf16(packed, w, n, k, 2);
}

KERNEL_INLINE void pack_panels_f16(uint16_t *packed, const float *w, int n, int k) {
    for (int j = 0; j < n; j += TILE_N, packed += words_of(k, 2) * TILE_N * 2) {
        const int columns = smaller(TILE_N, n - j);
        if (columns < TILE_N || k % 2) memset(packed, 0, panel_bytes_of_f16(k));
        for (int k_from = 0; k_from < k; k_from += PACK_DEPTH) {
            uint16_t *rows = packed + (size_t)k_from * TILE_N;
            const int depth = smaller(k - k_from, PACK_DEPTH);
            for (int c = 0; c < columns; c++) {
                uint16_t values[16];
                convert_16(values, w + (size_t)(j + c) * (size_t)k + k_from, depth, false);
                for (int kk = 0; kk < depth; kk++)
                    rows[(size_t)kk * TILE_N + (size_t)c] = values[kk];
            }
        }
    }
}

// What the product of a column of weights starts from.
KERNEL_INLINE int32_t start_of(const int8_t *column, int k) {
    int32_t sum = 0;
    for (int kk = 0; kk < k; kk++) sum += column[kk];
    return -128 * sum;
}

typedef int32_t column_start(const int8_t *column, int k);

KERNEL_INLINE void pack_column_i8(int8_t *rows, const int8_t *column, int k, const int word) {
    const size_t row_bytes = TILE_N * (size_t)word;
    const int whole = k / word;
    for (int kw = 0; kw < whole; kw++)
        memcpy(rows + (size_t)kw * row_bytes, column + word * kw, (size_t)word);
    if (k % word)
        memcpy(rows + (size_t)whole * row_bytes, column + word * whole, (size_t)(k % word));
}

KERNEL_INLINE void pack_panels_in_words_i8(int8_t *packed, const int8_t *w, int n, int k,
                                           const int word, column_start *start) {
    const size_t panel_bytes = panel_bytes_in_words_i8(k, word);
    for (int j = 0; j < n; j += TILE_N, packed += panel_bytes) {
        int32_t starts[TILE_N] = {0};
        const int columns = smaller(TILE_N, n - j);
        if (columns < TILE_N || k % word) memset(packed, 0, panel_bytes);
        for (int c = 0; c < columns; c++) {
            const int8_t *column = w + (size_t)(j + c) * (size_t)k;
            pack_column_i8(packed + sizeof starts + word * c, column, k, word);
            starts[c] = start(column, k);
        }
        memcpy(packed, starts, sizeof starts);
    }
}

KERNEL_INLINE void pack_panels_i8(int8_t *packed, const int8_t *w, int n, int k) {
    pack_panels_in_words_i8(packed, w, n, k, 4, start_of);
}

KERNEL_INLINE void cast_panels_f32_to_bf16(uint16_t *packed, const float *from, int n, int k) {
    for (int panel = 0; panel < n_panels(n); panel++) {
        for (int kk = 0; kk < k; kk += 2, from += 2 * TILE_N, packed += 2 * TILE_N) {
            for (int c = 0; c < TILE_N; c += 16) {
                const lanes even = lanes_load(from + c);
                const lanes odd = kk + 1 < k ? lanes_load(from + TILE_N + c) : lanes_all(0.0f);
                lanes_store_bf16_pairs(packed + 2 * c, even, odd);
            }
        }
        if (k % 2) from -= TILE_N;
    }
}

KERNEL_INLINE void cast_panels_f32_to_f16(uint16_t *packed, const float *from, int n, int k) {
    for (int panel = 0; panel < n_panels(n); panel++) {
        for (int kk = 0; kk < k; kk++, from += TILE_N, packed += TILE_N)
            for (int c = 0; c < TILE_N; c += 16) lanes_store_f16(packed + c, lanes_load(from + c));
        if (k % 2) {
            memset(packed, 0, TILE_N * sizeof *packed);
            packed += TILE_N;
        }
    }
}

#endif
