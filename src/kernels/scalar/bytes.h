// SPDX-License-Identifier: Apache-2.0
// Exact int8 products in portable C, for generic/gemm_i8.h.
#ifndef WB_BYTES_H
#define WB_BYTES_H

#include "kernels/scalar/lanes.h"

// 16 sums of int8 products, and what they are made of.
typedef struct words {
    int32_t i[16];
} words;

typedef struct weights_i8 {
    int8_t w[64];  // 16 columns of 4
} weights_i8;

typedef struct inputs_u8 {
    uint8_t x[4];
} inputs_u8;

static inline words words_load(const int8_t *p) {
    words v;
    memcpy(v.i, p, sizeof v.i);
    return v;
}

static inline weights_i8 weights_load(const int8_t *p) {
    weights_i8 w;
    memcpy(w.w, p, sizeof w.w);
    return w;
}

static inline inputs_u8 inputs_all(const uint8_t *p) {
    inputs_u8 x;
    memcpy(x.x, p, sizeof x.x);
    return x;
}

// sum[i] += the product of 4 inputs and column i's 4 weights
static inline words words_dot(words sum, inputs_u8 x, weights_i8 w) {
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 4; k++) sum.i[i] += x.x[k] * w.w[4 * i + k];
    return sum;
}

static inline lanes lanes_from_words(words v) {
    lanes f;
    for (int i = 0; i < 16; i++) f.f[i] = (float)v.i[i];
    return f;
}

#endif
