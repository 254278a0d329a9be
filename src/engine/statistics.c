// SPDX-License-Identifier: Apache-2.0
// Two passes over the texts: columns first, since smoothing needs their ranges, then histograms
// of what smoothing leaves. Sums run in the order of the rows, so that an artefact does not depend
// on the number of threads.
#include "engine/statistics.h"

#include <math.h>
#include <string.h>

const double wb_alphas[WB_N_ALPHAS] = {0.0, 0.5, 0.7, 0.8, 0.9, 1.0};

typedef struct collector {
    wb_trial *trial;
    wb_input_statistics *statistics;
    bool is_second_pass;
} collector;

// ---- Seeing rows ----

static void see_range(wb_input_statistics *s, const float *row) {
    for (int j = 0; j < s->k; j++) {
        const float size = fabsf(row[j]);
        if (size > s->x_absmax[j]) s->x_absmax[j] = size;
    }
}

// A row counts by what it does to its own y, about the sum of w_power x^2: the layer norm behind a
// product makes all rows alike, and a few of them, [CLS]'s and [SEP]'s, are ten times as large.
static void see_values(wb_input_statistics *s, const float *row) {
    double power = 0.0;
    for (int j = 0; j < s->k; j++) power += s->w_power[j] * (double)row[j] * (double)row[j];
    if (!(power > 0.0)) return;
    for (int a = 0; a < s->n_alphas; a++) {
        wb_histogram *h = &s->histograms[a];
        const float *smooth = s->smooth + (size_t)a * (size_t)s->k;
        const double *weights = s->cell_weights + (size_t)a * (size_t)s->k;
        const float bins = h->top > 0.0f ? (float)WB_HISTOGRAM_BINS / h->top : 0.0f;
        for (int j = 0; j < s->k; j++) {
            const float place = fabsf(row[j]) / smooth[j] * bins;
            const int bin = place < WB_HISTOGRAM_BINS ? (int)place : WB_HISTOGRAM_BINS - 1;
            h->weights[bin] += weights[j] / power;
        }
    }
}

// Every so many rows one is kept, and the distance is doubled when there is no room left: what
// stays is spread evenly, however many rows there will be.
static void sample_row(wb_input_statistics *s, const float *row) {
    int distance = 1;
    while (s->n_seen / distance >= WB_SAMPLE_ROWS) distance *= 2;
    const bool is_halved = s->n_seen > 0 && s->n_seen % distance == 0 &&
                           s->n_seen / distance == WB_SAMPLE_ROWS / 2 && distance > 1;
    const size_t k = (size_t)s->k;
    if (is_halved) {
        s->n_rows = WB_SAMPLE_ROWS / 2;
        for (size_t i = 1; i < (size_t)s->n_rows; i++)
            memcpy(s->rows + i * k, s->rows + 2 * i * k, k * sizeof *s->rows);
    }
    if (s->n_seen % distance == 0)
        memcpy(s->rows + (size_t)s->n_rows++ * k, row, k * sizeof *s->rows);
    s->n_seen++;
}

static const float *see_product(void *context, const wb_product *product) {
    const collector *c = context;
    wb_input_statistics *s = &c->statistics[wb_trial_find(c->trial, product->linear)];
    for (int i = 0; i < product->m; i++) {
        const float *row = product->x + (size_t)i * (size_t)product->ld_x;
        if (c->is_second_pass) {
            see_values(s, row);
        } else {
            see_range(s, row);
            sample_row(s, row);
        }
    }
    return NULL;
}

// ---- Between the passes ----

static void see_weights(wb_input_statistics *s, const float *w) {
    for (int i = 0; i < s->n; i++)
        for (int j = 0; j < s->k; j++) {
            const float size = fabsf(w[(size_t)i * (size_t)s->k + (size_t)j]);
            if (size > s->w_absmax[j]) s->w_absmax[j] = size;
            s->w_power[j] += (double)size * (double)size;
        }
}

// smooth[j] = x_absmax^alpha / w_absmax^(1 - alpha), to the nearest step (Xiao et al. 2023,
// equation 4). Columns that are all 0 are left alone.
static void choose_smooth(wb_input_statistics *s, int alpha) {
    enum { MOST = WB_MOST_SMOOTH / 2 };
    float *smooth = s->smooth + (size_t)alpha * (size_t)s->k;
    const double strength = wb_alphas[alpha];
    for (int j = 0; j < s->k; j++) {
        smooth[j] = 1.0f;
        if (alpha == 0 || !(s->x_absmax[j] > 0.0f) || !(s->w_absmax[j] > 0.0f)) continue;
        const double octaves = strength * log2((double)s->x_absmax[j]) -
                               (1.0 - strength) * log2((double)s->w_absmax[j]);
        smooth[j] = wb_smooth_step((int)lrint(fmin(fmax(8.0 * octaves, -MOST), MOST)));
    }
}

static void open_histogram(wb_input_statistics *s, int alpha) {
    const size_t first = (size_t)alpha * (size_t)s->k;
    wb_histogram *h = &s->histograms[alpha];
    choose_smooth(s, alpha);
    for (int j = 0; j < s->k; j++) {
        const float smooth = s->smooth[first + (size_t)j];
        h->top = fmaxf(h->top, s->x_absmax[j] / smooth);
        s->cell_weights[first + (size_t)j] = s->w_power[j] * (double)smooth * (double)smooth;
    }
}

// ---- Memory ----

static wb_status open_statistics(wb_input_statistics *s, const wb_plan *plan, int matrix,
                                 wb_error *err) {
    const wb_matrix *m = &plan->matrices[matrix];
    const size_t k = (size_t)m->k;
    s->n = m->n;
    s->k = m->k;
    // The head stays f32.
    s->n_alphas = matrix < wb_plan_pre_classifier(plan) ? WB_N_ALPHAS : 1;
    const size_t n_alphas = (size_t)s->n_alphas;
    s->x_absmax = wb_alloc_array(k, sizeof *s->x_absmax);
    s->w_absmax = wb_alloc_array(k, sizeof *s->w_absmax);
    s->w_power = wb_alloc_array(k, sizeof *s->w_power);
    s->smooth = wb_alloc_array(n_alphas * k, sizeof *s->smooth);
    s->cell_weights = wb_alloc_array(n_alphas * k, sizeof *s->cell_weights);
    s->histograms = wb_alloc_array(n_alphas, sizeof *s->histograms);
    s->rows = wb_alloc_array(WB_SAMPLE_ROWS * k, sizeof *s->rows);
    const bool is_complete = s->x_absmax && s->w_absmax && s->w_power && s->smooth &&
                             s->cell_weights && s->histograms && s->rows;
    return is_complete ? WB_OK : wb_fail(err, WB_ERR_MEMORY, 0, "statistics of %s", m->name);
}

void wb_statistics_free(wb_input_statistics *statistics, int n_matrices) {
    for (int i = 0; i < n_matrices; i++) {
        wb_input_statistics *s = &statistics[i];
        wb_free(s->x_absmax);
        wb_free(s->w_absmax);
        wb_free(s->w_power);
        wb_free(s->smooth);
        wb_free(s->cell_weights);
        wb_free(s->histograms);
        wb_free(s->rows);
        *s = (wb_input_statistics){0};
    }
}

// ---- Collecting ----

static wb_status read_weights(wb_input_statistics *s, const wb_trial *t, int matrix,
                              wb_error *err) {
    float *w = wb_alloc((size_t)s->n * (size_t)s->k * sizeof *w);
    float *bias = wb_alloc((size_t)s->n * sizeof *bias);
    wb_status status = WB_OK;
    if (w && bias) {
        wb_weights_read_matrix(w, bias, &t->plan, matrix, &t->source);
        see_weights(s, w);
    } else {
        status = wb_fail(err, WB_ERR_MEMORY, 0, "weights of %s", t->plan.matrices[matrix].name);
    }
    wb_free(w);
    wb_free(bias);
    return status;
}

static void run_all(collector *c) {
    const wb_product_tap tap = {.see = see_product, .context = c};
    for (int i = 0; i < c->trial->n_batches; i++) {
        wb_trial_form_batch(c->trial, i);
        wb_trial_run(c->trial, c->trial->workspaces[0].logits, &tap);
    }
    wb_trial_form_batch(c->trial, 0);
}

wb_status wb_statistics_collect(wb_input_statistics *statistics, wb_trial *trial, wb_error *err) {
    collector c = {.trial = trial, .statistics = statistics};
    const int n = trial->plan.n_matrices;
    wb_status status = WB_OK;
    for (int i = 0; i < n && !status; i++) {
        status = open_statistics(&statistics[i], &trial->plan, i, err);
        if (!status) status = read_weights(&statistics[i], trial, i, err);
    }
    if (status) return status;
    run_all(&c);
    for (int i = 0; i < n; i++)
        for (int a = 0; a < statistics[i].n_alphas; a++) open_histogram(&statistics[i], a);
    c.is_second_pass = true;
    run_all(&c);
    return WB_OK;
}

// ---- Clipping ----

// Of one value and a number of steps. Adding 1.5 * 2^52 rounds to a whole number, ties to even, as
// rint does with a call.
static double squared_error(double value, double clip) {
    const double step = clip / 127.0, shift = 0x1.8p52;
    const double kept = value < clip ? ((value / step + shift) - shift) * step : clip;
    return (value - kept) * (value - kept);
}

// A fiftieth of the range at a time: the minimum is flat.
float wb_statistics_best_clip(const wb_input_statistics *s, int alpha) {
    const wb_histogram *h = &s->histograms[alpha];
    double least = INFINITY, best = (double)h->top;
    for (int percent = 100; percent >= 6; percent -= 2) {
        const double clip = (double)h->top * percent / 100.0;
        double sum = 0.0;
        for (int i = 0; i < WB_HISTOGRAM_BINS && sum < least; i++) {
            if (h->weights[i] <= 0.0) continue;
            const double value = (double)h->top * (i + 0.5) / WB_HISTOGRAM_BINS;
            sum += h->weights[i] * squared_error(value, clip);
        }
        if (sum < least) least = sum, best = clip;
    }
    return (float)best;
}
