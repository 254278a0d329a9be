// SPDX-License-Identifier: Apache-2.0
// Panels for the matrix unit (AMX): each tile is 1 KB in one piece, in the order in which it is
// loaded. A word is 32 bits of one column, two bf16 or four int8 of consecutive k, and k ends with
// a whole step: zeros behind it.
//
//     a panel:  its left 32 columns | its right 32
//     a half:   for each step of 16 words, of columns  0 .. 15 | 16 .. 31  a tile
//     a tile:   16 rows, row kw the words kw of 16 columns
//
// Read from AVX-512's panels a tile is 16 pieces of 64 bytes, 256 apart. In turn with those, one
// core of a shared Xeon (Emerald Rapids): the products of m = 224 of DistilBERT's four shapes
// take 14.7, 14.2, 15.4 and 40.0 ns a tile product of bf16 from those and 13.9, 13.2, 14.3 and 35.4
// from these, and a whole forward in int8 runs at 1.05 to 1.07 of the rate, with one thread and
// with 16.
#ifndef WB_KERNELS_PANELS_TILES_H
#define WB_KERNELS_PANELS_TILES_H

#include "kernels/generic/panels.h"

enum {
    STEP_WORDS = 16,
    TILE_BYTES = 16 * STEP_WORDS * 4,
    STEP_BYTES = 2 * TILE_BYTES,  // of a half
};

// Steps of k values of a column, of which a word has so many.
KERNEL_INLINE size_t steps_of(int k, const int word) {
    return words_of(k, STEP_WORDS * word);
}

KERNEL_INLINE size_t tiles_bytes_of(int k, const int word) {
    return steps_of(k, word) * 2 * STEP_BYTES;
}

// Where the tiles of n_steps have word kw of column c.
KERNEL_INLINE uint32_t *word_of(void *tiles, size_t kw, int c, size_t n_steps) {
    const size_t half = (size_t)c / 32, tile = (size_t)c % 32 / 16, column = (size_t)c % 16;
    const size_t step = kw / STEP_WORDS, row = kw % STEP_WORDS;
    return (uint32_t *)tiles + ((half * n_steps + step) * 2 + tile) * (TILE_BYTES / 4) + row * 16 +
           column;
}

#endif
