// SPDX-License-Identifier: Apache-2.0
// Opening a group: examples are read and encoded once for all its techniques, so that they
// measure the same tokens. Engines come and go within a budget of memory: packing weights
// costs seconds, but seventeen engines of a large model do not fit everywhere.
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/base.h"
#include "models.h"
#include "study/study.h"

enum { CALIBRATION_EXAMPLES = 32 };

static wb_status fail_memory(wb_error *err) {
    return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for the study's examples");
}

// ---- Examples ---------------------------------------------------------------

// Keeps only the first n examples after moving a sample of them to the front.
static wb_status thin_out(glue_data *data, int n, uint64_t seed, wb_error *err) {
    int *chosen = wb_alloc_array((size_t)n, sizeof *chosen);
    if (!chosen) return fail_memory(err);
    glue_sample(chosen, n, data->n_examples, seed);
    // chosen[i] >= i, so nothing is overwritten before it has moved; swaps keep owned texts owned.
    for (int i = 0; i < n; i++) {
        const wb_text text = data->texts[i];
        const double label = data->labels[i];
        data->texts[i] = data->texts[chosen[i]];
        data->labels[i] = data->labels[chosen[i]];
        data->texts[chosen[i]] = text;
        data->labels[chosen[i]] = label;
    }
    data->n_examples = n;
    wb_free(chosen);
    return WB_OK;
}

static wb_status open_examples(study_group *g, wb_error *err) {
    const study_options *o = g->options;
    const glue_task *task = g->pair->task;
    wb_status status = WB_OK;
    if (o->file)
        snprintf(g->path, sizeof g->path, "%s", o->file);
    else
        status = glue_data_find(g->path, sizeof g->path, task, o->data, o->split, err);
    if (!status) status = glue_data_open(&g->data, task, g->path, err);
    if (status) return status;
    g->n_all = g->data->n_examples;
    if (o->n_score_examples > 0 && o->n_score_examples < g->n_all)
        status = thin_out(g->data, o->n_score_examples, o->seed + 1, err);
    return status;
}

// Copies the texts at chosen[n] into inputs cut to max_length.
static wb_status open_inputs(wb_inputs **out, const study_group *g, const int *chosen, int n,
                             int max_length, wb_error *err) {
    wb_text *texts = wb_alloc_array((size_t)n, sizeof *texts);
    if (!texts) return fail_memory(err);
    for (int i = 0; i < n; i++) texts[i] = g->data->texts[chosen[i]];
    const wb_status status = wb_inputs_open(out, g->model, texts, n, max_length, err);
    wb_free(texts);
    return status;
}

static void count_cut(study_group *g) {
    for (int i = 0; i < g->n_measured; i++) {
        int n_ids;
        (void)wb_inputs_ids(g->packed, i, &n_ids);
        g->n_cut += n_ids > g->options->padded_length;
    }
}

// Draws the measured examples, and repeats them in their order until a pass has enough tokens: a
// GPU's batch holds more texts than most files have.
static wb_status choose_measured(study_group *g, wb_error *err) {
    const int wanted = g->options->n_examples, n_all = g->data->n_examples;
    const int n = wanted > 0 && wanted < n_all ? wanted : n_all;
    g->n_measured = n;
    g->n_repeats = 1;
    g->measured = wb_alloc_array((size_t)n, sizeof *g->measured);
    if (!g->measured) return fail_memory(err);
    glue_sample(g->measured, n, n_all, g->options->seed);
    if (g->options->min_tokens == 0 || n == 0) return WB_OK;
    wb_inputs *once;
    const wb_status status = open_inputs(&once, g, g->measured, n, 0, err);
    if (status) return status;
    const uint64_t n_tokens = wb_inputs_tokens(once) ? wb_inputs_tokens(once) : 1;
    wb_inputs_close(once);
    const uint64_t n_repeats = ((uint64_t)g->options->min_tokens + n_tokens - 1) / n_tokens;
    g->n_repeats = (int)n_repeats;
    g->n_measured = n * g->n_repeats;
    int *repeated =
        wb_realloc_array(g->measured, (size_t)n, (size_t)g->n_measured, sizeof *repeated);
    if (!repeated) return fail_memory(err);
    g->measured = repeated;
    for (int i = n; i < g->n_measured; i++) repeated[i] = repeated[i % n];
    return WB_OK;
}

static wb_status open_measured(study_group *g, wb_error *err) {
    wb_status status = choose_measured(g, err);
    if (status) return status;
    g->batch_ns = wb_alloc_array((size_t)g->n_measured, sizeof *g->batch_ns);
    const size_t n_logits = (size_t)g->n_measured * (size_t)g->info->n_labels;
    g->logits = wb_alloc_array(n_logits, sizeof *g->logits);
    if (!g->batch_ns || !g->logits) return fail_memory(err);
    status = open_inputs(&g->packed, g, g->measured, g->n_measured, 0, err);
    if (!status)
        status =
            open_inputs(&g->padded, g, g->measured, g->n_measured, g->options->padded_length, err);
    if (!status) count_cut(g);
    return status;
}

static wb_status open_slices(study_group *g, wb_error *err) {
    const int n = g->data->n_examples, slice = group_slice(g);
    const int n_slices = (n + slice - 1) / slice;
    g->slices = wb_alloc_array((size_t)n_slices, sizeof *g->slices);
    if (!g->slices) return fail_memory(err);
    wb_status status = WB_OK;
    for (int i = 0; !status && i < n_slices; i++) {
        const int first = i * slice, left = n - first;
        status = wb_inputs_open(&g->slices[g->n_slices], g->model, g->data->texts + first,
                                left < slice ? left : slice, 0, err);
        if (!status) g->n_slices++;
    }
    return status;
}

// Training examples of the task where there are some: what `mixed` decides on is then not what
// it is measured on.
static wb_status open_calibration(study_group *g, wb_error *err) {
    char path[4096];
    glue_data *data;
    const glue_task *task = g->pair->task;
    if (!g->options->data ||
        glue_data_find(path, sizeof path, task, g->options->data, "train", NULL) ||
        glue_data_open(&data, task, path, NULL))
        return WB_OK;
    const int n = data->n_examples < CALIBRATION_EXAMPLES ? data->n_examples : CALIBRATION_EXAMPLES;
    wb_text texts[CALIBRATION_EXAMPLES];
    int chosen[CALIBRATION_EXAMPLES];
    glue_sample(chosen, n, data->n_examples, g->options->seed + 2);
    for (int i = 0; i < n; i++) texts[i] = data->texts[chosen[i]];
    const wb_status status = wb_inputs_open(&g->calibration, g->model, texts, n, 0, err);
    glue_data_close(data);
    return status;
}

// ---- The group --------------------------------------------------------------

static wb_status open_cells(study_group *g, const study_choice *choices, int n_choices,
                            wb_error *err) {
    const int n_windows = g->options->n_windows;
    g->cells = wb_alloc_array((size_t)n_choices, sizeof *g->cells);
    g->scored = wb_alloc_array((size_t)n_choices + 1, sizeof *g->scored);
    if (!g->cells || !g->scored) return fail_memory(err);
    for (int i = 0; i < n_choices; i++) {
        study_cell *cell = &g->cells[i];
        cell->choice = choices[i];
        result_row_clear(&cell->row);
        cell->conditions = (study_conditions){NAN, NAN, NAN, NAN, NAN, NAN, ""};
        cell->windows = wb_alloc_array((size_t)n_windows, sizeof *cell->windows);
        g->n_cells++;
        if (!cell->windows) return fail_memory(err);
    }
    return WB_OK;
}

wb_status group_open(study_group *g, const study_choice *choices, int n_choices, wb_error *err) {
    wb_status status = open_cells(g, choices, n_choices, err);
    if (!status) status = open_examples(g, err);
    if (!status) status = models_open(&g->model, g->pair->dir, err);
    if (status) return status;
    g->info = wb_model_describe(g->model);
    status = glue_check_model(g->pair->task, g->info, err);
    if (!status) status = open_measured(g, err);
    if (!status) status = open_slices(g, err);
    if (!status) status = open_calibration(g, err);
    return status;
}

static void close_cell(study_cell *cell) {
    wb_engine_close(cell->engine);
    wb_free(cell->windows);
    wb_free(cell->batch_ns);
    glue_result_close(&cell->result);
}

void group_close(study_group *g) {
    for (int i = 0; i < g->n_cells; i++) close_cell(&g->cells[i]);
    for (int i = 0; i < g->n_scored_bases; i++) {
        wb_free(g->scored[i].logits);
        wb_free(g->scored[i].plan);
    }
    for (int i = 0; i < g->n_slices; i++) wb_inputs_close(g->slices[i]);
    wb_inputs_close(g->padded);
    wb_inputs_close(g->packed);
    wb_inputs_close(g->calibration);
    wb_free(g->slices);
    wb_free(g->scored);
    wb_free(g->baseline);
    wb_free(g->cells);
    wb_free(g->measured);
    wb_free(g->batch_ns);
    wb_free(g->logits);
    glue_data_close(g->data);
    wb_model_close(g->model);
}

const wb_inputs *group_inputs(const study_group *g, const study_cell *cell) {
    return cell->choice.protocol == STUDY_PADDED ? g->padded : g->packed;
}

// ---- Engines ----------------------------------------------------------------

static uint64_t count_engine_bytes(const study_group *g) {
    uint64_t n_bytes = 0;
    for (int i = 0; i < g->n_cells; i++) {
        const wb_engine *engine = g->cells[i].engine;
        if (!engine) continue;
        n_bytes += wb_engine_plan(engine)->weights_bytes + wb_engine_plan(engine)->workspace_bytes;
    }
    return n_bytes;
}

void cell_close_engine(study_cell *cell) {
    wb_engine_close(cell->engine);
    cell->engine = NULL;
}

// Not those of `mixed`: its plan rests on timings and could come out differently the second time.
bool group_make_room(study_group *g, const study_cell *keep) {
    study_cell *oldest = NULL;
    for (int i = 0; i < g->n_cells; i++) {
        study_cell *cell = &g->cells[i];
        const bool is_fixed = cell == keep || strcmp(cell->choice.base, "mixed") == 0;
        if (!cell->engine || is_fixed) continue;
        if (!oldest || cell->last_used < oldest->last_used) oldest = cell;
    }
    if (!oldest) return false;
    cell_close_engine(oldest);
    return true;
}

wb_status group_engine(study_group *g, study_cell *cell, wb_error *err) {
    cell->last_used = ++g->clock;
    if (cell->engine) return WB_OK;
    wb_status status = group_scales(g, cell, err);
    if (status) return status;
    wb_options options = wb_default_options();
    options.technique = cell->choice.engine;
    options.n_threads = g->options->n_threads;
    options.batch_size = g->options->batch_size;
    options.padded_length = g->options->padded_length;
    options.sort_batches = cell->choice.protocol == STUDY_SORTED;
    options.calibration = g->calibration;
    options.device = g->options->device;
    options.scales = g->scales[0] ? g->scales : NULL;
    options.cache = g->options->cache;
    options.pin = g->options->is_pinned;
    status = wb_engine_open(&cell->engine, g->model, &options, err);
    // Others may hold a part of a GPU's memory.
    while (status == WB_ERR_MEMORY && group_make_room(g, cell))
        status = wb_engine_open(&cell->engine, g->model, &options, err);
    while (!status && count_engine_bytes(g) > g->options->engine_bytes && group_make_room(g, cell))
        continue;
    return status;
}

wb_status cell_settle(study_cell *cell, wb_status status, const wb_error *problem) {
    if (status != WB_ERR_UNSUPPORTED && status != WB_ERR_MEMORY) return status;
    cell->is_skipped = true;
    cell->is_failed = status == WB_ERR_MEMORY;
    snprintf(cell->reason, sizeof cell->reason, "%s", problem->message);
    if (cell->n_measured > 0) cell_flag(cell, "ended early: %s", problem->message);
    cell_close_engine(cell);
    return WB_OK;
}

// ---- Progress and flags -----------------------------------------------------

static double cell_left_s(const study_group *g, const study_cell *cell) {
    const study_options *o = g->options;
    if (cell->is_done || cell->is_skipped) return 0.0;
    const double pass_s = cell->pass_s > 0.0 ? cell->pass_s : o->min_s / 2.0;
    const double score_s = cell->has_score ? 0.0 : pass_s * g->data->n_examples / g->n_measured;
    const double window_s = pass_s > o->min_s ? pass_s : o->min_s + pass_s / 2.0;
    const double parts_s = cell->has_parts ? 0.0 : (double)(WB_N_COMPONENTS + 1) * o->component_s;
    return score_s + window_s * (o->n_windows - cell->n_measured) + parts_s;
}

void group_progress(study_group *g, const study_cell *cell, const char *step) {
    if (!g->progress->is_shown) return;
    double left_s = 0.0;
    const study_options *o = g->options;
    for (int i = 0; i < g->n_cells; i++) left_s += cell_left_s(g, &g->cells[i]);
    // The groups to come are as large as a fresh one of this kind.
    left_s += g->n_groups_left * g->n_cells * (o->n_windows + 1) * 1.5 * o->min_s;
    progress_show(g->progress, g->pair->task->name, cell ? cell->choice.name : "", step, left_s);
}

void cell_flag(study_cell *cell, const char *format, ...) {
    const size_t n = strlen(cell->flags);
    va_list arguments;
    va_start(arguments, format);
    const size_t at = n > 0 && n + 2 < sizeof cell->flags ? n + 2 : n;
    if (at > n) memcpy(cell->flags + n, "; ", 3);
    vsnprintf(cell->flags + at, sizeof cell->flags - at, format, arguments);
    va_end(arguments);
}
