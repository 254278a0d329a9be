// SPDX-License-Identifier: Apache-2.0
// The measurements behind `mixed`: each matrix alone is put into each precision that this CPU
// has arithmetic for; how far the logits move is its error, how long its product takes on
// this machine its cost. The choice from these numbers is made in plan/cost.c.
#include <string.h>

#include "engine/engine.h"
#include "engine/trial.h"

enum {
    MAX_TOKENS = 1024,  // of calibration texts; more would take longer and change little
    COST_ROWS = 128,    // rows of the timed product: a usual block of a packed batch
    COST_REPEATS = 5,   // the least counts: whatever else runs only adds time
    MAX_CANDIDATES = WB_N_PRECISIONS,
};

// The logits may move by this share of their own spread over texts, all matrices together.
#define MAX_ERROR 0.02

typedef struct calibration {
    wb_trial trial;
    float *cost_x, *cost_y;
    wb_precision precisions[MAX_CANDIDATES];
    int n_precisions;
    wb_candidate *candidates;  // [n_matrices, n_precisions]
} calibration;

// ---- One matrix in one precision ----

// Nanoseconds a token of one product on one thread, the conversion of its activations included.
// Kernels do not look at values, so any will do.
static double time_product(calibration *c, const wb_linear *linear) {
    const wb_team team = wb_trial_team(&c->trial, false);
    const int block_rows = c->trial.plan.block_rows;
    const int m = COST_ROWS < block_rows ? COST_ROWS : block_rows;
    const wb_product product = {.linear = linear,
                                .n = linear->n,
                                .y = c->cost_y,
                                .ld_y = linear->n,
                                .x = c->cost_x,
                                .ld_x = linear->k,
                                .m = m};
    uint64_t least_ns = UINT64_MAX;
    for (int i = 0; i < COST_REPEATS; i++) {
        const uint64_t start_ns = wb_clock_ns();
        wb_linear_forward(&team, &product);
        const uint64_t ns = wb_clock_ns() - start_ns;
        if (ns < least_ns) least_ns = ns;
    }
    return (double)least_ns / m;
}

// Matrices of one kind have one shape in all layers, and so one cost: the first layer's.
static double cost_of(calibration *c, int matrix, int candidate, const wb_linear *linear) {
    const bool is_timed =
        matrix < WB_MATRICES_PER_LAYER || matrix >= wb_plan_pre_classifier(&c->trial.plan);
    if (is_timed) return time_product(c, linear);
    const int same = matrix % WB_MATRICES_PER_LAYER;
    return c->candidates[same * c->n_precisions + candidate].cost_ns;
}

static wb_status try_candidate(calibration *c, int matrix, int candidate, wb_error *err) {
    wb_trial *t = &c->trial;
    const wb_precision precision = c->precisions[candidate];
    wb_linear changed;
    const wb_status status = wb_weights_pack_matrix(&changed, &t->plan, matrix, precision,
                                                    &t->engine->kernels, &t->source, err);
    if (status) return status;
    c->candidates[matrix * c->n_precisions + candidate] =
        (wb_candidate){.precision = precision,
                       .error = wb_trial_error(t, matrix, &changed, NULL),
                       .cost_ns = cost_of(c, matrix, candidate, &changed)};
    wb_linear_free(&changed);
    return WB_OK;
}

// candidates[matrix, precision] <- all of them; f32 is its own reference.
static wb_status try_all(calibration *c, wb_error *err) {
    for (int matrix = 0; matrix < c->trial.plan.n_matrices; matrix++) {
        const wb_linear *f32 = wb_weights_matrix(c->trial.weights, matrix);
        c->candidates[matrix * c->n_precisions] =
            (wb_candidate){.precision = WB_F32, .cost_ns = cost_of(c, matrix, 0, f32)};
        for (int i = 1; i < c->n_precisions; i++) {
            const wb_status status = try_candidate(c, matrix, i, err);
            if (status) return status;
        }
    }
    return WB_OK;
}

// ---- Opening and closing ----

// What this CPU has arithmetic for, f32 first.
static void list_precisions(calibration *c, const wb_kernels *kernels) {
    c->precisions[c->n_precisions++] = WB_F32;
    if (kernels->has_bf16) c->precisions[c->n_precisions++] = WB_BF16;
    if (kernels->has_f16) c->precisions[c->n_precisions++] = WB_F16;
    c->precisions[c->n_precisions++] = WB_I8_DYNAMIC;
}

static wb_status open_buffers(calibration *c, wb_error *err) {
    const wb_plan *plan = &c->trial.plan;
    size_t widest_n = 0, widest_k = 0;
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_matrix *matrix = &plan->matrices[i];
        if ((size_t)matrix->n > widest_n) widest_n = (size_t)matrix->n;
        if ((size_t)matrix->k > widest_k) widest_k = (size_t)matrix->k;
    }
    const size_t n_candidates = (size_t)plan->n_matrices * (size_t)c->n_precisions;
    c->candidates = wb_alloc_array(n_candidates, sizeof *c->candidates);
    c->cost_x = wb_alloc_array(COST_ROWS * widest_k, sizeof *c->cost_x);
    c->cost_y = wb_alloc_array(COST_ROWS * widest_n, sizeof *c->cost_y);
    if (!c->candidates || !c->cost_x || !c->cost_y)
        return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    for (size_t i = 0; i < COST_ROWS * widest_k; i++) c->cost_x[i] = (float)(i % 251) - 125.0f;
    return WB_OK;
}

static void close_calibration(calibration *c) {
    wb_free(c->cost_x);
    wb_free(c->cost_y);
    wb_free(c->candidates);
    wb_trial_close(&c->trial);
}

static wb_status open_sentences(wb_inputs **out, const wb_model *model, wb_error *err) {
    wb_text texts[WB_N_SENTENCES] = {0};
    for (int i = 0; i < WB_N_SENTENCES; i++)
        texts[i] = (wb_text){.text = wb_calibration_sentences[i],
                             .n_bytes = strlen(wb_calibration_sentences[i])};
    return wb_inputs_open(out, model, texts, WB_N_SENTENCES, 0, err);
}

wb_status wb_engine_calibrate(wb_engine *engine, const wb_inputs *texts, wb_error *err) {
    wb_inputs *sentences = NULL;
    wb_status status = WB_OK;
    if (!texts || texts->lists.n_texts == 0) {
        status = open_sentences(&sentences, engine->model, err);
        texts = sentences;
    }
    calibration c = {.n_precisions = 0};
    list_precisions(&c, &engine->kernels);
    if (!status) status = wb_trial_open(&c.trial, engine, texts, MAX_TOKENS, err);
    c.trial.n_batches = 1;
    if (!status) status = open_buffers(&c, err);
    if (!status) status = wb_trial_run_reference(&c.trial, err);
    if (!status) status = try_all(&c, err);
    if (!status) wb_cost_choose(&engine->plan, c.candidates, c.n_precisions, MAX_ERROR);
    close_calibration(&c);
    wb_inputs_close(sentences);
    return status;
}
