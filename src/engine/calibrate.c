// SPDX-License-Identifier: Apache-2.0
// The measurements behind `mixed`: each matrix alone is put into each precision that this CPU
// has arithmetic for; how far the logits move is its error, how long its product takes on
// this machine its cost. The choice from these numbers is made in plan/cost.c.
#include <math.h>
#include <string.h>

#include "engine/engine.h"

enum {
    MAX_TOKENS = 1024,  // of calibration texts; more would take longer and change little
    COST_ROWS = 128,    // rows of the timed product: a usual block of a packed batch
    COST_REPEATS = 5,   // the least counts: whatever else runs only adds time
    MAX_CANDIDATES = WB_N_PRECISIONS,
};

// The logits may move by this share of their own spread over texts, all matrices together.
#define MAX_ERROR 0.02

typedef struct calibration {
    wb_engine *engine;
    wb_plan plan;  // f32 everywhere, packed, one batch
    wb_weights *weights;
    wb_workspace *workspaces;
    wb_tensor_source source;
    wb_batch batch;           // borrowed from workspaces[0]
    float **inputs;           // [n_layers] of [n_rows, d_model]: what enters each layer in f32
    float *logits, *changed;  // [n_texts, n_labels]
    double spread;            // rms of the logits' distance from their label's mean
    float *cost_x, *cost_y;
    wb_precision precisions[MAX_CANDIDATES];
    int n_precisions;
    wb_candidate *candidates;  // [n_matrices, n_precisions]
} calibration;

// The calibration's own team: its plan and weights, the engine's threads.
static wb_team team_of(calibration *c, bool is_split) {
    return (wb_team){.plan = &c->plan,
                     .kernels = &c->engine->kernels,
                     .weights = c->weights,
                     .workspaces = c->workspaces,
                     .pool = is_split && c->plan.n_threads > 1 ? c->engine->pool : NULL};
}

// ---- The f32 run that all others are compared with ----

// c->inputs[layer] <- what enters each layer, so that a trial of a matrix in layer 4 need not run
// layers 0 to 3 again: half the work of all trials.
static void keep_layer_input(void *context, wb_tap_point point, int layer, const float *x,
                             int n_rows) {
    calibration *c = context;
    if (point == WB_TAP_ATTENTION) return;
    const int next = point == WB_TAP_EMBEDDINGS ? 0 : layer + 1;
    if (next == c->plan.shape.n_layers) return;
    memcpy(c->inputs[next], x, (size_t)n_rows * (size_t)c->plan.shape.d_model * sizeof *x);
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

// Of c->changed against c->logits; infinite where the logits have no spread to compare with.
static double measure_error(const calibration *c) {
    const int n = c->batch.n_texts * c->plan.shape.n_labels;
    double squares = 0.0;
    for (int i = 0; i < n; i++) {
        const double moved = (double)c->changed[i] - (double)c->logits[i];
        squares += moved * moved;
    }
    if (squares == 0.0) return 0.0;
    return c->spread > 0.0 ? sqrt(squares / n) / c->spread : INFINITY;
}

static void run_reference(calibration *c) {
    const wb_team team = team_of(c, true);
    const wb_tap tap = {.see = keep_layer_input, .context = c};
    wb_forward_batch(&team, &c->batch, c->logits, &tap);
    c->spread = measure_spread(c->logits, c->batch.n_texts, c->plan.shape.n_labels);
}

// ---- One matrix in one precision ----

// Nanoseconds a token of one product on one thread, the conversion of its activations included.
// Kernels do not look at values, so any will do.
static double time_product(calibration *c, const wb_linear *linear) {
    const wb_team team = team_of(c, false);
    const int m = COST_ROWS < c->plan.block_rows ? COST_ROWS : c->plan.block_rows;
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
        matrix < WB_MATRICES_PER_LAYER || matrix >= wb_plan_pre_classifier(&c->plan);
    if (is_timed) return time_product(c, linear);
    const int same = matrix % WB_MATRICES_PER_LAYER;
    return c->candidates[same * c->n_precisions + candidate].cost_ns;
}

// Puts one matrix in its place in another precision, runs the rest of the forward, puts f32 back.
// The last layer is where the head's trials start: its pruned output is not kept.
static wb_status try_candidate(calibration *c, int matrix, int candidate, wb_error *err) {
    const wb_precision precision = c->precisions[candidate];
    wb_linear changed;
    const wb_status status = wb_weights_pack_matrix(&changed, &c->plan, matrix, precision,
                                                    &c->engine->kernels, &c->source, err);
    if (status) return status;
    wb_linear *place = wb_weights_matrix(c->weights, matrix);
    const wb_linear f32 = *place;
    *place = changed;
    const int layer = matrix / WB_MATRICES_PER_LAYER, last = c->plan.shape.n_layers - 1;
    const int first = layer < last ? layer : last;
    const wb_team team = team_of(c, true);
    wb_forward_from(&team, &c->batch, first, c->inputs[first], c->changed);
    c->candidates[matrix * c->n_precisions + candidate] =
        (wb_candidate){.precision = precision,
                       .error = measure_error(c),
                       .cost_ns = cost_of(c, matrix, candidate, &changed)};
    *place = f32;
    wb_linear_free(&changed);
    return WB_OK;
}

// candidates[matrix, precision] <- all of them; f32 is its own reference.
static wb_status try_all(calibration *c, wb_error *err) {
    for (int matrix = 0; matrix < c->plan.n_matrices; matrix++) {
        c->candidates[matrix * c->n_precisions] =
            (wb_candidate){.precision = WB_F32,
                           .cost_ns = cost_of(c, matrix, 0, wb_weights_matrix(c->weights, matrix))};
        for (int i = 1; i < c->n_precisions; i++) {
            const wb_status status = try_candidate(c, matrix, i, err);
            if (status) return status;
        }
    }
    return WB_OK;
}

// ---- Opening and closing ----

// What this CPU has arithmetic for, f32 first.
static void list_precisions(calibration *c) {
    const wb_kernels *kernels = &c->engine->kernels;
    c->precisions[c->n_precisions++] = WB_F32;
    if (kernels->has_bf16) c->precisions[c->n_precisions++] = WB_BF16;
    if (kernels->has_f16) c->precisions[c->n_precisions++] = WB_F16;
    c->precisions[c->n_precisions++] = WB_I8_DYNAMIC;
}

// The engine's own plan, but with what a calibration needs: everything in f32 and one batch.
static wb_status open_plan(calibration *c, wb_error *err) {
    const wb_plan *wanted = &c->engine->plan;
    wb_plan *plan = &c->plan;
    *plan = *wanted;
    plan->packing = WB_PACKED;
    plan->is_last_layer_pruned = true;
    plan->token_budget = MAX_TOKENS;
    const int longest = plan->shape.max_length;
    plan->max_rows = plan->max_texts = longest > MAX_TOKENS ? longest : MAX_TOKENS;
    const size_t n = (size_t)plan->n_matrices;
    plan->matrices = wb_alloc_array(n, sizeof *plan->matrices);
    c->candidates = wb_alloc_array(n * (size_t)c->n_precisions, sizeof *c->candidates);
    if (!plan->matrices || !c->candidates) return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    memcpy(plan->matrices, wanted->matrices, n * sizeof *plan->matrices);
    return wb_weights_open(&c->weights, plan, &c->engine->kernels, &c->source, err);
}

static wb_status open_workspaces(calibration *c, wb_error *err) {
    const int n = c->plan.n_threads;
    c->workspaces = wb_alloc_array((size_t)n, sizeof *c->workspaces);
    if (!c->workspaces) return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    for (int i = 0; i < n; i++) {
        const wb_status status =
            wb_workspace_init(&c->workspaces[i], &c->plan, c->weights, &c->engine->kernels, err);
        if (status) return status;
    }
    return WB_OK;
}

// The first texts that fit MAX_TOKENS, at least one, as one batch.
static void form_batch(calibration *c, const wb_inputs *texts) {
    wb_id_lists lists = texts->lists;
    int n = 1;
    while (n < lists.n_texts && lists.offsets[n + 1] <= MAX_TOKENS) n++;
    lists.n_texts = n;
    wb_batch_cursor cursor = {.plan = &c->plan, .lists = &lists, .tokens_per_batch = UINT32_MAX};
    c->batch = c->workspaces[0].batch;
    (void)wb_batch_next(&c->batch, &cursor);
}

// All arrays of a calibration but the weights; sized by the batch, so after form_batch().
static wb_status open_buffers(calibration *c, wb_error *err) {
    const wb_shape *shape = &c->plan.shape;
    const size_t rows = (size_t)c->batch.n_rows, d = (size_t)shape->d_model;
    const size_t n_logits = (size_t)c->batch.n_texts * (size_t)shape->n_labels;
    size_t widest_n = 0, widest_k = 0;
    for (int i = 0; i < c->plan.n_matrices; i++) {
        const wb_matrix *matrix = &c->plan.matrices[i];
        if ((size_t)matrix->n > widest_n) widest_n = (size_t)matrix->n;
        if ((size_t)matrix->k > widest_k) widest_k = (size_t)matrix->k;
    }
    c->logits = wb_alloc_array(n_logits, sizeof *c->logits);
    c->changed = wb_alloc_array(n_logits, sizeof *c->changed);
    c->cost_x = wb_alloc_array(COST_ROWS * widest_k, sizeof *c->cost_x);
    c->cost_y = wb_alloc_array(COST_ROWS * widest_n, sizeof *c->cost_y);
    c->inputs = wb_alloc_array((size_t)shape->n_layers, sizeof *c->inputs);
    bool is_complete = c->logits && c->changed && c->cost_x && c->cost_y && c->inputs;
    for (int i = 0; i < shape->n_layers && is_complete; i++) {
        c->inputs[i] = wb_alloc(rows * d * sizeof **c->inputs);
        is_complete = c->inputs[i] != NULL;
    }
    if (!is_complete) return wb_fail(err, WB_ERR_MEMORY, 0, "calibration");
    for (size_t i = 0; i < COST_ROWS * widest_k; i++) c->cost_x[i] = (float)(i % 251) - 125.0f;
    return WB_OK;
}

static void close_calibration(calibration *c) {
    for (int i = 0; c->inputs && i < c->plan.shape.n_layers; i++) wb_free(c->inputs[i]);
    for (int i = 0; c->workspaces && i < c->plan.n_threads; i++)
        wb_workspace_free(&c->workspaces[i]);
    wb_free(c->inputs);
    wb_free(c->workspaces);
    wb_free(c->logits);
    wb_free(c->changed);
    wb_free(c->cost_x);
    wb_free(c->cost_y);
    wb_free(c->candidates);
    wb_weights_close(c->weights);
    wb_plan_free(&c->plan);
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
    calibration c = {.engine = engine, .source = wb_model_source(engine->model)};
    list_precisions(&c);
    if (!status) status = open_plan(&c, err);
    if (!status) status = open_workspaces(&c, err);
    if (!status) {
        form_batch(&c, texts);
        status = open_buffers(&c, err);
    }
    if (!status) {
        run_reference(&c);
        status = try_all(&c, err);
    }
    if (!status) wb_cost_choose(&engine->plan, c.candidates, c.n_precisions, MAX_ERROR);
    close_calibration(&c);
    wb_inputs_close(sentences);
    return status;
}
