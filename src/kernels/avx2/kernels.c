// SPDX-License-Identifier: Apache-2.0
// The rung of avx2: still the kernels of the rung below.
#include "kernels/kernels.h"

void wb_kernels_init_avx2(wb_kernels *kernels) {
    (void)kernels;
}
