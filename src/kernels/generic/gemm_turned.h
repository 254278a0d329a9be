// SPDX-License-Identifier: Apache-2.0
// int8 products without VNNI, over a bytes.h that takes weights apart into sizes and what turns an
// input's bits (avx2/, avx512/). With many rows that is made once for all of them, not once for
// each tile. It is twice as large as the weights, so it is made of a stretch of k of one panel at a
// time, while rows pass in blocks whose sums wait for the next stretch.
#ifndef WB_KERNELS_GEMM_TURNED_H
#define WB_KERNELS_GEMM_TURNED_H

#include "kernels/generic/gemm_i8.h"

enum {
    STRETCH_WORDS = 256 / TILE_VECTORS,  // 32 KB
    BLOCK_ROWS = 240,                    // 15 or 60 KB of sums
    FEW_ROWS_I8 = 2 * TILE_ROWS_I8       // up to so many, it is not worth it
};

// The sizes of a column's weights below 0 (bytes.h).
KERNEL_INLINE int32_t start_of_turned(const int8_t *column, int k) {
    int32_t start = 0;
    for (int kk = 0; kk < k; kk++) start -= column[kk] < 0 ? column[kk] : 0;
    return start;
}

KERNEL_INLINE void pack_panels_turned_i8(int8_t *packed, const int8_t *w, int n, int k) {
    pack_panels_in_words_i8(packed, w, n, k, WORD_I8, start_of_turned);
}

// Of a panel, words [first, first + n) and, with is_last, the panel's odd bytes.
typedef struct stretch {
    const int8_t *panel;
    int first, n, k;
    bool is_last;
    weights_i8 (*words)[TILE_VECTORS];
} stretch;

KERNEL_INLINE const int8_t *weights_at(const int8_t *panel, int word) {
    return panel + TILE_N * (sizeof(int32_t) + (size_t)word * WORD_I8);
}

KERNEL_INLINE void turn(weights_i8 (*turned)[TILE_VECTORS], stretch s) {
    for (int w = 0; w < s.n; w++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            turned[w][v] = weights_load(weights_at(s.panel, s.first + w) + 64 * v);
    }
}

// sums += x[rows, s.n words] times the stretch; and y's cells, where it is the panel's last.
KERNEL_INLINE void tile_turned(const output *out, int i, const int rows, int j, const uint8_t *x,
                               size_t ld_x, scales scale, words (*sums)[TILE_VECTORS], stretch s,
                               ahead next) {
    words sum[TILE_ROWS][TILE_VECTORS];
    if (s.is_last && !out->epilogue.y_i8) fetch_cells(out, i, rows, j);
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = s.first ? sums[r][v] : words_load(s.panel + 64 * v);
    }
    next.p += (size_t)s.first * next.step;
    x += (size_t)s.first * WORD_I8;
    for (int w = 0; w < s.n; w++, x += WORD_I8) {
        fetch(&next, rows);
        weights_i8 word[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) word[v] = s.words[w][v];
        UNROLL
        for (int r = 0; r < rows; r++) {
            const inputs_u8 row = inputs_all(x + (size_t)r * ld_x);
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = words_dot(sum[r][v], row, word[v]);
        }
    }
    if (!s.is_last) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            UNROLL
            for (int v = 0; v < TILE_VECTORS; v++) sums[r][v] = sum[r][v];
        }
        return;
    }
    if (s.k % WORD_I8)
        multiply_bytes(sum, rows, x, ld_x, weights_at(s.panel, s.k / WORD_I8), s.k % WORD_I8);
    close_tile_i8(sum, rows, out, i, j, scale);
}

KERNEL_INLINE void block_turned(const output *out, int i, int n_rows, int j, const uint8_t *x,
                                size_t ld_x, scales scale, words (*sums)[TILE_VECTORS], stretch s) {
    for (int r = 0, rows; r < n_rows; r += rows, sums += rows, i += rows) {
        const uint8_t *xi = x + (size_t)i * ld_x;
        rows = equal_rows(n_rows - r, TILE_ROWS_I8);
        const ahead next = ahead_of(out, s.panel, words_of(s.k, WORD_I8), TILE_N * WORD_I8, i, rows,
                                    j + TILE_N >= out->n);
        switch (rows) {
            case 1: tile_turned(out, i, 1, j, xi, ld_x, scale, sums, s, next); break;
            case 2: tile_turned(out, i, 2, j, xi, ld_x, scale, sums, s, next); break;
            case 3: tile_turned(out, i, 3, j, xi, ld_x, scale, sums, s, next); break;
            case 4: tile_turned(out, i, 4, j, xi, ld_x, scale, sums, s, next); break;
            default: tile_turned(out, i, 5, j, xi, ld_x, scale, sums, s, next); break;
        }
        if (s.is_last) finish_tile_i8(out, i, rows, j);
    }
}

// A function of its own: its loops would want for registers within the other.
__attribute__((noinline)) static void gemm_few_i8(const output *out, const uint8_t *x, int ld_x,
                                                  scales scale, const int8_t *packed, int k) {
    gemm_rows_i8(out, x, ld_x, scale, packed, k, TILE_ROWS_I8);
}

KERNEL_INLINE void gemm_turned_i8(const output *out, const uint8_t *x, int ld_x, scales scale,
                                  const int8_t *packed, int k) {
    if (out->m <= FEW_ROWS_I8) {
        gemm_few_i8(out, x, ld_x, scale, packed, k);
        return;
    }
    const int n_words = k / WORD_I8;
    weights_i8 turned[STRETCH_WORDS][TILE_VECTORS];
    words sums[BLOCK_ROWS][TILE_VECTORS];
    for (int j = 0; j < out->n; j += TILE_N, packed += panel_bytes_in_words_i8(k, WORD_I8)) {
        int first_turned = -1;
        for (int i = 0, n_rows; i < out->m; i += n_rows) {
            n_rows = equal_rows(out->m - i, BLOCK_ROWS);
            stretch s = {.panel = packed, .k = k, .words = turned};
            do {
                s.n = smaller(n_words - s.first, STRETCH_WORDS);
                s.is_last = s.first + s.n == n_words;
                if (s.first != first_turned) turn(turned, s);
                first_turned = s.first;
                block_turned(out, i, n_rows, j, x, (size_t)ld_x, scale, sums, s);
                s.first += s.n;
            } while (!s.is_last);
        }
    }
}

#endif
