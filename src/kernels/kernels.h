// SPDX-License-Identifier: Apache-2.0
// The contract of every kernel, and the table they are called through. A kernel is
// a pure function: no allocation, no failure, no state. wb_kernels_select() fills
// the table from the scalar set upwards by what the CPU has, once, at open.
//
// Numerics, the same for every set, so that a label never depends on the CPU:
//   - Multiply-add is always fused (one rounding), in scalar code too.
//   - A product's sum runs over k in ascending order in one chain an output:
//     lanes are outputs, never parts of a sum. Blocking over k continues the
//     chain from memory. So f32 products are the same bits on every set, for any m
//     and any split over threads; i8 products are exact integers before one scale.
//   - A sum over a row (layer norm, softmax, absmax) runs in 16 lanes, element i in
//     lane i % 16, and the lanes are added as a tree: 8 + 8, 4 + 4, 2 + 2, 1 + 1.
//   - exp and erf are the same polynomials in the same order everywhere.
//   - bf16 and f16 products round as the CPU's instruction does, a cell alike for any m and any
//     split: compare with a tolerance.
// Pointers to packed weights are 64-byte aligned; all others need only their
// type's alignment. Nothing outside the stated shapes is read or written.
#ifndef WB_KERNELS_H
#define WB_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wb_activation { WB_LINEAR, WB_GELU, WB_RELU, WB_SILU } wb_activation;

// What happens to a product's cell before it is stored: y = activation(sum + bias).
// WB_GELU is the erf form, x/2 (1 + erf(x/sqrt 2)).
typedef struct wb_epilogue {
    const float *bias;  // [n]; NULL: none
    wb_activation activation;
    const void *next;  // the panel that the caller multiplies after these: fetched towards the
                       // core meanwhile; NULL: not known
    // gemm_i8 alone: y goes to y_i8[m, n], whose ld is ld_y, as quantize_i8_static makes bytes of
    // it with factor[n], for another product's x. NULL: it goes to y.
    uint8_t *y_i8;
    const float *factor;
} wb_epilogue;

typedef struct wb_kernels {
    const char *isa;  // "scalar", "avx2", "avx512", "amx", "neon": the highest that filled a slot
    uint32_t cpu_flags;  // the WB_CPU_ flags the set was chosen for
    bool has_bf16;       // bf16 products are arithmetic of this CPU, not emulated
    bool has_f16;
    // The names of what fills the slots, for plans and reports: "gemm_i8_avx512_vnni".
    const char *gemm_f32_name, *gemm_bf16_name, *gemm_f16_name, *gemm_i8_name;
    const char *attention_name, *rowwise_name;

    // ---- Products: y[m, n] <- epilogue(x[m, k] . w[n, k]^T) ----
    //
    // Weights are packed once into panels of tile_n output columns, k-major inside, the
    // last panel padded with zeros; a panel takes the same bytes whatever it holds, so
    // columns [j, n) of a product start at panel j / tile_n. tile_n is the same for all
    // precisions of a set.
    int tile_n;
    size_t (*panel_bytes_f32)(int k);  // multiples of 64
    size_t (*panel_bytes_bf16)(int k);
    size_t (*panel_bytes_f16)(int k);
    size_t (*panel_bytes_i8)(int k);  // the panel's column sums included

    // packed[ceil(n / tile_n) panels] <- w[n, k] row-major.
    void (*pack_f32)(void *packed, const float *w, int n, int k);
    void (*pack_bf16)(void *packed, const float *w, int n, int k);  // rounds to nearest even
    void (*pack_f16)(void *packed, const float *w, int n, int k);
    void (*pack_i8)(void *packed, const int8_t *w, int n, int k);  // |w| <= 127

    // bf16 or f16 panels <- f32 panels: autocast's cast at each use.
    void (*cast_panels_bf16)(void *packed, const void *packed_f32, int n, int k);
    void (*cast_panels_f16)(void *packed, const void *packed_f32, int n, int k);

    void (*gemm_f32)(float *y, int ld_y, const float *x, int ld_x, const void *packed, int m, int n,
                     int k, const wb_epilogue *epilogue);
    // x in bf16 or f16 bits.
    void (*gemm_bf16)(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed, int m,
                      int n, int k, const wb_epilogue *epilogue);
    void (*gemm_f16)(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed, int m,
                     int n, int k, const wb_epilogue *epilogue);
    // gemm_bf16, y in bf16 bits as cast_bf16 rounds it, for another product's x. NULL: the set has
    // none, because it takes so long for a product that casting y costs nothing beside it.
    void (*gemm_bf16_to_bf16)(uint16_t *y, int ld_y, const uint16_t *x, int ld_x,
                              const void *packed, int m, int n, int k, const wb_epilogue *epilogue);
    // x[m, k] holds q + 128 with q in [-127, 127], as quantize_i8 writes it.
    // sum = exact int32 of q . w;  y = activation(fma((float)sum, x_scale[i] * w_scale[j],
    // bias[j]))
    void (*gemm_i8)(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                    const void *packed, const float *w_scale, int m, int n, int k,
                    const wb_epilogue *epilogue);

    // ---- Rows ----

    // q[i, :] <- 128 + round_to_even(x[i, :] * (127 / absmax)), absmax = max|x[i, :]|;
    // scale[i] <- absmax / 127. A row whose absmax is under 2^-100 counts as zeros: scale 0, q 128.
    void (*quantize_i8)(uint8_t *q, int ld_q, float *scale, const float *x, int ld_x, int m, int k);
    // The same with scales that are known before: q[i, j] <- 128 + round_to_even(x[i, j] *
    // factor[j]), one rounding, kept within [-127, 127]; a NaN becomes -127.
    void (*quantize_i8_static)(uint8_t *q, int ld_q, const float *x, int ld_x, const float *factor,
                               int m, int k);
    void (*cast_bf16)(uint16_t *y, int ld_y, const float *x, int ld_x, int m, int k);
    void (*cast_f16)(uint16_t *y, int ld_y, const float *x, int ld_x, int m, int k);

    // y[i, :] <- gamma * (z - mean(z)) / sqrt(var(z) + eps) + beta, z = a[i, :] + b[i, :].
    // Two passes over z: the variance is of the differences from the mean. y may be a or b.
    void (*add_norm)(float *y, int ld_y, const float *a, int ld_a, const float *b, int ld_b,
                     const float *gamma, const float *beta, float eps, int m, int d);

    // s[i, 0..n_valid) <- softmax of itself; s[i, n_valid..n) <- 0 (masked keys).
    void (*softmax)(float *s, int ld_s, int m, int n, int n_valid);

    // ---- Attention of one head of one sequence; q, k, v, y have d_head columns ----

    // Floats of scratch that the three functions below need for n_keys keys.
    size_t (*attention_scratch)(int n_keys, int d_head);

    // y[n_query, d_head] <- softmax(scale q . k^T) . v over n_keys keys, tile by tile with a
    // running maximum and sum (Milakov & Gimelshein 2018, Dao et al. 2022): scores of one
    // tile exist at a time. The tile is 64 keys on every set.
    void (*attention_flash)(float *y, int ld_y, const float *q, const float *k, const float *v,
                            int ld_qkv, int n_query, int n_keys, int d_head, float scale,
                            float *scratch);
    // The materialised form, as the study's baseline: s[n_query, n_keys] <- scale q . k^T, then
    // softmax, then y[n_query, d_head] <- s . v.
    void (*attention_scores)(float *s, int ld_s, const float *q, const float *k, int ld_qkv,
                             int n_query, int n_keys, int d_head, float scale, float *scratch);
    void (*attention_context)(float *y, int ld_y, const float *s, int ld_s, const float *v,
                              int ld_v, int n_query, int n_keys, int d_head);
} wb_kernels;

// Fills the whole table for a CPU with these flags (cpu/cpu.h).
void wb_kernels_select(wb_kernels *kernels, uint32_t cpu_flags);

// One rung each: overrides the slots it has better kernels for. Scalar fills all.
void wb_kernels_init_scalar(wb_kernels *kernels);
void wb_kernels_init_avx2(wb_kernels *kernels);
void wb_kernels_init_avx2_vnni(wb_kernels *kernels);
void wb_kernels_init_avx512(wb_kernels *kernels);
void wb_kernels_init_avx512_vnni(wb_kernels *kernels);
void wb_kernels_init_avx512_bf16(wb_kernels *kernels);
void wb_kernels_init_avx512_fp16(wb_kernels *kernels);
void wb_kernels_init_amx_int8(wb_kernels *kernels);
void wb_kernels_init_amx_bf16(wb_kernels *kernels);
void wb_kernels_init_neon(wb_kernels *kernels);
void wb_kernels_init_neon_dotprod(wb_kernels *kernels);
void wb_kernels_init_neon_i8mm(wb_kernels *kernels);
void wb_kernels_init_neon_bf16(wb_kernels *kernels);
void wb_kernels_init_neon_fp16(wb_kernels *kernels);

#endif
