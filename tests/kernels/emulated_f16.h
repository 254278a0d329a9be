// SPDX-License-Identifier: Apache-2.0
// The f16 product of src/kernels/avx512_fp16 for machines with AVX-512 but without f16
// arithmetic: a test's own, never the library's.
#ifndef EMULATED_F16_H
#define EMULATED_F16_H

#include "kernels/kernels.h"

// kernels (of the AVX-512 set) <- the same with the emulated product. False on other machines.
bool emulated_f16_select(wb_kernels *kernels);

#endif
