// SPDX-License-Identifier: Apache-2.0
// Rungs of the ladder with their instructions emulated, for machines that lack them: a test's own,
// never the library's. Each takes a table of the set it stands on and puts in its product; false
// where this compiler or machine cannot build it.
#ifndef EMULATED_H
#define EMULATED_H

#include "kernels/kernels.h"

bool emulated_f16_select(wb_kernels *kernels);       // AVX512-FP16, over AVX-512
bool emulated_vnni_select(wb_kernels *kernels);      // AVX-VNNI, over AVX2
bool emulated_amx_int8_select(wb_kernels *kernels);  // AMX-INT8, over AVX-512 VNNI
bool emulated_amx_bf16_select(wb_kernels *kernels);  // AMX-BF16, over AVX-512

#endif
