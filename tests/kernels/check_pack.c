// SPDX-License-Identifier: Apache-2.0
// Packing, seen through products only, because panels are a set's own affair: a product with the
// identity returns the weights as they were packed.
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "check.h"

static const wb_epilogue plain = {.activation = WB_LINEAR};

typedef struct packing {
    int n, k;
    check_data data;
    const float *w;  // [n, k]
    float *y;        // [k, n]
} packing;

static size_t packed_bytes(const wb_kernels *kernels, size_t panel, int n) {
    return (size_t)((n + kernels->tile_n - 1) / kernels->tile_n) * panel;
}

static packing draw_packing(check *c) {
    packing p = {.n = check_dimension(c, 150), .k = check_dimension(c, 70)};
    p.data = check_draw_data(c);
    check_begin_round(c, "n %d k %d, %s", p.n, p.k, check_data_name(p.data));
    p.w = check_random_floats(c, (size_t)p.n * (size_t)p.k, p.data);
    p.y = check_floats(c, (size_t)p.n * (size_t)p.k);
    return p;
}

// y[k, n] is w[n, k] transposed, each through rounding.
static bool check_transposed(check *c, const packing *p, float (*rounding)(float)) {
    for (int i = 0; i < p->k; i++)
        for (int j = 0; j < p->n; j++) {
            const size_t cell = (size_t)i * (size_t)p->n + (size_t)j;
            const float w = rounding(p->w[(size_t)j * (size_t)p->k + (size_t)i]);
            if (!check_near(c, cell, (double)w, p->y[cell], 0.0)) return false;
        }
    return check_guards(c);
}

static float keep(float x) {
    return x;
}

static float round_to_bf16(float x) {
    return wb_bf16_to_f32(wb_bf16_from_f32(x));
}

// What a product that takes denormals for zeros, as vdpbf16ps does, returns.
static float round_to_normal_bf16(float x) {
    const float rounded = round_to_bf16(x);
    return fabsf(rounded) < 0x1p-126f ? 0.0f : rounded;
}

static float round_to_f16(float x) {
    return wb_f16_to_f32(wb_f16_from_f32(x));
}

void check_pack_f32(check *c) {
    for (int round = 0; round < check_rounds(c, 60) && !c->has_failed; round++) {
        const packing p = draw_packing(c);
        float *identity = check_floats(c, (size_t)p.k * (size_t)p.k);
        for (int i = 0; i < p.k * p.k; i++) identity[i] = i % (p.k + 1) ? 0.0f : 1.0f;
        void *packed = check_bytes(c, packed_bytes(c->now, c->now->panel_bytes_f32(p.k), p.n), 64);
        c->now->pack_f32(packed, p.w, p.n, p.k);
        c->now->gemm_f32(p.y, p.n, identity, p.k, packed, p.k, p.n, p.k, &plain);
        if (!check_transposed(c, &p, keep)) return;
    }
}

static uint16_t *identity_16(check *c, int k, uint16_t one) {
    uint16_t *identity = check_bytes(c, (size_t)k * (size_t)k * sizeof *identity, sizeof *identity);
    for (int i = 0; i < k * k; i++) identity[i] = i % (k + 1) ? 0 : one;
    return identity;
}

void check_pack_bf16(check *c) {
    for (int round = 0; round < check_rounds(c, 60) && !c->has_failed; round++) {
        const packing p = draw_packing(c);
        void *packed = check_bytes(c, packed_bytes(c->now, c->now->panel_bytes_bf16(p.k), p.n), 64);
        c->now->pack_bf16(packed, p.w, p.n, p.k);
        c->now->gemm_bf16(p.y, p.n, identity_16(c, p.k, 0x3f80), p.k, packed, p.k, p.n, p.k,
                          &plain);
        if (!check_transposed(c, &p, c->now->has_bf16 ? round_to_normal_bf16 : round_to_bf16))
            return;
    }
}

void check_pack_f16(check *c) {
    for (int round = 0; round < check_rounds(c, 60) && !c->has_failed; round++) {
        const packing p = draw_packing(c);
        if (p.data == DATA_HUGE || p.data == DATA_MIXED) continue;  // infinity times zero
        void *packed = check_bytes(c, packed_bytes(c->now, c->now->panel_bytes_f16(p.k), p.n), 64);
        c->now->pack_f16(packed, p.w, p.n, p.k);
        c->now->gemm_f16(p.y, p.n, identity_16(c, p.k, 0x3c00), p.k, packed, p.k, p.n, p.k, &plain);
        if (!check_transposed(c, &p, round_to_f16)) return;
    }
}

void check_pack_i8(check *c) {
    for (int round = 0; round < check_rounds(c, 60) && !c->has_failed; round++) {
        packing p = draw_packing(c);
        const size_t n_w = (size_t)p.n * (size_t)p.k;
        int8_t *w = check_bytes(c, n_w, 1);
        float *values = check_floats(c, n_w);
        for (size_t i = 0; i < n_w; i++) values[i] = w[i] = (int8_t)(check_below(c, 255) - 127);
        uint8_t *identity = check_bytes(c, (size_t)p.k * (size_t)p.k, 1);
        for (int i = 0; i < p.k * p.k; i++) identity[i] = i % (p.k + 1) ? 128 : 129;
        float *ones = check_floats(c, (size_t)(p.n > p.k ? p.n : p.k));
        for (int i = 0; i < p.n || i < p.k; i++) ones[i] = 1.0f;

        void *packed = check_bytes(c, packed_bytes(c->now, c->now->panel_bytes_i8(p.k), p.n), 64);
        c->now->pack_i8(packed, w, p.n, p.k);
        c->now->gemm_i8(p.y, p.n, identity, p.k, ones, packed, ones, p.k, p.n, p.k, &plain);
        p.w = values;
        if (!check_transposed(c, &p, keep)) return;
    }
}

// Casting panels gives the bytes that packing in the narrow format does.
void check_cast_panels(check *c) {
    for (int round = 0; round < check_rounds(c, 60) && !c->has_failed; round++) {
        const packing p = draw_packing(c);
        const wb_kernels *now = c->now;
        void *wide = check_bytes(c, packed_bytes(now, now->panel_bytes_f32(p.k), p.n), 64);
        now->pack_f32(wide, p.w, p.n, p.k);
        for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
            const size_t panel = is_bf16 ? now->panel_bytes_bf16(p.k) : now->panel_bytes_f16(p.k);
            const size_t n_bytes = packed_bytes(now, panel, p.n);
            uint8_t *cast = check_bytes(c, n_bytes, 64), *packed = check_bytes(c, n_bytes, 64);
            (is_bf16 ? now->pack_bf16 : now->pack_f16)(packed, p.w, p.n, p.k);
            (is_bf16 ? now->cast_panels_bf16 : now->cast_panels_f16)(cast, wide, p.n, p.k);
            for (size_t i = 0; i < n_bytes; i++)
                if (!check_integer(c, i, packed[i], cast[i])) return;
        }
        if (!check_guards(c)) return;
    }
}
