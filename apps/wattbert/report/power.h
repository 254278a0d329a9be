// SPDX-License-Identifier: Apache-2.0
// Power over time, as `wattbert study` writes it into power.csv beside results.csv:
// technique,task,t_s,watts,source,method, one line about every 100 ms of every window,
// fewer where the counter is slow to read.
#ifndef POWER_H
#define POWER_H

#include <stdbool.h>

#include "wattbert/error.h"

typedef struct power_sample {
    int file;  // index of the results.csv it lies beside
    char technique[40], task[16];
    char source[16];    // "nvml"; "" in files that do not say
    double t_s, watts;  // since the study began
} power_sample;

typedef struct power_trace {
    int n_samples, capacity;
    power_sample *samples;  // as in the files
} power_trace;

// Appends the power.csv beside a results.csv, where there is one; without one it does nothing.
wb_status power_read(power_trace *trace, const char *csv_path, int file, wb_error *err);
void power_free(power_trace *trace);

#endif
