// SPDX-License-Identifier: Apache-2.0
// One line of the benchmark: a kernel, its operands at one shape, and what a call amounts to.
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/kernels.h"
#include "peak.h"

typedef struct bench_work {
    const char *kernel;
    char shape[64];
    double operations, bytes;  // of one call; bytes that it must read and write at least
    peak_kind peak;
    int n_copies;  // of the weights, used in turn: more than the caches hold, or 1

    void (*run)(struct bench_work *w, int call);
    const wb_kernels *kernels;
    int m, n, k;
    wb_epilogue epilogue;
    size_t copy_bytes;
    float *x, *y, *bias, *scale, *scratch;
    void *narrow;     // x in 16 or 8 bits
    uint8_t *packed;  // [n_copies]
} bench_work;

int bench_n_cases(void);
// False where "kernel shape", as printed, does not contain the pattern, or runs the kernel of the
// level below.
bool bench_open(bench_work *w, int index, const wb_kernels *now, const wb_kernels *below,
                const char *pattern, bool is_cold);
void bench_close(bench_work *w);

#endif
