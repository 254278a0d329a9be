// SPDX-License-Identifier: Apache-2.0
// How everything in generic/ and lanes.h is declared: a copy in each file that uses it, made
// with that file's instructions, never a shared one that the linker might take from another
// folder. And how loops over a register tile are written out. Attributes and pragmas cannot be
// functions, so these are macros.
#ifndef WB_KERNELS_INLINE_H
#define WB_KERNELS_INLINE_H

#define KERNEL_INLINE static inline __attribute__((always_inline))

// Before a loop of a constant number, at most 16, of rounds: none of it is left, and arrays indexed
// by it become registers.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
