// SPDX-License-Identifier: Apache-2.0
// The benchmark's cases. A product's operands are uniform in [-1, 1): an energy meter would
// see zeros as less work, a clock does not.
#include "bench_work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "cpu/cpu.h"

static void run_gemm_f32(bench_work *w, int call) {
    const uint8_t *packed = w->packed + (size_t)(call % w->n_copies) * w->copy_bytes;
    w->kernels->gemm_f32(w->y, w->n, w->x, w->k, packed, w->m, w->n, w->k, &w->epilogue);
}

static void run_gemm_bf16(bench_work *w, int call) {
    const uint8_t *packed = w->packed + (size_t)(call % w->n_copies) * w->copy_bytes;
    w->kernels->gemm_bf16(w->y, w->n, w->narrow, w->k, packed, w->m, w->n, w->k, &w->epilogue);
}

static void run_gemm_f16(bench_work *w, int call) {
    const uint8_t *packed = w->packed + (size_t)(call % w->n_copies) * w->copy_bytes;
    w->kernels->gemm_f16(w->y, w->n, w->narrow, w->k, packed, w->m, w->n, w->k, &w->epilogue);
}

static void run_gemm_i8(bench_work *w, int call) {
    const uint8_t *packed = w->packed + (size_t)(call % w->n_copies) * w->copy_bytes;
    w->kernels->gemm_i8(w->y, w->n, w->narrow, w->k, w->scale, packed, w->bias, w->m, w->n, w->k,
                        &w->epilogue);
}

static void run_quantize(bench_work *w, int call) {
    (void)call;
    w->kernels->quantize_i8(w->narrow, w->n, w->y, w->x, w->n, w->m, w->n);
}

static void run_quantize_static(bench_work *w, int call) {
    (void)call;
    w->kernels->quantize_i8_static(w->narrow, w->n, w->x, w->n, w->bias, w->m, w->n);
}

static void run_cast_bf16(bench_work *w, int call) {
    (void)call;
    w->kernels->cast_bf16(w->narrow, w->n, w->x, w->n, w->m, w->n);
}

static void run_cast_f16(bench_work *w, int call) {
    (void)call;
    w->kernels->cast_f16(w->narrow, w->n, w->x, w->n, w->m, w->n);
}

static void run_add_norm(bench_work *w, int call) {
    (void)call;
    w->kernels->add_norm(w->y, w->n, w->x, w->n, w->x, w->n, w->bias, w->bias, 1e-12f, w->m, w->n);
}

// In place, so that from the second call on it sees probabilities: the same work.
static void run_softmax(bench_work *w, int call) {
    (void)call;
    w->kernels->softmax(w->y, w->n, w->m, w->n, w->n);
}

// m tokens, 768 columns each of q, k and v side by side, one head of k = d_head columns.
enum { LD_QKV = 3 * 768 };

static void run_flash(bench_work *w, int call) {
    const float *q = w->x + call % 12 * w->k;
    w->kernels->attention_flash(w->y, w->k, q, q + 768, q + 1536, LD_QKV, w->m, w->m, w->k, 0.125f,
                                w->scratch);
}

static void run_standard(bench_work *w, int call) {
    const float *q = w->x + call % 12 * w->k;
    float *scores = w->bias;
    w->kernels->attention_scores(scores, w->m, q, q + 768, LD_QKV, w->m, w->m, w->k, 0.125f,
                                 w->scratch);
    w->kernels->softmax(scores, w->m, w->m, w->m, w->m);
    w->kernels->attention_context(w->y, w->k, scores, w->m, q + 1536, LD_QKV, w->m, w->m, w->k);
}

static void run_pack_f32(bench_work *w, int call) {
    (void)call;
    w->kernels->pack_f32(w->packed, w->x, w->n, w->k);
}

static void run_cast_panels(bench_work *w, int call) {
    (void)call;
    w->kernels->cast_panels_bf16(w->y, w->packed, w->n, w->k);
}

typedef enum family { PRODUCT, ROWS, ATTENTION, PANELS } family;

static const struct kind {
    const char *name;
    family family;
    size_t slot;  // of wb_kernels: equal to the level below's, it has been timed there
    void (*run)(bench_work *w, int call);
    int element_bytes;  // of weights and inputs
} kinds[] = {
    {"gemm_f32", PRODUCT, offsetof(wb_kernels, gemm_f32), run_gemm_f32, 4},
    {"gemm_bf16", PRODUCT, offsetof(wb_kernels, gemm_bf16), run_gemm_bf16, 2},
    {"gemm_f16", PRODUCT, offsetof(wb_kernels, gemm_f16), run_gemm_f16, 2},
    {"gemm_i8", PRODUCT, offsetof(wb_kernels, gemm_i8), run_gemm_i8, 1},
    {"quantize_i8", ROWS, offsetof(wb_kernels, quantize_i8), run_quantize, 1},
    {"quantize_i8_static", ROWS, offsetof(wb_kernels, quantize_i8_static), run_quantize_static, 1},
    {"cast_bf16", ROWS, offsetof(wb_kernels, cast_bf16), run_cast_bf16, 2},
    {"cast_f16", ROWS, offsetof(wb_kernels, cast_f16), run_cast_f16, 2},
    {"add_norm", ROWS, offsetof(wb_kernels, add_norm), run_add_norm, 8},
    {"softmax", ROWS, offsetof(wb_kernels, softmax), run_softmax, 4},
    {"attention_flash", ATTENTION, offsetof(wb_kernels, attention_flash), run_flash, 4},
    {"attention_standard", ATTENTION, offsetof(wb_kernels, attention_scores), run_standard, 4},
    {"pack_f32", PANELS, offsetof(wb_kernels, pack_f32), run_pack_f32, 4},
    {"cast_panels_bf16", PANELS, offsetof(wb_kernels, cast_panels_bf16), run_cast_panels, 2},
};

static const int layers[][2] = {{2304, 768}, {768, 768}, {3072, 768}, {768, 3072},
                                {1152, 384}, {384, 384}, {1536, 384}, {384, 1536}};
// 1 to 8: where a rung of tiles or of wider registers starts to gain.
static const int row_counts[] = {1, 2, 3, 4, 6, 8, 16, 25, 64, 128, 1024};
static const int heads[][2] = {{25, 64}, {128, 64}, {512, 64}, {25, 32}, {128, 32}};  // n, d_head

enum {
    N_KINDS = sizeof kinds / sizeof kinds[0],
    N_LAYERS = sizeof layers / sizeof layers[0],
    N_ROW_COUNTS = sizeof row_counts / sizeof row_counts[0],
    N_HEADS = sizeof heads / sizeof heads[0],
    N_PRODUCTS = (N_LAYERS + 1) * N_ROW_COUNTS,  // the last layer again is 3072 x 768 with GELU
};

int bench_n_cases(void) {
    return N_KINDS * N_PRODUCTS;
}

// The shape with this number in the kind's family; false where there are fewer.
static bool choose_shape(bench_work *w, const struct kind *kind, int number) {
    switch (kind->family) {
        case PRODUCT: {
            const int layer = number / N_ROW_COUNTS;
            const bool is_gelu = layer == N_LAYERS;
            w->m = row_counts[number % N_ROW_COUNTS];
            w->n = layers[is_gelu ? 2 : layer][0];
            w->k = layers[is_gelu ? 2 : layer][1];
            w->epilogue.activation = is_gelu ? WB_GELU : WB_LINEAR;
            w->operations = 2.0 * w->m * w->n * w->k;
            w->bytes =
                (double)kind->element_bytes * w->k * ((double)w->m + w->n) + 4.0 * w->m * w->n;
            snprintf(w->shape, sizeof w->shape, "m %d n %d k %d%s", w->m, w->n, w->k,
                     is_gelu ? " gelu" : "");
            return true;
        }
        case ROWS:
            if (number >= 3) return false;
            w->m = 128;
            w->n = number == 0 ? 128 : number == 1 ? 768 : 3072;
            w->k = 1;
            w->operations = (double)w->m * w->n;
            w->bytes = w->operations * (4 + kind->element_bytes);
            snprintf(w->shape, sizeof w->shape, "m %d n %d", w->m, w->n);
            return true;
        case ATTENTION:
            if (number >= N_HEADS) return false;
            w->m = heads[number][0];
            w->k = heads[number][1];
            w->n = w->m;
            w->operations = 4.0 * w->m * w->m * w->k;
            w->bytes = 16.0 * w->m * w->k;
            snprintf(w->shape, sizeof w->shape, "n %d d_head %d", w->m, w->k);
            return true;
        default:
            if (number >= 1) return false;
            w->m = 1;
            w->n = 768;
            w->k = 768;
            w->operations = (double)w->n * w->k;
            w->bytes = w->operations * (4 + kind->element_bytes);
            snprintf(w->shape, sizeof w->shape, "n %d k %d", w->n, w->k);
            return true;
    }
}

static peak_kind choose_peak_neon(const struct kind *kind, const wb_kernels *now) {
    const uint32_t flags = now->cpu_flags;
    if (kind->run == run_gemm_i8) {
        if (flags & WB_CPU_NEON_I8MM) return PEAK_NEON_I8MM;
        return flags & WB_CPU_NEON_DOTPROD ? PEAK_NEON_DOTPROD : PEAK_NEON_I8;
    }
    if (kind->run == run_gemm_bf16 && now->has_bf16) return PEAK_NEON_BF16;
    if (kind->run == run_gemm_f16 && now->has_f16) return PEAK_NEON_FP16;
    return PEAK_NEON_F32;
}

static peak_kind choose_peak(const struct kind *kind, const wb_kernels *now) {
    const uint32_t flags = now->cpu_flags;
    if (kind->family != PRODUCT && kind->family != ATTENTION) return PEAK_NONE;
    if (flags & WB_CPU_NEON) return choose_peak_neon(kind, now);
    if (!(flags & WB_CPU_AVX2)) return PEAK_NONE;
    const bool is_512 = flags & WB_CPU_AVX512;
    if (kind->run == run_gemm_i8) {
        if (flags & WB_CPU_AMX_INT8) return PEAK_AMX_I8;
        if (flags & WB_CPU_AVX512_VNNI) return PEAK_VNNI_I8;
        if (is_512) return PEAK_AVX512_I8;
        return flags & WB_CPU_AVX_VNNI ? PEAK_AVX_VNNI_I8 : PEAK_AVX2_I8;
    }
    if (kind->run == run_gemm_bf16 && now->has_bf16)
        return flags & WB_CPU_AMX_BF16 ? PEAK_AMX_BF16 : PEAK_BF16;
    return is_512 ? PEAK_AVX512_F32 : PEAK_AVX2_F32;
}

static float *random_floats(size_t n) {
    wb_random random = {1};
    float *x = wb_alloc_array(n, sizeof *x);
    for (size_t i = 0; x && i < n; i++) x[i] = 2.0f * (float)wb_random_unit(&random) - 1.0f;
    return x;
}

static void *narrow_inputs(const bench_work *w, const struct kind *kind, size_t n) {
    uint8_t *narrow = wb_alloc(n * 2 + 64);
    if (!narrow) return NULL;
    for (size_t i = 0; i < n * 2; i++) narrow[i] = (uint8_t)(1 + i % 255);
    if (kind->run == run_gemm_bf16)
        w->kernels->cast_bf16((uint16_t *)(void *)narrow, w->k, w->x, w->k, w->m, w->k);
    if (kind->run == run_gemm_f16)
        w->kernels->cast_f16((uint16_t *)(void *)narrow, w->k, w->x, w->k, w->m, w->k);
    return narrow;
}

static bool pack_weights(bench_work *w, const struct kind *kind, bool is_cold) {
    const wb_kernels *now = w->kernels;
    const size_t panel = kind->run == run_gemm_bf16  ? now->panel_bytes_bf16(w->k)
                         : kind->run == run_gemm_f16 ? now->panel_bytes_f16(w->k)
                         : kind->run == run_gemm_i8  ? now->panel_bytes_i8(w->k)
                                                     : now->panel_bytes_f32(w->k);
    const size_t cache_bytes = (size_t)256 << 20;  // more than any last-level cache here
    float *weights = random_floats((size_t)w->n * (size_t)w->k);
    w->copy_bytes = (size_t)((w->n + now->tile_n - 1) / now->tile_n) * panel;
    w->n_copies = is_cold && kind->family == PRODUCT ? (int)(cache_bytes / w->copy_bytes) + 1 : 1;
    w->packed = wb_alloc((size_t)w->n_copies * w->copy_bytes);
    const bool is_ready = weights && w->packed;
    if (is_ready) {
        if (kind->run == run_gemm_bf16) {
            now->pack_bf16(w->packed, weights, w->n, w->k);
        } else if (kind->run == run_gemm_f16) {
            now->pack_f16(w->packed, weights, w->n, w->k);
        } else if (kind->run == run_gemm_i8) {
            now->pack_i8(w->packed, w->narrow, w->n, w->k);
        } else {
            now->pack_f32(w->packed, weights, w->n, w->k);
        }
        for (int copy = 1; copy < w->n_copies; copy++)
            memcpy(w->packed + (size_t)copy * w->copy_bytes, w->packed, w->copy_bytes);
    }
    wb_free(weights);
    return is_ready;
}

bool bench_open(bench_work *w, int index, const wb_kernels *now, const wb_kernels *below,
                const char *pattern, bool is_cold) {
    const struct kind *kind = &kinds[index / N_PRODUCTS];
    *w = (bench_work){.kernel = kind->name, .kernels = now, .run = kind->run, .n_copies = 1};
    if (!memcmp((const char *)now + kind->slot, (const char *)below + kind->slot,
                sizeof now->pack_f32))
        return false;
    if (!choose_shape(w, kind, index % N_PRODUCTS)) return false;
    char name[128];
    snprintf(name, sizeof name, "%s %s", w->kernel, w->shape);
    if (pattern && !strstr(name, pattern)) return false;
    w->peak = choose_peak(kind, now);

    const size_t widest = (size_t)(w->k > w->n ? w->k : w->n) + LD_QKV, m = (size_t)w->m;
    const size_t n_x = kind->family == PANELS ? (size_t)w->n * (size_t)w->k : m * widest;
    w->x = random_floats(n_x);
    w->y = random_floats(n_x);
    w->bias = random_floats(m * m + widest);
    w->scale = random_floats(m);
    w->scratch = random_floats(now->attention_scratch(w->m, 128));
    w->narrow = w->x ? narrow_inputs(w, kind, n_x + (size_t)w->n * (size_t)w->k) : NULL;
    w->epilogue.bias = w->bias;
    if (w->y && w->bias && w->scale && w->scratch && w->narrow && pack_weights(w, kind, is_cold))
        return true;
    fprintf(stderr, "checkkernels: no memory for %s %s\n", w->kernel, w->shape);
    exit(3);
}

void bench_close(bench_work *w) {
    wb_free(w->x);
    wb_free(w->y);
    wb_free(w->bias);
    wb_free(w->scale);
    wb_free(w->scratch);
    wb_free(w->narrow);
    wb_free(w->packed);
}
