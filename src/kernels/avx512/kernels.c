// SPDX-License-Identifier: Apache-2.0
// The rung of avx512: still the kernels of the rung below.
#include "kernels/kernels.h"

void wb_kernels_init_avx512(wb_kernels *kernels) {
    (void)kernels;
}
