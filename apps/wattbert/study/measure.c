// SPDX-License-Identifier: Apache-2.0
// Joules. Every window runs one technique for whole passes; the techniques of a group take
// turns in random order. Components are never timed inside these runs: they are replayed
// alone, afterwards, and their shares split the whole.
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "study/busy.h"
#include "study/interrupt.h"
#include "study/study.h"

enum {
    MAX_DURATIONS = 1 << 16,       // of batches, per cell; later ones are not kept
    MAX_REPLAY_BYTES = 128 << 20,  // of captured activations, on a CPU
    GPU_REPLAY_SHARE = 32,         // of a GPU's memory, one in so many
    // Steps of the counter in a component's window. A GPU's steps of 100 ms are each known to about
    // 2 ms: 1 % of each of the two windows, and only shares come from them. The 20 steps of a whole
    // window would take 21 s a row.
    COMPONENT_TICKS = 3,
};

// What a pass of a window needs.
typedef struct window_work {
    study_group *group;
    study_cell *cell;
    double start_s;  // of the window, since the study's start
    int n_powers;    // logged so far
    uint64_t begin_ns;
    bool has_conditions;
} window_work;

// ---- Windows ----------------------------------------------------------------

static wb_status keep_durations(study_cell *cell, const uint64_t *batch_ns, int n, wb_error *err) {
    if (cell->n_durations + n > cell->max_durations) {
        const int wanted = cell->max_durations ? 2 * cell->max_durations : 1024;
        const int grown = wanted > cell->n_durations + n ? wanted : cell->n_durations + n;
        if (grown > MAX_DURATIONS) return WB_OK;
        uint64_t *block = wb_realloc_array(cell->batch_ns, (size_t)cell->n_durations, (size_t)grown,
                                           sizeof *block);
        if (!block) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for batch times");
        cell->batch_ns = block;
        cell->max_durations = grown;
    }
    memcpy(cell->batch_ns + cell->n_durations, batch_ns, (size_t)n * sizeof *batch_ns);
    cell->n_durations += n;
    return WB_OK;
}

static void widen(double *low, double *high, double value) {
    *low = fmin(*low, value);  // fmin and fmax pass over NAN
    *high = fmax(*high, value);
}

// Once in the middle of a window, when clocks have settled, and not more often: the calls belong to
// the window's joules.
static void note_conditions(window_work *w) {
    const double seconds = (double)(wb_clock_ns() - w->begin_ns) / 1e9;
    if (w->has_conditions || seconds < w->group->options->min_s / 2.0) return;
    w->has_conditions = true;
    wb_conditions now;
    wb_meter_conditions(w->group->meter, &now);
    study_conditions *all = &w->cell->conditions;
    widen(&all->clock_low_hz, &all->clock_high_hz, now.clock_hz);
    widen(&all->temperature_low_celsius, &all->temperature_high_celsius, now.temperature_celsius);
    all->memory_clock_hz = now.memory_clock_hz;
    all->power_limit_w = now.power_limit_w;
    if (now.slowed_by[0]) memcpy(all->slowed_by, now.slowed_by, sizeof all->slowed_by);
}

// A wb_pass.
static wb_status pass(void *context, wb_error *err) {
    window_work *w = context;
    study_group *g = w->group;
    wb_status status = interrupt_check(err);
    if (status) return status;
    wb_run run = {.batch_ns = g->batch_ns, .batch_capacity = g->n_measured};
    status = wb_forward(w->cell->engine, group_inputs(g, w->cell), g->logits, &run, err);
    const int n = run.n_batches < run.batch_capacity ? run.n_batches : run.batch_capacity;
    if (!status) status = keep_durations(w->cell, g->batch_ns, n, err);
    note_conditions(w);
    return status;
}

static const char *method_of(const wb_meter *meter) {
    return strcmp(wb_meter_source(meter)->name, "modelled") == 0 ? "modelled" : "measured";
}

static void log_power(void *context, double t_s, double watts) {
    window_work *w = context;
    const study_group *g = w->group;
    w->n_powers++;
    store_power(g->store, w->cell->choice.name, g->pair->task->name, w->start_s + t_s, watts,
                wb_meter_source(g->meter)->name, method_of(g->meter));
}

static double since_start_s(const study_group *g) {
    return (double)(wb_clock_ns() - g->started_ns) / 1e9;
}

static wb_status measure_window(study_group *g, study_cell *cell, wb_error *err) {
    const bool was_open = cell->engine != NULL;
    wb_status status = group_engine(g, cell, err);
    // Freshly packed weights are in no cache; the first pass after that is not the work measured.
    if (!status && !was_open)
        status = wb_forward(cell->engine, group_inputs(g, cell), g->logits, NULL, err);
    if (status) return status;
    window_work work = {
        .group = g, .cell = cell, .start_s = since_start_s(g), .begin_ns = wb_clock_ns()};
    wb_window_options options = wb_default_window_options();
    options.min_s = g->options->min_s;
    options.on_power = log_power;
    options.power_context = &work;
    wb_window *window = &cell->windows[cell->n_measured];
    const busy_reading before = busy_read();
    status = wb_window_measure(g->meter, &options, pass, &work, window, err);
    const busy_reading after = busy_read();
    if (status) return status;
    cell->n_measured++;
    busy_add(&before, &after, &cell->others_s, &cell->cores_s);
    // A window too short for a point of its own has its mean.
    if (work.n_powers == 0)
        log_power(&work, window->seconds, window->joules_per_pass / window->seconds_per_pass);
    fflush(g->store->power);
    return status;
}

// One window of every cell that there is time for, in the order given.
static wb_status measure_round(study_group *g, const int *order, int round, wb_error *err) {
    wb_status status = WB_OK;
    char step[48];
    snprintf(step, sizeof step, "window %d of %d", round + 1, g->options->n_windows);
    for (int i = 0; !status && i < g->n_cells; i++) {
        study_cell *cell = &g->cells[order[i]];
        if (cell->is_done || cell->is_skipped) continue;
        if (since_start_s(g) > g->deadline_s) break;
        group_progress(g, cell, step);
        do status = measure_window(g, cell, err);
        while (status == WB_ERR_MEMORY && group_make_room(g, cell));
        status = cell_settle(cell, status, err);
    }
    return status;
}

// Seconds that the components of all cells will take.
static double parts_left_s(const study_group *g) {
    const double step_s = wb_meter_source(g->meter)->interval_ms * 1e-3;
    const double window_s = fmax(g->options->component_s / 2.0, COMPONENT_TICKS * step_s) + step_s;
    double left_s = 0.0;
    for (int i = 0; i < g->n_cells; i++)
        if (!g->cells[i].is_done && !g->cells[i].is_skipped)
            left_s += 2.0 * (WB_N_COMPONENTS + 1) * window_s;
    return g->options->component_s > 0.0 ? left_s : 0.0;
}

// Rounds until there are n_windows, or until another one like the last would take the components'
// time.
static wb_status measure_windows(study_group *g, wb_error *err) {
    const int n_windows = g->options->n_windows, n_all = n_windows * g->n_cells;
    int *order = wb_alloc_array((size_t)n_all, sizeof *order);
    if (!order) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d windows", n_all);
    schedule_windows(order, n_windows, g->n_cells, g->options->seed);
    wb_status status = WB_OK;
    double round_s = 0.0;
    for (int round = 0; !status && round < n_windows; round++) {
        const double begin_s = since_start_s(g);
        if (round > 0 && begin_s + round_s + parts_left_s(g) > g->deadline_s) break;
        status = measure_round(g, order + round * g->n_cells, round, err);
        round_s = since_start_s(g) - begin_s;
    }
    wb_free(order);
    return status;
}

// ---- Components -------------------------------------------------------------

typedef struct replay_work {
    wb_replay *replay;
    wb_component component;
} replay_work;

// A wb_pass.
static wb_status replay_pass(void *context, wb_error *err) {
    const replay_work *w = context;
    const wb_status status = interrupt_check(err);
    return status ? status : wb_replay_run(w->replay, w->component, err);
}

// Adds one window of a component to the cell's.
static wb_status measure_part(study_group *g, study_cell *cell, replay_work *work,
                              wb_component component, wb_error *err) {
    wb_window_options options = wb_default_window_options();
    options.min_s = g->options->component_s / 2.0;
    options.min_ticks = COMPONENT_TICKS;
    wb_window window;
    work->component = component;
    wb_status status = wb_replay_run(work->replay, component, err);
    if (!status) status = wb_window_measure(g->meter, &options, replay_pass, work, &window, err);
    if (!status) cell->parts[component] += window.joules_per_pass / 2.0;
    return status;
}

// Each component twice, there and back, so that a steady drift of the machine cancels.
static wb_status measure_parts(study_group *g, study_cell *cell, wb_error *err) {
    wb_status status = group_engine(g, cell, err);
    replay_work work = {0};
    memset(cell->parts, 0, sizeof cell->parts);
    const size_t max_bytes = group_is_gpu(g) ? g->options->gpu.memory_bytes / GPU_REPLAY_SHARE
                                             : (size_t)MAX_REPLAY_BYTES;
    if (!status)
        status = wb_replay_open(&work.replay, cell->engine, group_inputs(g, cell), max_bytes, err);
    for (int i = 0; !status && i <= WB_WHOLE; i++)
        status = measure_part(g, cell, &work, (wb_component)i, err);
    for (int i = WB_WHOLE; !status && i >= 0; i--)
        status = measure_part(g, cell, &work, (wb_component)i, err);
    wb_replay_close(work.replay);
    cell->has_parts = !status;
    return status;
}

// A cell that there was no time for has no row, so that --resume measures it. Its engine has done
// its work and makes room for the components of the next.
static wb_status finish_cell(study_group *g, study_cell *cell, wb_error *err) {
    wb_status status = WB_OK;
    if (!cell->is_skipped && cell->n_measured == 0) return WB_OK;
    if (!cell->is_skipped && g->options->component_s > 0.0 && since_start_s(g) < g->deadline_s) {
        group_progress(g, cell, "components");
        do status = measure_parts(g, cell, err);
        while (status == WB_ERR_MEMORY && group_make_room(g, cell));
        status = cell_settle(cell, status, err);
    }
    cell_close_engine(cell);
    return status ? status : group_put(g, cell, err);
}

wb_status group_measure(study_group *g, wb_error *err) {
    double idle_w;
    group_progress(g, NULL, "rest");
    wb_status status = interrupt_check(err);
    if (!status) status = wb_meter_idle(g->meter, g->options->idle_s, &idle_w, err);
    if (!status) status = measure_windows(g, err);
    for (int i = 0; !status && i < g->n_cells; i++)
        if (!g->cells[i].is_done) status = finish_cell(g, &g->cells[i], err);
    return status;
}
