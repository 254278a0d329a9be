// SPDX-License-Identifier: Apache-2.0
// Pairs of bf16 for sets without the instruction: widened to f32, which is exact, and two fused
// multiply-adds in the order of k.
#ifndef WB_KERNELS_PAIRS_H
#define WB_KERNELS_PAIRS_H

typedef struct pairs {
    lanes even, odd;
} pairs;

KERNEL_INLINE pairs pairs_load(const uint16_t *p) {
    return (pairs){lanes_load_bf16_even(p), lanes_load_bf16_odd(p)};
}

KERNEL_INLINE pairs pairs_all(const uint16_t *p) {
    return (pairs){lanes_all_bf16(p), lanes_all_bf16(p + 1)};
}

KERNEL_INLINE lanes pairs_dot(lanes sum, pairs x, pairs w) {
    return lanes_fma(x.odd, w.odd, lanes_fma(x.even, w.even, sum));
}

#endif
