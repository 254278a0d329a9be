// SPDX-License-Identifier: Apache-2.0
// How far logits move when a matrix changes. What enters each layer in f32 is kept, so that a
// trial of a matrix in layer 4 need not run layers 0 to 3 again: half the work of all trials.
#include "engine/trial.h"

#include <limits.h>
#include <math.h>
#include <string.h>

// ---- Opening and closing ----

// The engine's own plan, but with what a trial needs: everything in f32 and one batch of
// max_tokens.
static wb_status open_plan(wb_trial *t, int max_tokens, wb_error *err) {
    const wb_plan *wanted = &t->engine->plan;
    wb_plan *plan = &t->plan;
    *plan = *wanted;
    plan->packing = WB_PACKED;
    plan->is_last_layer_pruned = true;
    plan->token_budget = max_tokens;
    const int longest = plan->shape.max_length;
    plan->max_rows = plan->max_texts = longest > max_tokens ? longest : max_tokens;
    const size_t n = (size_t)plan->n_matrices;
    plan->matrices = wb_alloc_array(n, sizeof *plan->matrices);
    if (!plan->matrices) return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    memcpy(plan->matrices, wanted->matrices, n * sizeof *plan->matrices);
    for (size_t i = 0; i < n; i++) plan->matrices[i].precision = WB_F32;
    return wb_weights_open(&t->weights, plan, &t->engine->kernels, &t->source, t->engine->pool,
                           err);
}

static wb_status open_workspaces(wb_trial *t, wb_error *err) {
    const int n = t->plan.n_threads;
    t->workspaces = wb_alloc_array((size_t)n, sizeof *t->workspaces);
    if (!t->workspaces) return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    for (int i = 0; i < n; i++) {
        const wb_status status =
            wb_workspace_init(&t->workspaces[i], &t->plan, t->weights, &t->engine->kernels, err);
        if (status) return status;
    }
    return WB_OK;
}

// Batches are full ones in the order of the texts: the shares that threads would like differ from
// machine to machine.
static wb_batch_cursor start_walk(const wb_trial *t) {
    return (wb_batch_cursor){
        .plan = &t->plan, .lists = &t->lists, .round_end = INT_MAX, .share = UINT32_MAX};
}

static int count_batches(const wb_trial *t) {
    wb_batch_cursor walk = start_walk(t);
    wb_batch counted = {.texts = NULL};
    while (wb_batch_next(&counted, &walk)) continue;
    return walk.next_batch;
}

wb_status wb_trial_open(wb_trial *t, wb_engine *engine, const wb_inputs *texts, int max_tokens,
                        wb_error *err) {
    *t = (wb_trial){
        .engine = engine, .source = wb_model_source(engine->model), .lists = texts->lists};
    wb_status status = open_plan(t, max_tokens, err);
    if (!status) status = open_workspaces(t, err);
    if (status) return status;
    t->n_batches = count_batches(t);
    wb_trial_form_batch(t, 0);
    return WB_OK;
}

void wb_trial_close(wb_trial *t) {
    for (int i = 0; t->inputs && i < t->plan.shape.n_layers; i++) wb_free(t->inputs[i]);
    for (int i = 0; t->workspaces && i < t->plan.n_threads; i++)
        wb_workspace_free(&t->workspaces[i]);
    wb_free(t->inputs);
    wb_free(t->workspaces);
    wb_free(t->logits);
    wb_free(t->changed);
    wb_weights_close(t->weights);
    wb_plan_free(&t->plan);
    *t = (wb_trial){0};
}

// ---- Running ----

wb_team wb_trial_team(wb_trial *t, bool is_split) {
    return (wb_team){.plan = &t->plan,
                     .kernels = &t->engine->kernels,
                     .weights = t->weights,
                     .workspaces = t->workspaces,
                     .pool = is_split && t->plan.n_threads > 1 ? t->engine->pool : NULL};
}

int wb_trial_find(const wb_trial *t, const wb_linear *place) {
    for (int i = 0; i < t->plan.n_matrices; i++)
        if (wb_weights_matrix(t->weights, i) == place) return i;
    return -1;
}

void wb_trial_form_batch(wb_trial *t, int index) {
    wb_batch_cursor walk = start_walk(t);
    t->batch = t->workspaces[0].batch;
    while (wb_batch_next(&t->batch, &walk) && walk.next_batch <= index) continue;
}

void wb_trial_run(wb_trial *t, float *logits, const wb_product_tap *tap) {
    wb_team team = wb_trial_team(t, true);
    team.tap = tap;
    wb_forward_batch(&team, &t->batch, logits, NULL);
}

// trial->inputs[layer] <- what enters each layer.
static void keep_layer_input(void *context, wb_tap_point point, int layer, const float *x,
                             int n_rows) {
    wb_trial *t = context;
    if (point == WB_TAP_ATTENTION) return;
    const int next = point == WB_TAP_EMBEDDINGS ? 0 : layer + 1;
    if (next == t->plan.shape.n_layers) return;
    memcpy(t->inputs[next], x, (size_t)n_rows * (size_t)t->plan.shape.d_model * sizeof *x);
}

static wb_status open_buffers(wb_trial *t, wb_error *err) {
    const wb_shape *shape = &t->plan.shape;
    const size_t rows = (size_t)t->batch.n_rows, d = (size_t)shape->d_model;
    const size_t n_logits = (size_t)t->lists.n_texts * (size_t)shape->n_labels;
    t->logits = wb_alloc_array(n_logits, sizeof *t->logits);
    t->changed = wb_alloc_array(n_logits, sizeof *t->changed);
    t->inputs = wb_alloc_array((size_t)shape->n_layers, sizeof *t->inputs);
    bool is_complete = t->logits && t->changed && t->inputs;
    for (int i = 0; i < shape->n_layers && is_complete; i++) {
        t->inputs[i] = wb_alloc(rows * d * sizeof **t->inputs);
        is_complete = t->inputs[i] != NULL;
    }
    return is_complete ? WB_OK : wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
}

// Batches take the texts in their order, so each one's logits follow the last one's.
static void run_batches(wb_trial *t, int first, float *logits, const wb_product_tap *tap) {
    for (int i = first; i < t->n_batches; i++) {
        wb_trial_form_batch(t, i);
        wb_trial_run(t, logits + t->batch.texts[0].index * t->plan.shape.n_labels, tap);
        t->n_texts = t->batch.texts[0].index + t->batch.n_texts;
    }
    wb_trial_form_batch(t, 0);
}

// Root mean square of logits[n_texts, n_labels] around each label's mean: what tells texts apart. A
// constant that all texts share decides nothing and must not make errors look small.
static double measure_spread(const float *logits, int n_texts, int n_labels) {
    double squares = 0.0;
    for (int label = 0; label < n_labels; label++) {
        double sum = 0.0;
        for (int i = 0; i < n_texts; i++) sum += (double)logits[i * n_labels + label];
        for (int i = 0; i < n_texts; i++) {
            const double distance = (double)logits[i * n_labels + label] - sum / n_texts;
            squares += distance * distance;
        }
    }
    return sqrt(squares / ((double)n_texts * n_labels));
}

wb_status wb_trial_run_reference(wb_trial *t, wb_error *err) {
    const wb_status status = open_buffers(t, err);
    if (status) return status;
    const wb_team team = wb_trial_team(t, true);
    const wb_tap tap = {.see = keep_layer_input, .context = t};
    wb_forward_batch(&team, &t->batch, t->logits, &tap);
    t->n_texts = t->batch.n_texts;
    run_batches(t, 1, t->logits, NULL);
    t->spread = measure_spread(t->logits, t->n_texts, t->plan.shape.n_labels);
    return WB_OK;
}

// ---- Errors ----

// Of the first n_texts of trial->changed against trial->logits.
static double measure_error(const wb_trial *t, int n_texts) {
    const int n = n_texts * t->plan.shape.n_labels;
    double squares = 0.0;
    for (int i = 0; i < n; i++) {
        const double moved = (double)t->changed[i] - (double)t->logits[i];
        squares += moved * moved;
    }
    if (squares == 0.0) return 0.0;
    return t->spread > 0.0 ? sqrt(squares / n) / t->spread : INFINITY;
}

double wb_trial_error(wb_trial *t, int matrix, const wb_linear *changed,
                      const wb_product_tap *tap) {
    wb_linear *place = wb_weights_matrix(t->weights, matrix);
    const wb_linear f32 = *place;
    *place = *changed;
    // The last layer is where the head's trials start: its pruned output is not kept.
    const int layer = matrix / WB_MATRICES_PER_LAYER, last = t->plan.shape.n_layers - 1;
    const int first = layer < last ? layer : last;
    wb_team team = wb_trial_team(t, true);
    team.tap = tap;
    wb_forward_from(&team, &t->batch, first, t->inputs[first], t->changed);
    *place = f32;
    return measure_error(t, t->batch.n_texts);
}

double wb_trial_error_of_all(wb_trial *t, const wb_product_tap *tap) {
    run_batches(t, 0, t->changed, tap);
    return measure_error(t, t->n_texts);
}
