// SPDX-License-Identifier: Apache-2.0
// 16 sums of int8 products as four registers, for generic/gemm_i8.h.
#ifndef WB_KERNELS_NEON_WORDS_H
#define WB_KERNELS_NEON_WORDS_H

#include "kernels/neon/lanes.h"

// Columns 0-3, 4-7, 8-11 and 12-15.
typedef struct words {
    int32x4_t q0, q1, q2, q3;
} words;

KERNEL_INLINE lanes lanes_from_words(words v) {
    return (lanes){vcvtq_f32_s32(v.q0), vcvtq_f32_s32(v.q1), vcvtq_f32_s32(v.q2),
                   vcvtq_f32_s32(v.q3)};
}

#endif
