// SPDX-License-Identifier: Apache-2.0
// How everything in generic/ and lanes.h is declared: a copy in each file that uses it, made
// with that file's instructions, never a shared one that the linker might take from another
// folder. An attribute cannot be a function, so this is a macro.
#ifndef WB_KERNELS_INLINE_H
#define WB_KERNELS_INLINE_H

#define KERNEL_INLINE static inline __attribute__((always_inline))

#endif
