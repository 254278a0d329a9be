// SPDX-License-Identifier: Apache-2.0
// Kernels that go along rows: quantise, cast, add and normalise, softmax. Sums and maxima run in 16
// lanes, element i in lane i % 16. Written over lanes.h, which a set's file includes first.
#ifndef WB_KERNELS_ROWS_H
#define WB_KERNELS_ROWS_H

#include "kernels/generic/tile.h"

// Under this a row's inverse scale would overflow; it counts as zeros.
static const float smallest_absmax = 0x1p-100f;

// In four chains, because a maximum takes as many cycles.
KERNEL_INLINE float row_absmax(const float *x, int k) {
    lanes greatest[4];
    UNROLL
    for (int c = 0; c < 4; c++) greatest[c] = lanes_all(0.0f);
    for (int i = 0; i < k; i += 64) {
        UNROLL
        for (int c = 0; c < 4; c++) {
            const int j = i + 16 * c;
            if (j < k) greatest[c] = lanes_max(greatest[c], lanes_abs(load_columns(x + j, k - j)));
        }
    }
    return lanes_greatest(
        lanes_max(lanes_max(greatest[0], greatest[1]), lanes_max(greatest[2], greatest[3])));
}

// q[columns, at most 16] <- the low byte of each lane
KERNEL_INLINE void store_bytes(uint8_t *q, lanes v, int columns) {
    if (columns >= 16) {
        lanes_store_low_bytes(q, v);
    } else {
        uint8_t last[16];
        lanes_store_low_bytes(last, v);
        memcpy(q, last, (size_t)columns);
    }
}

// q <- 128 + round(x * inverse): adding 1.5 * 2^23 + 128 in the one rounding of the
// multiply-add leaves q in the low byte. Asks for the next row meanwhile: the middle of a
// feed-forward block does not stay in the second-level cache (16 threads of a Xeon with AMX: 1.02
// to 1.04 of an int8 run's rate).
KERNEL_INLINE void quantize_row(uint8_t *q, const float *x, const float *next, float inverse,
                                int k) {
    const lanes factor = lanes_all(inverse), shift = lanes_all(0x1.8p23f + 128.0f);
    for (int i = 0; i < k; i += 16) {
        __builtin_prefetch(next + i);
        store_bytes(q + i, lanes_fma(load_columns(x + i, k - i), factor, shift), k - i);
    }
}

KERNEL_INLINE void quantize_rows(uint8_t *q, int ld_q, float *scale, const float *x, int ld_x,
                                 int m, int k) {
    for (int i = 0; i < m; i++) {
        const float *row = x + (size_t)i * (size_t)ld_x;
        const float absmax = row_absmax(row, k);
        const bool is_zero = absmax < smallest_absmax;
        scale[i] = is_zero ? 0.0f : absmax / 127.0f;
        quantize_row(q + (size_t)i * (size_t)ld_q, row, i + 1 < m ? row + ld_x : row,
                     is_zero ? 0.0f : 127.0f / absmax, k);
    }
}

// 128 + q in the low byte of each lane. The shift puts it there and its bounds next to each other,
// so that what saturates is cut after the one rounding. lanes_max returns its second operand for a
// NaN.
KERNEL_INLINE lanes quantize_lanes(lanes x, lanes factor) {
    const float zero = 0x1.8p23f + 128.0f;
    const lanes v = lanes_fma(x, factor, lanes_all(zero));
    return lanes_min(lanes_max(v, lanes_all(zero - 127.0f)), lanes_all(zero + 127.0f));
}

KERNEL_INLINE void quantize_rows_static(uint8_t *q, int ld_q, const float *x, int ld_x,
                                        const float *factor, int m, int k) {
    for (int i = 0; i < m; i++) {
        const float *row = x + (size_t)i * (size_t)ld_x;
        uint8_t *to = q + (size_t)i * (size_t)ld_q;
        for (int j = 0; j < k; j += 16) {
            const lanes v = load_columns(row + j, k - j);
            store_bytes(to + j, quantize_lanes(v, load_columns(factor + j, k - j)), k - j);
        }
    }
}

KERNEL_INLINE void cast_rows(uint16_t *y, int ld_y, const float *x, int ld_x, int m, int k,
                             bool is_bf16) {
    for (int i = 0; i < m; i++) {
        const float *from = x + (size_t)i * (size_t)ld_x;
        uint16_t *to = y + (size_t)i * (size_t)ld_y;
        int j = 0;
        for (; j + 16 <= k; j += 16) convert_16(to + j, from + j, 16, is_bf16);
        if (j < k) {
            uint16_t last[16];
            convert_16(last, from + j, k - j, is_bf16);
            memcpy(to + j, last, (size_t)(k - j) * sizeof *to);
        }
    }
}

// A chain of sums takes as many cycles a step as the core needs for two rows, so rows go in pairs.
enum { NORM_ROWS = 2 };

// y <- a + b; each row's sum
KERNEL_INLINE void add_few_rows(float sum[NORM_ROWS], const int rows, float *y, size_t ld_y,
                                const float *a, size_t ld_a, const float *b, size_t ld_b, int d) {
    lanes sums[NORM_ROWS];
    UNROLL
    for (int r = 0; r < rows; r++) sums[r] = lanes_all(0.0f);
    for (int j = 0; j < d; j += 16) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            const size_t row = (size_t)r;
            const lanes z = lanes_add(load_columns(a + row * ld_a + j, d - j),
                                      load_columns(b + row * ld_b + j, d - j));
            sums[r] = lanes_add(sums[r], z);
            store_columns(y + row * ld_y + j, z, d - j);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) sum[r] = lanes_sum(sums[r]);
}

// z <- z - mean; each row's sum of the squares
KERNEL_INLINE void centre_few_rows(float sum[NORM_ROWS], const int rows, float *z, size_t ld_z,
                                   const float mean[NORM_ROWS], int d) {
    lanes sums[NORM_ROWS];
    UNROLL
    for (int r = 0; r < rows; r++) sums[r] = lanes_all(0.0f);
    for (int j = 0; j < d; j += 16) {
        UNROLL
        for (int r = 0; r < rows; r++) {
            float *cells = z + (size_t)r * ld_z + j;
            lanes difference = lanes_sub(load_columns(cells, d - j), lanes_all(mean[r]));
            if (d - j < 16) difference = lanes_keep_first(difference, d - j, lanes_all(0.0f));
            sums[r] = lanes_fma(difference, difference, sums[r]);
            store_columns(cells, difference, d - j);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) sum[r] = lanes_sum(sums[r]);
}

KERNEL_INLINE void add_norm_few_rows(const int rows, float *y, size_t ld_y, const float *a,
                                     size_t ld_a, const float *b, size_t ld_b, const float *gamma,
                                     const float *beta, float eps, int d) {
    float mean[NORM_ROWS], variance[NORM_ROWS];
    add_few_rows(mean, rows, y, ld_y, a, ld_a, b, ld_b, d);
    UNROLL
    for (int r = 0; r < rows; r++) mean[r] /= (float)d;
    centre_few_rows(variance, rows, y, ld_y, mean, d);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const lanes inverse = lanes_all(1.0f / sqrtf(variance[r] / (float)d + eps));
        float *row = y + (size_t)r * ld_y;
        for (int j = 0; j < d; j += 16) {
            const lanes z = lanes_mul(load_columns(row + j, d - j), inverse);
            store_columns(
                row + j,
                lanes_fma(z, load_columns(gamma + j, d - j), load_columns(beta + j, d - j)), d - j);
        }
    }
}

KERNEL_INLINE void add_norm_rows(float *y, int ld_y, const float *a, int ld_a, const float *b,
                                 int ld_b, const float *gamma, const float *beta, float eps, int m,
                                 int d) {
    const size_t step_y = (size_t)ld_y, step_a = (size_t)ld_a, step_b = (size_t)ld_b;
    for (int i = 0; i < m; i += NORM_ROWS) {
        const size_t row = (size_t)i;
        float *yi = y + row * step_y;
        const float *ai = a + row * step_a, *bi = b + row * step_b;
        if (m - i >= NORM_ROWS)
            add_norm_few_rows(NORM_ROWS, yi, step_y, ai, step_a, bi, step_b, gamma, beta, eps, d);
        else
            add_norm_few_rows(1, yi, step_y, ai, step_a, bi, step_b, gamma, beta, eps, d);
    }
}

KERNEL_INLINE void softmax_rows(float *s, int ld_s, int m, int n, int n_valid) {
    const lanes lowest = lanes_all(-INFINITY);
    for (int i = 0; i < m; i++) {
        float *row = s + (size_t)i * (size_t)ld_s;
        lanes greatest = lowest;
        for (int j = 0; j < n_valid; j += 16) {
            const lanes v = load_columns(row + j, n_valid - j);
            greatest = lanes_max(greatest, lanes_keep_first(v, smaller(16, n_valid - j), lowest));
        }
        const lanes maximum = lanes_all(lanes_greatest(greatest));

        lanes sum = lanes_all(0.0f);
        for (int j = 0; j < n_valid; j += 16) {
            const int columns = smaller(16, n_valid - j);
            const lanes e = lanes_exp(lanes_sub(load_columns(row + j, columns), maximum));
            sum = lanes_add(sum, lanes_keep_first(e, columns, lanes_all(0.0f)));
            store_columns(row + j, e, columns);
        }
        const lanes inverse = lanes_all(1.0f / lanes_sum(sum));
        for (int j = 0; j < n_valid; j += 16)
            store_columns(row + j, lanes_mul(load_columns(row + j, n_valid - j), inverse),
                          n_valid - j);
        if (n_valid < n) memset(row + n_valid, 0, (size_t)(n - n_valid) * sizeof *row);
    }
}

#endif
