// SPDX-License-Identifier: Apache-2.0
// wb_quantize: from a model and some texts to static scales. Range and smoothing of each matrix
// are chosen by the error of its own product, over a sample of real rows; which matrices are too
// sensitive is decided by the logits, first of each matrix alone, then of all together.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/artefact.h"
#include "engine/simulated_fp8.h"
#include "engine/statistics.h"

enum {
    BATCH_TOKENS = 2048,  // each matrix alone is measured on the first batch, all else on all
    MAX_TEXTS = 1 << 20,
    N_I8 = 3,  // f32, i8-dynamic, i8-static
    N_FP8 = 2,
    MAX_ROUNDS = 8,
};

// Smoothing must lower a product's error by this much to be worth a multiplication by a column.
static const double SMOOTHING_GAIN = 0.95;

typedef struct quantizer {
    wb_engine engine;  // model, kernels, plan and pool; no weights
    const wb_quantize_options *options;
    wb_trial trial;
    wb_input_statistics *statistics;  // [n_matrices]
    wb_artefact *artefact;
    wb_fp8_simulation fp8;
    float *y, *y_changed;      // [WB_SAMPLE_ROWS, widest n]
    wb_linear *f32;            // [n_matrices]: the trial's own, while others stand in their places
    wb_precision *standing;    // [n_matrices]: what stands there; WB_F32: their own
    wb_candidate *candidates;  // [n_matrices, N_I8]
    int n_done, n_steps;
} quantizer;

wb_quantize_options wb_default_quantize_options(void) {
    return (wb_quantize_options){.max_error = 0.05};
}

static void tell_progress(quantizer *q) {
    q->n_done++;
    // How often all matrices are tried together is not known before.
    if (q->options->on_progress && q->n_done <= q->n_steps)
        q->options->on_progress(q->options->context, (double)q->n_done / q->n_steps);
}

// ---- One matrix ----

// *linear <- a matrix in one of the precisions of int8 or fp8.
static wb_status pack(wb_linear *linear, quantizer *q, int matrix, wb_precision precision,
                      wb_error *err) {
    if (precision == WB_FP8_STATIC) return wb_fp8_pack(linear, &q->fp8, matrix, err);
    return wb_weights_pack_matrix(linear, &q->trial.plan, matrix, precision, &q->engine.kernels,
                                  &q->trial.source, err);
}

// y[n_rows, n] <- the sampled rows times the matrix.
static void multiply_sample(quantizer *q, const wb_linear *linear, const wb_input_statistics *s,
                            float *y) {
    const wb_team team = wb_trial_team(&q->trial, true);
    const size_t n = (size_t)s->n, k = (size_t)s->k;
    const int block_rows = q->trial.plan.block_rows;
    for (int row = 0; row < s->n_rows; row += block_rows) {
        const int m = s->n_rows - row < block_rows ? s->n_rows - row : block_rows;
        wb_linear_forward(&team, &(wb_product){.linear = linear,
                                               .n = s->n,
                                               .y = y + (size_t)row * n,
                                               .ld_y = s->n,
                                               .x = s->rows + (size_t)row * k,
                                               .ld_x = s->k,
                                               .m = m});
    }
}

// Of one row: |changed - y|^2 / |y|^2.
static double relative_change(const float *changed, const float *y, int n) {
    double moved = 0.0, size = 0.0;
    for (int i = 0; i < n; i++) {
        const double difference = (double)changed[i] - (double)y[i];
        moved += difference * difference;
        size += (double)y[i] * (double)y[i];
    }
    return size > 0.0 ? moved / size : 0.0;
}

// *error <- how far y moves in i8-static under the scales of the artefact: the mean of the rows'
// relative changes, squared, since the layer norm that follows makes all rows alike. q->y holds the
// f32 result.
static wb_status measure_product(double *error, quantizer *q, int matrix, wb_error *err) {
    const wb_input_statistics *s = &q->statistics[matrix];
    wb_linear changed;
    const wb_status status = pack(&changed, q, matrix, WB_I8_STATIC, err);
    if (status) return status;
    multiply_sample(q, &changed, s, q->y_changed);
    wb_linear_free(&changed);
    *error = 0.0;
    for (int i = 0; i < s->n_rows; i++) {
        const size_t at = (size_t)i * (size_t)s->n;
        *error += relative_change(q->y_changed + at, q->y + at, s->n) / s->n_rows;
    }
    return WB_OK;
}

// Tries every strength of smoothing with its full range and with the best cut of it.
static wb_status choose_scales(quantizer *q, int matrix, wb_error *err) {
    const wb_input_statistics *s = &q->statistics[matrix];
    wb_matrix_scales *scales = &q->artefact->matrices[matrix], best = {.x_max = 0.0f};
    double least = INFINITY;
    multiply_sample(q, wb_weights_matrix(q->trial.weights, matrix), s, q->y);
    for (int i = 0; i < 2 * s->n_alphas; i++) {
        const int alpha = i / 2;
        const float top = s->histograms[alpha].top;
        const float *smooth = alpha ? s->smooth + (size_t)alpha * (size_t)s->k : NULL;
        double error = 0.0;
        *scales = (wb_matrix_scales){.x_max = i % 2 ? wb_statistics_best_clip(s, alpha) : top,
                                     .smooth = smooth,
                                     .fp8_x_max = s->histograms[0].top};
        const wb_status status = measure_product(&error, q, matrix, err);
        // The artefact owns what it points to, and this is still the statistics'.
        const wb_matrix_scales tried = *scales;
        scales->smooth = NULL;
        if (status) return status;
        const bool is_worth =
            smooth && !best.smooth ? error < least * SMOOTHING_GAIN : error < least;
        if (is_worth) least = error, best = tried;
    }
    if (best.smooth) {
        float *copy = wb_alloc_array((size_t)s->k, sizeof *copy);
        if (!copy) return wb_fail(err, WB_ERR_MEMORY, 0, "scales of %d columns", s->k);
        memcpy(copy, best.smooth, (size_t)s->k * sizeof *copy);
        best.smooth = copy;
    }
    *scales = best;
    return WB_OK;
}

// *error <- the relative change of the logits when this matrix alone has this precision.
static wb_status measure_alone(double *error, quantizer *q, int matrix, wb_precision precision,
                               wb_error *err) {
    wb_linear changed;
    const wb_status status = pack(&changed, q, matrix, precision, err);
    if (status) return status;
    const wb_product_tap tap = wb_fp8_tap(&q->fp8);
    q->fp8.is_on[matrix] = precision == WB_FP8_STATIC;
    *error = wb_trial_error(&q->trial, matrix, &changed, &tap);
    q->fp8.is_on[matrix] = false;
    wb_linear_free(&changed);
    return WB_OK;
}

static wb_status study_matrix(quantizer *q, int matrix, wb_error *err) {
    wb_matrix_scales *scales = &q->artefact->matrices[matrix];
    wb_status status = choose_scales(q, matrix, err);
    if (!status) status = measure_alone(&scales->i8_error, q, matrix, WB_I8_STATIC, err);
    if (!status) status = measure_alone(&scales->i8_dynamic_error, q, matrix, WB_I8_DYNAMIC, err);
    if (!status) status = measure_alone(&scales->fp8_error, q, matrix, WB_FP8_STATIC, err);
    tell_progress(q);
    return status;
}

// ---- All matrices together ----

static wb_status stand(quantizer *q, int matrix, wb_precision precision, wb_error *err) {
    wb_linear *place = wb_weights_matrix(q->trial.weights, matrix);
    if (q->standing[matrix] == precision) return WB_OK;
    if (q->standing[matrix] != WB_F32) wb_linear_free(place);
    *place = q->f32[matrix];
    q->standing[matrix] = WB_F32;
    q->fp8.is_on[matrix] = false;
    if (precision == WB_F32) return WB_OK;
    wb_linear changed;
    const wb_status status = pack(&changed, q, matrix, precision, err);
    if (status) return status;
    *place = changed;
    q->standing[matrix] = precision;
    q->fp8.is_on[matrix] = precision == WB_FP8_STATIC;
    return WB_OK;
}

static void stand_f32(quantizer *q) {
    for (int i = 0; q->standing && i < q->trial.plan.n_matrices; i++)
        if (q->standing[i] != WB_F32) (void)stand(q, i, WB_F32, NULL);
}

// *error <- of the logits with every matrix in the precision that the trial's plan has for it.
static wb_status measure_together(double *error, quantizer *q, wb_error *err) {
    const wb_plan *plan = &q->trial.plan;
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_status status = stand(q, i, plan->matrices[i].precision, err);
        if (status) return status;
    }
    const wb_product_tap tap = wb_fp8_tap(&q->fp8);
    *error = wb_trial_error_of_all(&q->trial, &tap);
    return WB_OK;
}

// *error <- of the cheapest plan whose matrices' own errors, as they add up when they are
// independent, keep within budget.
static wb_status try_budget(double *error, quantizer *q, const wb_candidate *candidates, int n_each,
                            double budget, wb_error *err) {
    wb_cost_choose(&q->trial.plan, candidates, n_each, budget);
    tell_progress(q);
    return measure_together(error, q, err);
}

// Chooses the trial's plan among candidates[n_matrices, n_each] so that all together keep within
// max_error. How errors add up is not known but measured, so the budget that is just small enough
// is searched for: first by the ratio that was measured, then between what was too much and what
// was not. A budget of 0 leaves everything f32.
static wb_status choose_together(double *error, quantizer *q, const wb_candidate *candidates,
                                 int n_each, wb_error *err) {
    const double max_error = q->options->max_error;
    double enough = 0.0, too_much = INFINITY, budget = max_error;
    for (int round = 0; round < MAX_ROUNDS && enough * 1.1 < too_much; round++) {
        const wb_status status = try_budget(error, q, candidates, n_each, budget, err);
        if (status) return status;
        if (*error <= max_error) {
            enough = budget;
            if (isinf(too_much)) return WB_OK;
        } else {
            too_much = budget;
        }
        const double next = budget * (isfinite(*error) ? 0.9 * max_error / *error : 0.1);
        budget = enough > 0.0 ? sqrt(enough * too_much) : next;
    }
    return try_budget(error, q, candidates, n_each, enough, err);
}

// What a product costs next to int8 of fixed scales: bench/results on AVX-512 VNNI, where f32 takes
// four times as long and finding a row's scale reads x once more.
static void list_i8(wb_candidate candidates[N_I8], const wb_matrix_scales *scales,
                    const wb_matrix *matrix, bool is_head) {
    const double work = (double)matrix->n * (double)matrix->k;
    const wb_candidate f32 = {.precision = WB_F32, .cost_ns = 4.0 * work};
    candidates[0] = candidates[1] = candidates[2] = f32;
    if (is_head) return;
    candidates[1] = (wb_candidate){WB_I8_DYNAMIC, scales->i8_dynamic_error, 1.05 * work};
    candidates[2] = (wb_candidate){WB_I8_STATIC, scales->i8_error, work};
}

static wb_status choose_i8(quantizer *q, wb_error *err) {
    const wb_plan *plan = &q->trial.plan;
    wb_artefact *a = q->artefact;
    for (int i = 0; i < plan->n_matrices; i++)
        list_i8(q->candidates + (size_t)i * N_I8, &a->matrices[i], &plan->matrices[i],
                i >= wb_plan_pre_classifier(plan));
    const wb_status status = choose_together(&a->i8_error, q, q->candidates, N_I8, err);
    for (int i = 0; i < plan->n_matrices; i++) a->matrices[i].i8 = plan->matrices[i].precision;
    return status;
}

// A GPU's f16 moves the logits so little that f32 stands for it here; its products take twice as
// long.
static wb_status choose_fp8(quantizer *q, wb_error *err) {
    const wb_plan *plan = &q->trial.plan;
    wb_artefact *a = q->artefact;
    for (int i = 0; i < plan->n_matrices; i++) {
        const double work = (double)plan->matrices[i].n * (double)plan->matrices[i].k;
        wb_candidate *candidates = q->candidates + (size_t)i * N_FP8;
        candidates[0] = candidates[1] = (wb_candidate){.precision = WB_F32, .cost_ns = 2.0 * work};
        if (i < wb_plan_pre_classifier(plan))
            candidates[1] = (wb_candidate){WB_FP8_STATIC, a->matrices[i].fp8_error, work};
    }
    const wb_status status = choose_together(&a->fp8_error, q, q->candidates, N_FP8, err);
    for (int i = 0; i < plan->n_matrices; i++)
        a->matrices[i].fp8 = plan->matrices[i].precision == WB_F32 ? WB_F16 : WB_FP8_STATIC;
    return status;
}

// ---- Opening and closing ----

static wb_status open_engine(quantizer *q, const wb_model *model, wb_error *err) {
    wb_options options = wb_default_options();
    wb_engine *engine = &q->engine;
    options.technique = "f32-flash+packed";
    options.n_threads = q->options->n_threads;
    engine->model = model;
    wb_machine_detect(&engine->cpu);
    wb_kernels_select(&engine->kernels, engine->cpu.flags);
    wb_status status =
        wb_plan_init(&engine->plan, &model->shape, &options, &engine->kernels, &engine->cpu, err);
    if (!status) status = wb_pool_open(&engine->pool, engine->plan.n_threads, err);
    return status;
}

static wb_status open_buffers(quantizer *q, wb_error *err) {
    const wb_plan *plan = &q->trial.plan;
    const size_t n = (size_t)plan->n_matrices;
    size_t widest = 0;
    for (size_t i = 0; i < n; i++)
        if ((size_t)plan->matrices[i].n > widest) widest = (size_t)plan->matrices[i].n;
    q->statistics = wb_alloc_array(n, sizeof *q->statistics);
    q->y = wb_alloc_array(WB_SAMPLE_ROWS * widest, sizeof *q->y);
    q->y_changed = wb_alloc_array(WB_SAMPLE_ROWS * widest, sizeof *q->y_changed);
    q->f32 = wb_alloc_array(n, sizeof *q->f32);
    q->standing = wb_alloc_array(n, sizeof *q->standing);
    q->candidates = wb_alloc_array(n * N_I8, sizeof *q->candidates);
    if (!q->statistics || !q->y || !q->y_changed || !q->f32 || !q->standing || !q->candidates)
        return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    for (size_t i = 0; i < n; i++) q->f32[i] = *wb_weights_matrix(q->trial.weights, (int)i);
    const wb_status status = wb_artefact_create(&q->artefact, plan, err);
    if (status) return status;
    q->trial.plan.scales = &q->artefact->scales;
    q->n_steps = plan->n_matrices + 3;
    return wb_fp8_open(&q->fp8, &q->trial, q->artefact->matrices, err);
}

static void close_quantizer(quantizer *q) {
    stand_f32(q);
    wb_fp8_close(&q->fp8);
    if (q->statistics) wb_statistics_free(q->statistics, q->trial.plan.n_matrices);
    wb_free(q->statistics);
    wb_free(q->y);
    wb_free(q->y_changed);
    wb_free(q->f32);
    wb_free(q->standing);
    wb_free(q->candidates);
    wb_artefact_close(q->artefact);
    wb_trial_close(&q->trial);
    wb_pool_close(q->engine.pool);
    wb_plan_free(&q->engine.plan);
}

static wb_status check_arguments(const wb_model *model, const wb_inputs *texts,
                                 const wb_quantize_options *options, wb_error *err) {
    if (texts->model != model)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "calibration texts were encoded for another model");
    const int n = texts->lists.n_texts;
    if (n < 2 || n > MAX_TEXTS)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%d calibration texts, give 2 to %d", n, MAX_TEXTS);
    if (!(options->max_error > 0.0))
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "a largest error of %g, give one above 0",
                       options->max_error);
    return WB_OK;
}

// ---- The artefact ----

static void name_origin(quantizer *q, const wb_model *model, const wb_inputs *texts) {
    const wb_quantize_options *o = q->options;
    wb_artefact *a = q->artefact;
    wb_origin_of(&a->model, model);
    wb_checkpoint_weights_sha256(model->checkpoint, a->model.weights_sha256);
    snprintf(a->made_by, sizeof a->made_by, "wattbert %s", wb_version());
    snprintf(a->texts_name, sizeof a->texts_name, "%s", o->texts_name ? o->texts_name : "");
    snprintf(a->texts_sha256, sizeof a->texts_sha256, "%s", o->texts_sha256 ? o->texts_sha256 : "");
    a->n_texts = texts->lists.n_texts;
    a->n_tokens = (int64_t)wb_inputs_tokens(texts);
    a->max_error = o->max_error;
}

static void summarize(wb_quantize_result *out, const quantizer *q) {
    const wb_artefact *a = q->artefact;
    const int n_matrices = wb_plan_pre_classifier(&q->trial.plan);
    *out = (wb_quantize_result){.n_texts = (int)a->n_texts,
                                .n_tokens = (uint64_t)a->n_tokens,
                                .i8_error = a->i8_error,
                                .fp8_error = a->fp8_error,
                                .n_matrices = n_matrices};
    for (int i = 0; i < n_matrices; i++) {
        out->n_i8_static += a->matrices[i].i8 == WB_I8_STATIC;
        out->n_i8_dynamic += a->matrices[i].i8 == WB_I8_DYNAMIC;
        out->n_fp8_static += a->matrices[i].fp8 == WB_FP8_STATIC;
        out->n_smoothed += a->matrices[i].smooth != NULL;
    }
}

static wb_status run(quantizer *q, const wb_model *model, const wb_inputs *texts, wb_error *err) {
    wb_status status = open_engine(q, model, err);
    if (!status) status = wb_trial_open(&q->trial, &q->engine, texts, BATCH_TOKENS, err);
    if (!status) status = open_buffers(q, err);
    if (!status) status = wb_statistics_collect(q->statistics, &q->trial, err);
    if (!status) tell_progress(q);
    if (!status) status = wb_trial_run_reference(&q->trial, err);
    for (int i = 0; !status && i < q->trial.plan.n_matrices; i++) status = study_matrix(q, i, err);
    if (!status) status = choose_i8(q, err);
    if (!status) stand_f32(q);
    if (!status) status = choose_fp8(q, err);
    if (!status) name_origin(q, model, texts);
    return status;
}

wb_status wb_quantize(const wb_model *model, const wb_inputs *texts,
                      const wb_quantize_options *options, const char *path, wb_quantize_result *out,
                      wb_error *err) {
    const wb_quantize_options defaults = wb_default_quantize_options();
    if (!options) options = &defaults;
    wb_status status = check_arguments(model, texts, options, err);
    if (status) return status;
    quantizer q = {.options = options};
    status = run(&q, model, texts, err);
    if (!status) status = wb_artefact_write(q.artefact, &q.trial.plan, path, err);
    if (!status && out) summarize(out, &q);
    close_quantizer(&q);
    return status;
}
