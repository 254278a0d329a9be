// SPDX-License-Identifier: Apache-2.0
#include "check.h"
int bench_run(const bench_options *options, uint32_t cpu_flags) {
    (void)options;
    (void)cpu_flags;
    return 0;
}
