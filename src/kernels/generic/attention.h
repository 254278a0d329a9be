// SPDX-License-Identifier: Apache-2.0
// Attention of one head of one sequence: tile by tile with a running maximum and sum, and the
// materialised form. Written over lanes.h, which a set's file includes first.
//
// Keys are transposed into scratch, 64 to a tile, so that both products have the form of a linear
// layer's and use its register tile: scores have keys as columns, the context has d_head. Values
// are copied too: their rows lie 9216 bytes apart in DistilBERT's fused q, k, v, which puts 64 of
// them into 4 sets of the first-level cache.
#ifndef WB_KERNELS_ATTENTION_H
#define WB_KERNELS_ATTENTION_H

#include "kernels/generic/gemm_f32.h"

enum { TILE_KEYS = 64 };

KERNEL_INLINE size_t round_up_16(int n) {
    return ((size_t)n + 15) / 16 * 16;
}

// Keys [n_tiles][d_head, 64], values [n_keys, d_head rounded up], context [TILE_ROWS, d_head
// rounded up], and 16 floats to reach a cache line's start.
KERNEL_INLINE size_t scratch_floats(int n_keys, int d_head) {
    const size_t n_tiles = ((size_t)n_keys + TILE_KEYS - 1) / TILE_KEYS,
                 width = round_up_16(d_head);
    return n_tiles * TILE_KEYS * (size_t)d_head + ((size_t)n_keys + TILE_ROWS) * width + 16;
}

KERNEL_INLINE float *align_floats(float *p) {
    return p + (64 - (uintptr_t)p % 64) % 64 / sizeof *p;
}

// tile[d_head, 64] <- keys[n <= 64, d_head]^T; columns from n on, up to a multiple of 16, are 0.
KERNEL_INLINE void transpose_keys(float *tile, const float *keys, size_t ld, int n, int d_head) {
    for (int key = 0; key < n; key += 16) {
        for (int d = 0; d < d_head; d += 16) {
            lanes block[16];
            for (int i = 0; i < 16; i++)
                block[i] = key + i < n ? load_columns(keys + (size_t)(key + i) * ld + d, d_head - d)
                                       : lanes_all(0.0f);
            lanes_transpose(block);
            const int depth = smaller(16, d_head - d);
            for (int i = 0; i < depth; i++)
                lanes_store(tile + (size_t)(d + i) * TILE_KEYS + key, block[i]);
        }
    }
}

// out[n, width] <- values[n, columns], zeros to the right; width a multiple of 16.
KERNEL_INLINE void copy_values(float *out, size_t width, const float *values, size_t ld, int n,
                               int columns) {
    for (int key = 0; key < n; key++)
        for (int d = 0; d < columns; d += 16)
            lanes_store(out + (size_t)key * width + (size_t)d,
                        load_columns(values + (size_t)key * ld + d, columns - d));
}

// y[rows, 16 vectors] <- factor[rows] y + x[rows, k] . w[k, 16 vectors]; without factor y starts
// at 0.
KERNEL_INLINE void multiply_vectors(const int rows, const int vectors, float *y, size_t ld_y,
                                    const float *factor, const float *x, size_t ld_x,
                                    const float *w, size_t ld_w, int k) {
    lanes sum[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum[r][v] =
                factor ? lanes_mul(lanes_all(factor[r]), lanes_load(y + (size_t)r * ld_y + 16 * v))
                       : lanes_all(0.0f);
    }
    multiply_tile(sum, rows, vectors, x, ld_x, w, ld_w, k, NULL);
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < vectors; v++) lanes_store(y + (size_t)r * ld_y + 16 * v, sum[r][v]);
    }
}

KERNEL_INLINE void multiply_rows(const int vectors, int rows, float *y, size_t ld_y,
                                 const float *factor, const float *x, size_t ld_x, const float *w,
                                 size_t ld_w, int k) {
    switch (TILE_ROWS == 1 ? 1 : rows) {
        case 1: multiply_vectors(1, vectors, y, ld_y, factor, x, ld_x, w, ld_w, k); break;
        case 2: multiply_vectors(2, vectors, y, ld_y, factor, x, ld_x, w, ld_w, k); break;
        case 3: multiply_vectors(3, vectors, y, ld_y, factor, x, ld_x, w, ld_w, k); break;
        case 4: multiply_vectors(4, vectors, y, ld_y, factor, x, ld_x, w, ld_w, k); break;
        case 5: multiply_vectors(5, vectors, y, ld_y, factor, x, ld_x, w, ld_w, k); break;
        default: multiply_vectors(6, vectors, y, ld_y, factor, x, ld_x, w, ld_w, k); break;
    }
}

// The same for any number of columns that is a multiple of 16.
static void multiply_block(float *y, size_t ld_y, const float *factor, const float *x, size_t ld_x,
                           const float *w, size_t ld_w, int k, int rows, int columns) {
    int c = 0;
    if (TILE_VECTORS >= 4)
        for (; c + 64 <= columns; c += 64)
            multiply_rows(smaller(4, TILE_VECTORS), rows, y + c, ld_y, factor, x, ld_x, w + c, ld_w,
                          k);
    if (TILE_VECTORS >= 2)
        for (; c + 32 <= columns; c += 32)
            multiply_rows(smaller(2, TILE_VECTORS), rows, y + c, ld_y, factor, x, ld_x, w + c, ld_w,
                          k);
    for (; c < columns; c += 16)
        multiply_rows(1, rows, y + c, ld_y, factor, x, ld_x, w + c, ld_w, k);
}

// Of each row of a block, over the tiles so far: the greatest score, the sum of the exponentials
// relative to it, and what this tile's new maximum made of earlier sums.
typedef struct running {
    float greatest[16], sum[16], factor[16];
} running;

// s[n_keys] <- scale s, -inf up to a multiple of 16; the greatest of them and of so_far.
KERNEL_INLINE float scale_scores(float *s, int n_keys, float scale, float so_far) {
    lanes greatest = lanes_all(so_far);
    for (int j = 0; j < n_keys; j += 16) {
        lanes v = lanes_mul(lanes_load(s + j), lanes_all(scale));
        if (n_keys - j < 16) v = lanes_keep_first(v, n_keys - j, lanes_all(-INFINITY));
        lanes_store(s + j, v);
        greatest = lanes_max(greatest, v);
    }
    return lanes_greatest(greatest);
}

// s <- e^(s - greatest); their sum
KERNEL_INLINE float exponentiate_scores(float *s, int n_keys, float greatest) {
    lanes sum = lanes_all(0.0f);
    for (int j = 0; j < n_keys; j += 16) {
        const lanes e = lanes_exp(lanes_sub(lanes_load(s + j), lanes_all(greatest)));
        lanes_store(s + j, e);
        sum = lanes_add(sum, e);
    }
    return lanes_sum(sum);
}

KERNEL_INLINE void soften_tile(float *scores, running *run, int rows, int n_keys, float scale) {
    float greatest[16] = {0}, sum[16] = {0};
    for (int r = 0; r < rows; r++)
        greatest[r] = scale_scores(scores + r * TILE_KEYS, n_keys, scale, run->greatest[r]);
    for (int r = 0; r < rows; r++)
        sum[r] = exponentiate_scores(scores + r * TILE_KEYS, n_keys, greatest[r]);

    const lanes now = lanes_load(greatest);
    const lanes factor = lanes_exp(lanes_sub(lanes_load(run->greatest), now));
    lanes_store(run->greatest, now);
    lanes_store(run->factor, factor);
    lanes_store(run->sum, lanes_fma(lanes_load(run->sum), factor, lanes_load(sum)));
}

KERNEL_INLINE void flash_attention(float *y, int ld_y, const float *q, const float *k,
                                   const float *v, int ld_qkv, int n_query, int n_keys, int d_head,
                                   float scale, float *scratch) {
    const size_t ld = (size_t)ld_qkv, width = round_up_16(d_head);
    const size_t tile_floats = (size_t)TILE_KEYS * (size_t)d_head;
    const size_t n_tiles = ((size_t)n_keys + TILE_KEYS - 1) / TILE_KEYS;
    float *keys = align_floats(scratch), *values = keys + n_tiles * tile_floats;
    float *context = values + (size_t)n_keys * width;
    for (int key = 0; key < n_keys; key += TILE_KEYS)
        transpose_keys(keys + (size_t)key * (size_t)d_head, k + (size_t)key * ld, ld,
                       smaller(TILE_KEYS, n_keys - key), d_head);
    copy_values(values, width, v, ld, n_keys, d_head);

    for (int i = 0, rows; i < n_query; i += rows) {
        rows = tile_rows(n_query - i);
        running run = {0};
        for (int r = 0; r < 16; r++) run.greatest[r] = -INFINITY;
        for (int key = 0; key < n_keys; key += TILE_KEYS) {
            _Alignas(64) float scores[TILE_ROWS * TILE_KEYS];
            const int n = smaller(TILE_KEYS, n_keys - key);
            multiply_block(scores, TILE_KEYS, NULL, q + (size_t)i * ld, ld,
                           keys + (size_t)key * (size_t)d_head, TILE_KEYS, d_head, rows,
                           (int)round_up_16(n));
            soften_tile(scores, &run, rows, n, scale);
            multiply_block(context, width, key ? run.factor : NULL, scores, TILE_KEYS,
                           values + (size_t)key * width, width, n, rows, (int)width);
        }
        for (int r = 0; r < rows; r++)
            for (int d = 0; d < d_head; d += 16)
                store_columns(y + (size_t)(i + r) * (size_t)ld_y + d,
                              lanes_mul(lanes_load(context + (size_t)r * width + (size_t)d),
                                        lanes_all(1.0f / run.sum[r])),
                              d_head - d);
    }
}

KERNEL_INLINE void score_attention(float *s, int ld_s, const float *q, const float *k, int ld_qkv,
                                   int n_query, int n_keys, int d_head, float scale,
                                   float *scratch) {
    const size_t ld = (size_t)ld_qkv;
    float *keys = align_floats(scratch);
    for (int key = 0; key < n_keys; key += TILE_KEYS) {
        const int n = smaller(TILE_KEYS, n_keys - key);
        transpose_keys(keys, k + (size_t)key * ld, ld, n, d_head);
        for (int i = 0, rows; i < n_query; i += rows) {
            _Alignas(64) float scores[TILE_ROWS * TILE_KEYS];
            rows = tile_rows(n_query - i);
            multiply_block(scores, TILE_KEYS, NULL, q + (size_t)i * ld, ld, keys, TILE_KEYS, d_head,
                           rows, (int)round_up_16(n));
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < n; j += 16)
                    store_columns(
                        s + (size_t)(i + r) * (size_t)ld_s + key + j,
                        lanes_mul(lanes_load(scores + r * TILE_KEYS + j), lanes_all(scale)), n - j);
        }
    }
}

// One tile of keys and at most 64 columns of the context: y[n_query, columns] (+)= s . values.
KERNEL_INLINE void add_context(float *y, size_t ld_y, const float *s, size_t ld_s,
                               const float *values, size_t width, int n_query, int n, int columns,
                               bool is_first) {
    static const float one[6] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
    for (int i = 0, rows; i < n_query; i += rows) {
        _Alignas(64) float context[TILE_ROWS * TILE_KEYS];
        rows = tile_rows(n_query - i);
        for (int r = 0; r < rows && !is_first; r++)
            for (int d = 0; d < columns; d += 16)
                lanes_store(context + r * TILE_KEYS + d,
                            load_columns(y + (size_t)(i + r) * ld_y + d, columns - d));
        multiply_block(context, TILE_KEYS, is_first ? NULL : one, s + (size_t)i * ld_s, ld_s,
                       values, width, n, rows, (int)width);
        for (int r = 0; r < rows; r++)
            for (int d = 0; d < columns; d += 16)
                store_columns(y + (size_t)(i + r) * ld_y + d,
                              lanes_load(context + r * TILE_KEYS + d), columns - d);
    }
}

KERNEL_INLINE void apply_attention(float *y, int ld_y, const float *s, int ld_s, const float *v,
                                   int ld_v, int n_query, int n_keys, int d_head) {
    _Alignas(64) float values[TILE_KEYS * TILE_KEYS];
    for (int d = 0; d < d_head; d += TILE_KEYS) {
        const int columns = smaller(TILE_KEYS, d_head - d);
        const size_t width = round_up_16(columns);
        for (int key = 0; key < n_keys; key += TILE_KEYS) {
            const int n = smaller(TILE_KEYS, n_keys - key);
            copy_values(values, width, v + (size_t)key * (size_t)ld_v + d, (size_t)ld_v, n,
                        columns);
            add_context(y + d, (size_t)ld_y, s + key, (size_t)ld_s, values, width, n_query, n,
                        columns, key == 0);
        }
    }
}

#endif
