// SPDX-License-Identifier: Apache-2.0
// USMMLA for neon/multiply_blocks.h: unsigned inputs, signed weights, eight of each, 32 products.
#ifndef WB_BLOCK_H
#define WB_BLOCK_H

#include "kernels/neon/words.h"

typedef int32x4_t block;

KERNEL_INLINE block block_multiply(block sum, uint8x16_t x, uint8x16_t w) {
    return vusmmlaq_s32(sum, x, vreinterpretq_s8_u8(w));
}

#endif
