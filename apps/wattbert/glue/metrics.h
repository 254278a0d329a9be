// SPDX-License-Identifier: Apache-2.0
// GLUE's official scores, with 95 % intervals by bootstrap over the examples. Predictions
// and truths are GLUE's label numbers as doubles, or the scores of a regression.
#ifndef GLUE_METRICS_H
#define GLUE_METRICS_H

#include "glue/task.h"
#include "wattbert/error.h"

// Scores that a task does not have are NAN. f1 and matthews are of two labels, label 1 being
// the positive one. A score whose denominator is 0 (all predictions alike) is 0.
typedef struct glue_scores {
    double headline;
    double accuracy, f1, matthews;
    double pearson, spearman;
} glue_scores;

enum { GLUE_RESAMPLES = 1000 };

// predicted[n], truth[n]; n >= 1. WB_ERR_MEMORY
wb_status glue_score(glue_scores *out, const glue_task *task, const double *predicted,
                     const double *truth, int n, wb_error *err);

typedef struct glue_interval {
    double value, low, high;
} glue_interval;

// The headline and its 95 % interval: percentiles of GLUE_RESAMPLES resamples, the same for the
// same seed. WB_ERR_MEMORY
wb_status glue_bootstrap(glue_interval *out, const glue_task *task, const double *predicted,
                         const double *truth, int n, uint64_t seed, wb_error *err);

// The headline of predicted minus that of baseline, both on the same resamples (paired):
// an interval that leaves 0 out is a real difference, though the two single ones may overlap.
wb_status glue_compare(glue_interval *out, const glue_task *task, const double *predicted,
                       const double *baseline, const double *truth, int n, uint64_t seed,
                       wb_error *err);

#endif
