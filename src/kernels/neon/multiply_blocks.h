// SPDX-License-Identifier: Apache-2.0
// The register tile of the instructions that multiply 2 x 8 bytes by 8 bytes x 2 (USMMLA: eight
// int8, BFMMLA: four bf16), over a rung's block.h. A register of sums is 2 rows x 2 columns, one of
// weights two columns' words of 64 bits as they lie in the panel, one of inputs the same of two
// rows:
//
//     | row 0, k 0-7 | row 1, k 0-7 |  x  | column 0, k 0-7 | column 1, k 0-7 |
//     ->  | r0 c0 | r0 c1 | r1 c0 | r1 c1 |
//
// 24 registers of sums, 3 of inputs, 1 to 5 of weights. Rows come in pairs; a lone last one is its
// own partner.
#ifndef WB_KERNELS_MULTIPLY_BLOCKS_H
#define WB_KERNELS_MULTIPLY_BLOCKS_H

#include "kernels/generic/tile.h"

enum {
    BLOCK_ROWS = TILE_ROWS / 2,
    BLOCK_COLUMNS = TILE_N / 2,
    BLOCK_BYTES = 8,  // of a word
};

// Bytes [at, at + 8) of a row, from n_bytes on 0.
KERNEL_INLINE uint8x8_t load_word(const uint8_t *row, size_t at, size_t n_bytes) {
    if (at + BLOCK_BYTES <= n_bytes) return vld1_u8(row + at);
    uint8_t last[BLOCK_BYTES] = {0};
    memcpy(last, row + at, n_bytes - at);
    return vld1_u8(last);
}

// sum += the words of rows [0, rows) at byte at of n_bytes . w, one word of each column.
KERNEL_INLINE void multiply_words(block sum[BLOCK_ROWS][BLOCK_COLUMNS], const int rows,
                                  const uint8_t *x, size_t ld_bytes, size_t at, size_t n_bytes,
                                  const uint8_t *w) {
    uint8x16_t row[BLOCK_ROWS];
    UNROLL
    for (int p = 0; 2 * p < rows; p++) {
        const uint8_t *first = x + 2 * (size_t)p * ld_bytes;
        const uint8_t *second = 2 * p + 1 < rows ? first + ld_bytes : first;
        row[p] = vcombine_u8(load_word(first, at, n_bytes), load_word(second, at, n_bytes));
    }
    UNROLL
    for (int c = 0; c < BLOCK_COLUMNS; c++) {
        const uint8x16_t column = vld1q_u8(w + 16 * c);
        UNROLL
        for (int p = 0; 2 * p < rows; p++) sum[p][c] = block_multiply(sum[p][c], row[p], column);
    }
}

// sum[rows, TILE_N] += x[rows, n_bytes] . panel, without what may precede its words.
KERNEL_INLINE void multiply_blocks(block sum[BLOCK_ROWS][BLOCK_COLUMNS], const int rows,
                                   const uint8_t *x, size_t ld_bytes, const uint8_t *panel,
                                   size_t n_bytes, ahead *next) {
    size_t at = 0;
    for (; at + BLOCK_BYTES <= n_bytes; at += BLOCK_BYTES) {
        fetch(next, rows);
        multiply_words(sum, rows, x, ld_bytes, at, at + BLOCK_BYTES, panel + at * TILE_N);
    }
    if (at < n_bytes) multiply_words(sum, rows, x, ld_bytes, at, n_bytes, panel + at * TILE_N);
}

#endif
