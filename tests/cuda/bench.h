// SPDX-License-Identifier: Apache-2.0
// What the two halves of the benchmark share: timing, energy, random operands.
#ifndef BENCH_H
#define BENCH_H

#include "gpucheck.h"

bool bench_wants(const bench_options *options, const char *name);
double bench_time(check *c, void (*work)(check *c, void *context), void *context, int n);
void *bench_random(check *c, size_t n, wb_cell cell, float range);

// Of one run of work, over some seconds of it: wall time, and what NVML's counter says (0 where it
// says nothing).
typedef struct bench_energy {
    double us, joules;
} bench_energy;
bench_energy bench_measure(check *c, void (*work)(check *c, void *context), void *context,
                           double us_guess, double seconds);

void bench_products(check *c, const bench_options *options);
void bench_forwards(check *c, const bench_options *options);

#endif
