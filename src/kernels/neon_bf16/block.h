// SPDX-License-Identifier: Apache-2.0
// BFMMLA for neon/multiply_blocks.h: four bf16 of two rows and two columns, 16 products. Each sum
// takes two pairs of products one after the other, as BFDOT would in two instructions: the bits are
// the same, and cores that have both start as many of either (Neoverse V1, N2 and V2 guides).
#ifndef WB_BLOCK_H
#define WB_BLOCK_H

#include "kernels/neon/lanes.h"

typedef float32x4_t block;

KERNEL_INLINE block block_multiply(block sum, uint8x16_t x, uint8x16_t w) {
    return vbfmmlaq_f32(sum, vreinterpretq_bf16_u8(x), vreinterpretq_bf16_u8(w));
}

#endif
