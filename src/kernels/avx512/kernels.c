// SPDX-License-Identifier: Apache-2.0
// The set for AVX-512 F, BW, DQ and VL (Skylake-SP, Zen 4 and later): generic/ over one register of
// 16 floats, products in tiles of 6 x 64. VNNI and BF16 have rungs of their own above it.
#include "kernels/avx512/lanes.h"

#include "kernels/generic/attention.h"
#include "kernels/generic/gemm_f16.h"
#include "kernels/generic/pairs_widened.h"
#include "kernels/generic/gemm_bf16.h"
#include "kernels/avx512/bytes.h"
#include "kernels/generic/gemm_turned.h"
#include "kernels/generic/rows.h"

static size_t panel_bytes_f32_avx512(int k) {
    return panel_bytes_of_f32(k);
}

static size_t panel_bytes_bf16_avx512(int k) {
    return panel_bytes_of_bf16(k);
}

static size_t panel_bytes_f16_avx512(int k) {
    return panel_bytes_of_f16(k);
}

static size_t panel_bytes_i8_avx512(int k) {
    return panel_bytes_of_i8(k);
}

static void pack_f32_avx512(void *packed, const float *w, int n, int k) {
    pack_panels_f32(packed, w, n, k);
}

static void pack_bf16_avx512(void *packed, const float *w, int n, int k) {
    pack_panels_bf16(packed, w, n, k);
}

static void pack_f16_avx512(void *packed, const float *w, int n, int k) {
    pack_panels_f16(packed, w, n, k);
}

static void pack_i8_avx512(void *packed, const int8_t *w, int n, int k) {
    pack_panels_turned_i8(packed, w, n, k);
}

static void cast_panels_bf16_avx512(void *packed, const void *packed_f32, int n, int k) {
    cast_panels_f32_to_bf16(packed, packed_f32, n, k);
}

static void cast_panels_f16_avx512(void *packed, const void *packed_f32, int n, int k) {
    cast_panels_f32_to_f16(packed, packed_f32, n, k);
}

static void gemm_f32_avx512(float *y, int ld_y, const float *x, int ld_x, const void *packed, int m,
                            int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_f32(&out, x, ld_x, packed, k);
}

static void gemm_bf16_avx512(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                             int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_bf16(&out, x, ld_x, packed, k);
}

static void gemm_f16_avx512(float *y, int ld_y, const uint16_t *x, int ld_x, const void *packed,
                            int m, int n, int k, const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_lanes_f16(&out, x, ld_x, packed, k);
}

static void gemm_i8_avx512(float *y, int ld_y, const uint8_t *x, int ld_x, const float *x_scale,
                           const void *packed, const float *w_scale, int m, int n, int k,
                           const wb_epilogue *epilogue) {
    const output out = output_of(y, ld_y, m, n, epilogue);
    gemm_turned_i8(&out, x, ld_x, (scales){x_scale, w_scale}, packed, k);
}

static void quantize_i8_avx512(uint8_t *q, int ld_q, float *scale, const float *x, int ld_x, int m,
                               int k) {
    quantize_rows(q, ld_q, scale, x, ld_x, m, k);
}

static void quantize_i8_static_avx512(uint8_t *q, int ld_q, const float *x, int ld_x,
                                      const float *factor, int m, int k) {
    quantize_rows_static(q, ld_q, x, ld_x, factor, m, k);
}

static void cast_bf16_avx512(uint16_t *y, int ld_y, const float *x, int ld_x, int m, int k) {
    cast_rows(y, ld_y, x, ld_x, m, k, true);
}

static void cast_f16_avx512(uint16_t *y, int ld_y, const float *x, int ld_x, int m, int k) {
    cast_rows(y, ld_y, x, ld_x, m, k, false);
}

static void add_norm_avx512(float *y, int ld_y, const float *a, int ld_a, const float *b, int ld_b,
                            const float *gamma, const float *beta, float eps, int m, int d) {
    add_norm_rows(y, ld_y, a, ld_a, b, ld_b, gamma, beta, eps, m, d);
}

static void softmax_avx512(float *s, int ld_s, int m, int n, int n_valid) {
    softmax_rows(s, ld_s, m, n, n_valid);
}

static size_t attention_scratch_avx512(int n_keys, int d_head) {
    return scratch_floats(n_keys, d_head);
}

static void attention_flash_avx512(float *y, int ld_y, const float *q, const float *k,
                                   const float *v, int ld_qkv, int n_query, int n_keys, int d_head,
                                   float scale, float *scratch) {
    flash_attention(y, ld_y, q, k, v, ld_qkv, n_query, n_keys, d_head, scale, scratch);
}

static void attention_scores_avx512(float *s, int ld_s, const float *q, const float *k, int ld_qkv,
                                    int n_query, int n_keys, int d_head, float scale,
                                    float *scratch) {
    score_attention(s, ld_s, q, k, ld_qkv, n_query, n_keys, d_head, scale, scratch);
}

static void attention_context_avx512(float *y, int ld_y, const float *s, int ld_s, const float *v,
                                     int ld_v, int n_query, int n_keys, int d_head) {
    apply_attention(y, ld_y, s, ld_s, v, ld_v, n_query, n_keys, d_head);
}

void wb_kernels_init_avx512(wb_kernels *kernels) {
    kernels->isa = "avx512";
    kernels->gemm_f32_name = "gemm_f32_avx512";
    kernels->gemm_bf16_name = "gemm_bf16_avx512";
    kernels->gemm_f16_name = "gemm_f16_avx512";
    kernels->gemm_i8_name = "gemm_i8_avx512";
    kernels->attention_name = "attention_avx512";
    kernels->rowwise_name = "rowwise_avx512";
    kernels->tile_n = TILE_N;
    kernels->panel_bytes_f32 = panel_bytes_f32_avx512;
    kernels->panel_bytes_bf16 = panel_bytes_bf16_avx512;
    kernels->panel_bytes_f16 = panel_bytes_f16_avx512;
    kernels->panel_bytes_i8 = panel_bytes_i8_avx512;
    kernels->pack_f32 = pack_f32_avx512;
    kernels->pack_bf16 = pack_bf16_avx512;
    kernels->pack_f16 = pack_f16_avx512;
    kernels->pack_i8 = pack_i8_avx512;
    kernels->cast_panels_bf16 = cast_panels_bf16_avx512;
    kernels->cast_panels_f16 = cast_panels_f16_avx512;
    kernels->gemm_f32 = gemm_f32_avx512;
    kernels->gemm_bf16 = gemm_bf16_avx512;
    kernels->gemm_f16 = gemm_f16_avx512;
    kernels->gemm_i8 = gemm_i8_avx512;
    kernels->quantize_i8 = quantize_i8_avx512;
    kernels->quantize_i8_static = quantize_i8_static_avx512;
    kernels->cast_bf16 = cast_bf16_avx512;
    kernels->cast_f16 = cast_f16_avx512;
    kernels->add_norm = add_norm_avx512;
    kernels->softmax = softmax_avx512;
    kernels->attention_scratch = attention_scratch_avx512;
    kernels->attention_flash = attention_flash_avx512;
    kernels->attention_scores = attention_scores_avx512;
    kernels->attention_context = attention_context_avx512;
}
