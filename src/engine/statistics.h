// SPDX-License-Identifier: Apache-2.0
// What calibration remembers of the inputs of one matrix's products: the range of every column,
// histograms of what is left of it after smoothing, and a sample of rows to multiply again.
#ifndef WB_ENGINE_STATISTICS_H
#define WB_ENGINE_STATISTICS_H

#include "engine/trial.h"

// Smoothing strengths, SmoothQuant's alpha: how much of a column's range moves into the weights.
// The first is none at all.
enum { WB_N_ALPHAS = 6, WB_HISTOGRAM_BINS = 4096, WB_SAMPLE_ROWS = 256 };
extern const double wb_alphas[WB_N_ALPHAS];

typedef struct wb_histogram {
    float top;                          // of the last bin: the largest |x / smooth| seen
    double weights[WB_HISTOGRAM_BINS];  // of values, each counted by its share in its row of y
} wb_histogram;

typedef struct wb_input_statistics {
    int n, k;
    int n_alphas;              // tried
    float *x_absmax;           // [k]
    float *w_absmax;           // [k] of the weights w[n, k]
    double *w_power;           // [k]: the sum of their squares
    float *smooth;             // [n_alphas, k]
    double *cell_weights;      // [n_alphas, k]: w_power of the smoothed weights
    wb_histogram *histograms;  // [n_alphas]
    float *rows;               // [n_rows, k]: a sample, evenly over the batches
    int n_rows, n_seen;
} wb_input_statistics;

// statistics[plan.n_matrices] <- of all batches of a trial. Free them in any case.
wb_status wb_statistics_collect(wb_input_statistics *statistics, wb_trial *trial, wb_error *err);
void wb_statistics_free(wb_input_statistics *statistics, int n_matrices);

// The x_max under which quantizing with 127 steps of either sign, under this strength of
// smoothing, adds least to the square of y, row by row: what is larger saturates.
float wb_statistics_best_clip(const wb_input_statistics *statistics, int alpha);

#endif
