// SPDX-License-Identifier: Apache-2.0
// Stored elements to f32, exactly: every f16 and bf16 is an f32. Loops without branches over
// unaligned loads, so that the compiler makes vectors of them; this runs once per model.
#include "base/half.h"
#include "format/checkpoint.h"

static void widen_bf16(float *y, const uint8_t *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, x + 2 * i, sizeof bits);
        y[i] = wb_bf16_to_f32(bits);
    }
}

// wb_f16_to_f32 with all three cases computed and one picked: half.h's branches cannot become
// vectors.
static void widen_f16(float *y, const uint8_t *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, x + 2 * i, sizeof bits);
        const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
        const uint32_t normal = (magnitude << 13) + (112u << 23);
        const uint32_t special = (magnitude << 13) | 0x7f800000u;
        const uint32_t tiny = wb_f32_bits((float)(int32_t)magnitude * 0x1p-24f);
        const uint32_t finite = magnitude < 0x400u ? tiny : normal;
        y[i] = wb_f32_from_bits(sign | (magnitude < 0x7c00u ? finite : special));
    }
}

void wb_tensor_widen(float *y, const wb_tensor *tensor, size_t first, size_t n) {
    switch (tensor->dtype) {
        case WB_DTYPE_F32: memcpy(y, tensor->data + 4 * first, 4 * n); break;
        case WB_DTYPE_F16: widen_f16(y, tensor->data + 2 * first, n); break;
        case WB_DTYPE_BF16: widen_bf16(y, tensor->data + 2 * first, n); break;
        case WB_DTYPE_I64:
        case WB_DTYPE_OTHER: memset(y, 0, 4 * n); break;
    }
}
