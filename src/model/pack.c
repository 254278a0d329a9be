// SPDX-License-Identifier: Apache-2.0
// Weights into panels, in the precision of the plan. Panels are independent of each other, so that
// weights.c can hand them to all threads: the bytes are the same whoever packs which.
#include <math.h>
#include <string.h>

#include "model/model.h"

static size_t round_up(size_t n_bytes) {
    return (n_bytes + 63) / 64 * 64;
}

// Bytes of one panel of tile_n columns over k rows.
static size_t panel_bytes(const wb_kernels *kernels, wb_precision precision, int k) {
    switch (precision) {
        case WB_BF16: return kernels->panel_bytes_bf16(k);
        case WB_F16: return kernels->panel_bytes_f16(k);
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC: return kernels->panel_bytes_i8(k);
        default: return kernels->panel_bytes_f32(k);
    }
}

static bool is_i8(wb_precision precision) {
    return precision == WB_I8_DYNAMIC || precision == WB_I8_STATIC;
}

// ---- Where it all lies ----

// Hands out the next vector of n floats; with memory NULL it only counts.
static float *place_vector(void *memory, size_t *used, int n) {
    float *vector = memory ? (float *)(void *)((char *)memory + *used) : NULL;
    *used += round_up((size_t)n * sizeof *vector);
    return vector;
}

// The panels first, because they are what a product streams; the vectors follow in one piece.
size_t wb_linear_place(wb_linear *linear, const wb_kernels *kernels, wb_precision precision,
                       bool is_autocast, const wb_matrix_scales *scales, int n, int k,
                       void *memory) {
    const wb_precision stored = is_autocast ? WB_F32 : precision;
    *linear = (wb_linear){.n = n,
                          .k = k,
                          .precision = precision,
                          .is_autocast = is_autocast,
                          .panel_bytes = panel_bytes(kernels, stored, k)};
    size_t used = (size_t)wb_linear_panels(linear, kernels) * linear->panel_bytes;
    linear->panels = memory;
    linear->bias = place_vector(memory, &used, n);
    if (is_i8(stored)) linear->w_scale = place_vector(memory, &used, n);
    if (stored == WB_I8_STATIC) {
        linear->x_factor = place_vector(memory, &used, k);
        linear->x_scale = scales ? scales->x_max / 127.0f : 0.0f;
    }
    return used;
}

int wb_linear_panels(const wb_linear *linear, const wb_kernels *kernels) {
    return (linear->n + kernels->tile_n - 1) / kernels->tile_n;
}

size_t wb_linear_cast_bytes(const wb_linear *linear, const wb_kernels *kernels) {
    return linear->is_autocast ? panel_bytes(kernels, linear->precision, linear->k) : 0;
}

// ---- Packing ----

// Eight bits of a quotient, rounded to even. Weights of a broken file may be NaN (which becomes 0)
// or infinite, and among denormals the scale is too coarse for 127 to bound the quotient. Adding
// and taking away 1.5 * 2^23 leaves no bit below 1, as nearbyintf() does, but is no call:
// DistilBERT is quantized in 40 ms rather than 180 (Zen 4, one thread).
static inline int8_t round_i8(float quotient) {
    const float above = quotient < -127.0f ? -127.0f : quotient;
    const float within = above > 127.0f ? 127.0f : above;
    const float rounded = (within + 0x1.8p23f) - 0x1.8p23f;
    return (int8_t)(rounded == rounded ? rounded : 0.0f);
}

// The largest |row|, NaN left out. Sixteen maxima, because one would wait for itself.
static float find_largest(const float *row, int k) {
    enum { LANES = 16 };
    float largest[LANES] = {0.0f};
    int i = 0;
    for (; i + LANES <= k; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const float size = fabsf(row[i + j]);
            largest[j] = size > largest[j] ? size : largest[j];
        }
    for (; i < k; i++) largest[0] = fmaxf(largest[0], fabsf(row[i]));
    for (int j = 1; j < LANES; j++) largest[0] = fmaxf(largest[0], largest[j]);
    return largest[0];
}

// q[n, k] <- w[n, k] smooth[k] (NULL: all 1) per output channel: symmetric, scale[j] = the row's
// greatest / 127, rounded to even. Symmetric, because a zero point of the weights would cost a sum
// over x in every product. scratch[k] is the row where it is smoothed.
static void quantize_channels(int8_t *q, float *scale, const float *w, const float *smooth, int n,
                              int k, float *scratch) {
    for (int j = 0; j < n; j++) {
        const float *row = w + (size_t)j * (size_t)k;
        int8_t *q_row = q + (size_t)j * (size_t)k;
        for (int i = 0; smooth && i < k; i++) scratch[i] = row[i] * smooth[i];
        if (smooth) row = scratch;
        const float step = find_largest(row, k) / 127.0f;
        scale[j] = step;
        if (step > 0.0f)
            for (int i = 0; i < k; i++) q_row[i] = round_i8(row[i] / step);
        else
            memset(q_row, 0, (size_t)k);
    }
}

size_t wb_linear_scratch_bytes(const wb_linear *linear, const wb_kernels *kernels) {
    if (!is_i8(linear->precision)) return 0;
    const size_t k = (size_t)linear->k;
    return round_up(k * sizeof(float)) + round_up((size_t)kernels->tile_n * k);
}

// x[m, k] becomes x / smooth / step with one multiplication a cell, step = x_max / 127. Where there
// was nothing to represent, everything is 0.
void wb_linear_begin(wb_linear *linear, const wb_matrix_scales *scales, const float *bias) {
    memset(linear->bias, 0, round_up((size_t)linear->n * sizeof *bias));
    memcpy(linear->bias, bias, (size_t)linear->n * sizeof *bias);
    if (linear->w_scale) memset(linear->w_scale, 0, round_up((size_t)linear->n * sizeof *bias));
    if (!linear->x_factor) return;
    memset(linear->x_factor, 0, round_up((size_t)linear->k * sizeof *bias));
    for (int i = 0; scales->x_max > 0.0f && i < linear->k; i++)
        linear->x_factor[i] = 127.0f / scales->x_max / (scales->smooth ? scales->smooth[i] : 1.0f);
}

void wb_linear_pack_panel(wb_linear *linear, const wb_kernels *kernels,
                          const wb_matrix_scales *scales, int panel, const float *w,
                          void *scratch) {
    const int k = linear->k, first = panel * kernels->tile_n;
    const int n = linear->n - first < kernels->tile_n ? linear->n - first : kernels->tile_n;
    void *packed = (char *)linear->panels + (size_t)panel * linear->panel_bytes;
    switch (linear->is_autocast ? WB_F32 : linear->precision) {
        case WB_BF16: kernels->pack_bf16(packed, w, n, k); break;
        case WB_F16: kernels->pack_f16(packed, w, n, k); break;
        case WB_I8_DYNAMIC:
        case WB_I8_STATIC: {
            const float *smooth = linear->x_factor ? scales->smooth : NULL;
            int8_t *q = (int8_t *)scratch + round_up((size_t)k * sizeof(float));
            quantize_channels(q, linear->w_scale + first, w, smooth, n, k, scratch);
            kernels->pack_i8(packed, q, n, k);
            break;
        }
        default: kernels->pack_f32(packed, w, n, k); break;
    }
}

wb_status wb_linear_pack(wb_linear *linear, const wb_kernels *kernels, wb_precision precision,
                         bool is_autocast, const wb_matrix_scales *scales, const float *w,
                         const float *bias, int n, int k, wb_error *err) {
    const size_t n_bytes =
        wb_linear_place(linear, kernels, precision, is_autocast, scales, n, k, NULL);
    const size_t scratch_bytes = wb_linear_scratch_bytes(linear, kernels);
    *linear = (wb_linear){0};
    if (precision == WB_I8_STATIC && !scales)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "i8-static weights of %d x %d without scales", n,
                       k);
    void *memory = wb_alloc(n_bytes);
    void *scratch = wb_alloc(scratch_bytes);
    if (!memory || !scratch) {
        wb_free(memory);
        wb_free(scratch);
        return wb_fail(err, WB_ERR_MEMORY, 0, "weights of %d x %d", n, k);
    }
    wb_linear_place(linear, kernels, precision, is_autocast, scales, n, k, memory);
    linear->memory = memory;
    wb_linear_begin(linear, scales, bias);
    for (int panel = 0; panel < wb_linear_panels(linear, kernels); panel++)
        wb_linear_pack_panel(linear, kernels, scales, panel,
                             w + (size_t)panel * (size_t)kernels->tile_n * (size_t)k, scratch);
    wb_free(scratch);
    return WB_OK;
}

void wb_linear_free(wb_linear *linear) {
    wb_free(linear->memory);
    *linear = (wb_linear){0};
}
