// SPDX-License-Identifier: Apache-2.0
// From what was measured to the row that says it: units, per token and per sequence, the
// split into components, carbon, provenance.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "study/study.h"

// A quiet machine's own chores are under 2 %; from 5 % on throughput shows them.
static const double MAX_OTHERS_SHARE = 0.05;

static void put(char *out, size_t capacity, const char *text) {
    snprintf(out, capacity, "%s", text);
}

static void put_machine(result_row *row, const study_group *g) {
    const wb_gpu_info *gpu = &g->options->gpu;
    wb_machine machine;
    wb_machine_describe(&machine);
    put(row->device, sizeof row->device, group_is_gpu(g) ? gpu->name : machine.cpu);
    if (gethostname(row->host, sizeof row->host - 1) != 0) put(row->host, sizeof row->host, "");
    struct utsname system;
    if (uname(&system) == 0)
        snprintf(row->driver, sizeof row->driver, "%.20s %.40s", system.sysname, system.release);
    if (group_is_gpu(g)) {
        const size_t n = strlen(row->driver);
        snprintf(row->driver + n, sizeof row->driver - n, ", CUDA %d.%d (driver %d.%d)",
                 gpu->runtime_version / 1000, gpu->runtime_version % 1000 / 10,
                 gpu->driver_version / 1000, gpu->driver_version % 1000 / 10);
    }
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(row->utc, sizeof row->utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put(row->version, sizeof row->version, wb_version());
}

// The last part of a path.
static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void put_work(result_row *row, const study_group *g, const study_cell *cell) {
    char *real = realpath(g->pair->dir, NULL);
    put(row->model, sizeof row->model, base_name(real ? real : g->pair->dir));
    free(real);
    put(row->run_id, sizeof row->run_id, g->store->run_id);
    put(row->task, sizeof row->task, g->pair->task->name);
    put(row->split, sizeof row->split,
        g->options->file ? base_name(g->options->file) : g->options->split);
    put(row->technique, sizeof row->technique, cell->choice.name);
    put(row->protocol, sizeof row->protocol, study_protocol_names[cell->choice.protocol]);
    row->examples = g->n_measured;
    row->windows = cell->n_measured;
    glue_order_print(row->label_order, sizeof row->label_order, &g->order);
}

void cell_plan(study_cell *cell) {
    result_row *row = &cell->row;
    const wb_plan_info *plan = wb_engine_plan(cell->engine);
    put(row->precision, sizeof row->precision, plan->precision);
    put(row->attention, sizeof row->attention, plan->attention);
    put(row->packing, sizeof row->packing, plan->packing);
    put(row->kernels, sizeof row->kernels, plan->kernels);
    put(row->batch_rule, sizeof row->batch_rule, plan->batch_rule);
    row->threads = plan->n_threads;
}

static void put_energy(result_row *row, const study_cell *cell, const wb_estimate *e) {
    const double real = (double)cell->run.real_tokens, computed = (double)cell->run.computed_tokens;
    row->passes = 0.0;
    for (int i = 0; i < cell->n_measured; i++) row->passes += cell->windows[i].passes;
    row->real_tokens = real;
    row->computed_tokens = computed;
    row->measured_s = e->measured_s;
    row->seconds = e->seconds;
    row->seconds_low = e->seconds_low;
    row->seconds_high = e->seconds_high;
    row->energy_j = e->joules;
    row->energy_low_j = e->low;
    row->energy_high_j = e->high;
    row->energy_repeat_low_j = e->repeat_low;
    row->energy_repeat_high_j = e->repeat_high;
    row->idle_w = e->idle_w;
    row->net_energy_j = e->net_joules;
    row->energy_per_token_uj = 1e6 * e->joules / real;
    row->energy_per_token_low_uj = 1e6 * e->low / real;
    row->energy_per_token_high_uj = 1e6 * e->high / real;
    row->energy_per_padded_token_uj = 1e6 * e->joules / computed;
    row->energy_per_sequence_mj = 1e3 * e->joules / row->examples;
    row->tokens_per_s = real / e->seconds;
    row->sequences_per_s = row->examples / e->seconds;
    put(row->energy_method, sizeof row->energy_method, e->method);
}

static void put_parts(result_row *row, study_cell *cell) {
    schedule_parts parts;
    const double *p = cell->parts;
    schedule_split(&parts, row->energy_j, p[WB_WHOLE], p[WB_ATTENTION], p[WB_FFN], p[WB_EMBEDDINGS],
                   p[WB_HEAD]);
    row->attention_j = parts.attention_j;
    row->ffn_j = parts.ffn_j;
    row->embeddings_j = parts.embeddings_j;
    row->head_j = parts.head_j;
    row->rest_j = parts.rest_j;
}

static void put_score(result_row *row, const study_group *g, const study_cell *cell) {
    const glue_interval *headline = &cell->result.headline;
    put(row->score_name, sizeof row->score_name, glue_headline_name(g->pair->task->headline));
    row->score = headline->value;
    row->score_low = headline->low;
    row->score_high = headline->high;
    if (g->baseline_score > 0.0) row->kept_share = headline->value / g->baseline_score;
}

static void put_carbon(result_row *row, const carbon_intensity *carbon) {
    row->carbon_intensity_g_per_kwh = carbon->g_per_kwh;
    row->pue = carbon->pue;
    row->g_co2e = carbon_grams(carbon, row->energy_j);
    put(row->carbon_source, sizeof row->carbon_source, carbon->source);
}

static void put_conditions(result_row *row, const study_conditions *c) {
    row->clock_low_hz = c->clock_low_hz;
    row->clock_high_hz = c->clock_high_hz;
    row->memory_clock_hz = c->memory_clock_hz;
    row->temperature_low_celsius = c->temperature_low_celsius;
    row->temperature_high_celsius = c->temperature_high_celsius;
    row->power_limit_w = c->power_limit_w;
}

// Does the meter see what computes? A guess from core time or a processor's counter does not see a
// GPU; a trace sees what it was recorded of.
static bool is_blind(const study_group *g) {
    const char *source = wb_meter_source(g->meter)->name;
    return group_is_gpu(g) && strcmp(source, "nvml") != 0 && strcmp(source, "replay") != 0;
}

// Flags of the cell, its windows and this row, divided by "; ".
static void put_flags(result_row *row, const study_group *g, const study_cell *cell,
                      const char *of_windows, bool is_interrupted) {
    study_cell shown = *cell;
    const bool wants_parts = g->options->component_s > 0.0;
    if (is_interrupted && wants_parts) cell_flag(&shown, "interrupted, no components");
    if (!wants_parts) cell_flag(&shown, "components not measured");
    if (cell->n_measured < g->options->n_windows)
        cell_flag(&shown, "%d of %d windows", cell->n_measured, g->options->n_windows);
    if (of_windows[0]) cell_flag(&shown, "%s", of_windows);
    const double *p = cell->parts;
    const double parts = p[WB_ATTENTION] + p[WB_FFN] + p[WB_EMBEDDINGS] + p[WB_HEAD];
    if (cell->has_parts && parts > p[WB_WHOLE])
        cell_flag(&shown, "components scaled down by %.1f %%", 100.0 * (1.0 - p[WB_WHOLE] / parts));
    if (cell->others_s > MAX_OTHERS_SHARE * cell->cores_s)
        cell_flag(&shown, "other processes took %.0f %% of the cores",
                  100.0 * cell->others_s / cell->cores_s);
    if (is_blind(g))
        cell_flag(&shown, "the GPU's energy is not in it: %s sees the processor",
                  wb_meter_source(g->meter)->name);
    if (cell->conditions.slowed_by[0])
        cell_flag(&shown, "clock held down by %s", cell->conditions.slowed_by);
    if (g->n_repeats > 1) cell_flag(&shown, "each text %d times a pass", g->n_repeats);
    if (g->order.warning[0]) cell_flag(&shown, "label order not certain");
    put(row->flags, sizeof row->flags, shown.flags);
}

void cell_row(result_row *row, const study_group *g, study_cell *cell) {
    *row = cell->row;
    put_machine(row, g);
    put_work(row, g, cell);
    const bool is_ok = !cell->is_skipped || cell->n_measured > 0;
    put(row->status, sizeof row->status, is_ok ? "ok" : cell->is_failed ? "failed" : "skipped");
    put(row->reason, sizeof row->reason, cell->reason);
    if (cell->n_measured == 0) return;
    wb_estimate estimate;
    if (wb_estimate_from_windows(cell->windows, cell->n_measured, &estimate, NULL)) return;
    put_energy(row, cell, &estimate);
    put(row->energy_source, sizeof row->energy_source, wb_meter_source(g->meter)->name);
    if (cell->has_parts) put_parts(row, cell);
    row->p50_ms = schedule_quantile(cell->batch_ns, cell->n_durations, 0.50) / 1e6;
    row->p99_ms = schedule_quantile(cell->batch_ns, cell->n_durations, 0.99) / 1e6;
    put_carbon(row, &g->options->carbon);
    put_conditions(row, &cell->conditions);
    if (cell->has_score) put_score(row, g, cell);
    put_flags(row, g, cell, estimate.flags, !cell->has_parts);
}

wb_status group_put(study_group *g, study_cell *cell, wb_error *err) {
    result_row row;
    cell_row(&row, g, cell);
    cell->is_done = true;
    return store_put(g->store, &row, err);
}

wb_status group_put_unfinished(study_group *g, wb_error *err) {
    wb_status status = WB_OK;
    for (int i = 0; !status && i < g->n_cells; i++) {
        study_cell *cell = &g->cells[i];
        if (!cell->is_done && cell->n_measured > 0) status = group_put(g, cell, err);
    }
    return status;
}
