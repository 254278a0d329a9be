// SPDX-License-Identifier: Apache-2.0
// One resample is a weight per example, how often it was drawn; every score is written over
// weighted examples. Ranks then need no sorting per resample: the order is sorted once, and
// the weighted ranks are one walk over it.
#include "glue/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

typedef struct scorer {
    const glue_task *task;
    const double *truth;  // [n]
    int n;
    int *weights;                 // [n] of the current resample; all 1 at first
    int *truth_order;             // [n] examples by rising truth; of correlations only
    double *truth_ranks, *ranks;  // [n] scratch
} scorer;

typedef struct value_at {
    double value;
    int index;
} value_at;

static int compare_values(const void *a, const void *b) {
    const double x = ((const value_at *)a)->value, y = ((const value_at *)b)->value;
    return (x > y) - (x < y);
}

static bool has_ranks(const glue_task *task) {
    return task->headline == GLUE_CORRELATION;
}

// order[n] <- examples by rising value.
static bool sort_order(int *order, const double *values, int n) {
    value_at *pairs = wb_alloc_array((size_t)n, sizeof *pairs);
    if (!pairs) return false;
    for (int i = 0; i < n; i++) pairs[i] = (value_at){values[i], i};
    qsort(pairs, (size_t)n, sizeof *pairs, compare_values);
    for (int i = 0; i < n; i++) order[i] = pairs[i].index;
    wb_free(pairs);
    return true;
}

static void scorer_close(scorer *s) {
    wb_free(s->weights);
    wb_free(s->truth_order);
    wb_free(s->truth_ranks);
    wb_free(s->ranks);
}

static bool scorer_open(scorer *s, const glue_task *task, const double *truth, int n) {
    *s = (scorer){.task = task, .truth = truth, .n = n};
    s->weights = wb_alloc_array((size_t)n, sizeof *s->weights);
    if (!s->weights) return false;
    for (int i = 0; i < n; i++) s->weights[i] = 1;
    if (!has_ranks(task)) return true;
    s->truth_order = wb_alloc_array((size_t)n, sizeof *s->truth_order);
    s->truth_ranks = wb_alloc_array((size_t)n, sizeof *s->truth_ranks);
    s->ranks = wb_alloc_array((size_t)n, sizeof *s->ranks);
    return s->truth_order && s->truth_ranks && s->ranks && sort_order(s->truth_order, truth, n);
}

// ---- Scores -----------------------------------------------------------------

static double ratio(double numerator, double denominator) {
    return denominator > 0.0 ? numerator / denominator : 0.0;
}

static double accuracy(const scorer *s, const double *predicted) {
    double right = 0.0, all = 0.0;
    for (int i = 0; i < s->n; i++) {
        right += predicted[i] == s->truth[i] ? s->weights[i] : 0;
        all += s->weights[i];
    }
    return ratio(right, all);
}

// counts[truth][predicted] of two labels.
static void count_pairs(double counts[2][2], const scorer *s, const double *predicted) {
    memset(counts, 0, 4 * sizeof(double));
    for (int i = 0; i < s->n; i++) counts[s->truth[i] == 1.0][predicted[i] == 1.0] += s->weights[i];
}

static double f1(const scorer *s, const double *predicted) {
    double counts[2][2];
    count_pairs(counts, s, predicted);
    return ratio(2.0 * counts[1][1], 2.0 * counts[1][1] + counts[0][1] + counts[1][0]);
}

static double matthews(const scorer *s, const double *predicted) {
    double c[2][2];
    count_pairs(c, s, predicted);
    const double spread = sqrt((c[1][1] + c[0][1]) * (c[1][1] + c[1][0])) *
                          sqrt((c[0][0] + c[0][1]) * (c[0][0] + c[1][0]));
    return ratio(c[1][1] * c[0][0] - c[0][1] * c[1][0], spread);
}

// Two passes, means first: sums of squares of close values would cancel.
static double pearson(const double *x, const double *y, const int *weights, int n) {
    double all = 0.0, mean_x = 0.0, mean_y = 0.0;
    for (int i = 0; i < n; i++) {
        all += weights[i];
        mean_x += weights[i] * x[i];
        mean_y += weights[i] * y[i];
    }
    mean_x /= all;
    mean_y /= all;
    double xx = 0.0, yy = 0.0, xy = 0.0;
    for (int i = 0; i < n; i++) {
        const double dx = x[i] - mean_x, dy = y[i] - mean_y;
        xx += weights[i] * dx * dx;
        yy += weights[i] * dy * dy;
        xy += weights[i] * dx * dy;
    }
    return isnan(xy) ? NAN : ratio(xy, sqrt(xx) * sqrt(yy));
}

// ranks[n] <- ranks from 1 of the weighted values; ties share the mean of theirs.
static void rank(double *ranks, const double *values, const int *order, const int *weights, int n) {
    double below = 0.0;
    for (int first = 0, last; first < n; first = last) {
        double tied = 0.0;
        for (last = first; last < n && values[order[last]] == values[order[first]]; last++)
            tied += weights[order[last]];
        // A value that equals nothing, not even itself: NAN, told by pearson of the same data.
        if (last == first) tied += weights[order[last++]];
        for (int i = first; i < last; i++) ranks[order[i]] = below + (tied + 1.0) / 2.0;
        below += tied;
    }
}

static double spearman(const scorer *s, const double *predicted, const int *order) {
    rank(s->truth_ranks, s->truth, s->truth_order, s->weights, s->n);
    rank(s->ranks, predicted, order, s->weights, s->n);
    return pearson(s->ranks, s->truth_ranks, s->weights, s->n);
}

// order is of predicted, NULL where the task needs none.
static double headline(const scorer *s, const double *predicted, const int *order) {
    switch (s->task->headline) {
        case GLUE_MATTHEWS: return matthews(s, predicted);
        case GLUE_ACCURACY: return accuracy(s, predicted);
        case GLUE_ACCURACY_F1: return (accuracy(s, predicted) + f1(s, predicted)) / 2.0;
        case GLUE_CORRELATION:
            return (pearson(predicted, s->truth, s->weights, s->n) +
                    spearman(s, predicted, order)) /
                   2.0;
    }
    return NAN;
}

// *order <- examples by rising prediction where the task ranks, else NULL.
static bool open_order(int **order, const scorer *s, const double *predicted) {
    *order = NULL;
    if (!has_ranks(s->task)) return true;
    *order = wb_alloc_array((size_t)s->n, sizeof **order);
    return *order && sort_order(*order, predicted, s->n);
}

static wb_status fail_memory(int n, wb_error *err) {
    return wb_fail(err, WB_ERR_MEMORY, 0, "no memory to score %d examples", n);
}

wb_status glue_score(glue_scores *out, const glue_task *task, const double *predicted,
                     const double *truth, int n, wb_error *err) {
    *out = (glue_scores){NAN, NAN, NAN, NAN, NAN, NAN};
    scorer s;
    int *order = NULL;
    const bool is_open = scorer_open(&s, task, truth, n) && open_order(&order, &s, predicted);
    if (is_open) {
        out->headline = headline(&s, predicted, order);
        if (task->n_labels > 1) out->accuracy = accuracy(&s, predicted);
        if (task->n_labels == 2) {
            out->f1 = f1(&s, predicted);
            out->matthews = matthews(&s, predicted);
        }
        if (task->n_labels == 1) {
            out->pearson = pearson(predicted, truth, s.weights, n);
            out->spearman = spearman(&s, predicted, order);
        }
    }
    wb_free(order);
    scorer_close(&s);
    return is_open ? WB_OK : fail_memory(n, err);
}

// ---- Bootstrap --------------------------------------------------------------

static void resample(scorer *s, wb_random *random) {
    memset(s->weights, 0, (size_t)s->n * sizeof *s->weights);
    // Multiply and shift favours some examples by n / 2^32, under 1 in 100,000; a division for
    // each of the n x 1000 draws would cost more than all scores.
    for (int i = 0; i < s->n; i++)
        s->weights[(wb_random_next(random) >> 32) * (uint64_t)s->n >> 32]++;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Linear between the two nearest of sorted[GLUE_RESAMPLES].
static double percentile(const double *sorted, double share) {
    const double at = share * (GLUE_RESAMPLES - 1);
    const int below = (int)at;
    return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

// Of predicted alone where baseline is NULL, else of the difference.
static wb_status bootstrap(glue_interval *out, const glue_task *task, const double *predicted,
                           const double *baseline, const double *truth, int n, uint64_t seed,
                           wb_error *err) {
    scorer s;
    int *order = NULL, *baseline_order = NULL;
    const bool is_open = scorer_open(&s, task, truth, n) && open_order(&order, &s, predicted) &&
                         (!baseline || open_order(&baseline_order, &s, baseline));
    if (is_open) {
        double values[GLUE_RESAMPLES];
        wb_random random = {seed};
        out->value = headline(&s, predicted, order);
        if (baseline) out->value -= headline(&s, baseline, baseline_order);
        for (int i = 0; i < GLUE_RESAMPLES; i++) {
            resample(&s, &random);
            values[i] = headline(&s, predicted, order);
            if (baseline) values[i] -= headline(&s, baseline, baseline_order);
        }
        qsort(values, GLUE_RESAMPLES, sizeof *values, compare_doubles);
        out->low = percentile(values, 0.025);
        out->high = percentile(values, 0.975);
    }
    wb_free(order);
    wb_free(baseline_order);
    scorer_close(&s);
    return is_open ? WB_OK : fail_memory(n, err);
}

wb_status glue_bootstrap(glue_interval *out, const glue_task *task, const double *predicted,
                         const double *truth, int n, uint64_t seed, wb_error *err) {
    return bootstrap(out, task, predicted, NULL, truth, n, seed, err);
}

wb_status glue_compare(glue_interval *out, const glue_task *task, const double *predicted,
                       const double *baseline, const double *truth, int n, uint64_t seed,
                       wb_error *err) {
    return bootstrap(out, task, predicted, baseline, truth, n, seed, err);
}
