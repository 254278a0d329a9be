// SPDX-License-Identifier: Apache-2.0
// The rung of avx512_vnni: still the kernels of the rung below.
#include "kernels/kernels.h"

void wb_kernels_init_avx512_vnni(wb_kernels *kernels) {
    (void)kernels;
}
