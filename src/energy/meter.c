// SPDX-License-Identifier: Apache-2.0
// A meter: one source, opened and seen to move, and one interval at a time.
#include "energy/meter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool wb_meter_is_modelled(const wb_meter *meter) {
    return meter->source == &wb_energy_modelled;
}

double wb_meter_now_s(const wb_meter *meter) {
    const wb_energy_clock *clock = &meter->host.clock;
    return (double)(clock->now_ns(clock->context) - meter->samples.start_ns) * 1e-9;
}

// ---- Opening ----------------------------------------------------------------

// The names of what is measured, into info.
static void list_domains(wb_meter *meter) {
    wb_source_info *info = &meter->info;
    info->n_domains = 0;
    info->domains[0] = 0;
    for (int i = 0; i < meter->view.n_domains; i++) {
        if (meter->is_left_out[i]) continue;
        const size_t used = strlen(info->domains);
        snprintf(info->domains + used, sizeof info->domains - used, "%s%s", used ? " " : "",
                 meter->view.domains[i].name);
        info->n_domains++;
    }
}

// Watches the counters step: what moves, how far and how often, and what a read costs. Ends as soon
// as that is known, after WB_PROBE_S at the latest.
static wb_status observe(wb_meter *meter, bool *has_moved, double *seconds, wb_error *err) {
    const wb_energy_clock *clock = &meter->host.clock;
    wb_samples *s = &meter->samples;
    const int n_domains = meter->view.n_domains;
    const int n_wanted = 4;
    uint64_t first_step_ns = 0;
    meter->read_s = INFINITY;
    for (;;) {
        const int n_steps = s->n_steps;
        const uint64_t before_ns = clock->now_ns(clock->context);
        const wb_status status = wb_sampler_read(meter, err);
        if (status) return status;
        const uint64_t after_ns = clock->now_ns(clock->context);
        meter->read_s = fmin(meter->read_s, (double)(after_ns - before_ns) * 1e-9);
        if (n_steps == 0 && s->n_steps == 1) first_step_ns = s->step_ns;
        bool all_moved = true;
        for (int i = 0; i < n_domains; i++) {
            has_moved[i] = s->joules[i] > s->start_joules[i];
            all_moved = all_moved && (has_moved[i] || meter->view.domains[i].may_rest);
        }
        *seconds = (double)(after_ns - s->start_ns) * 1e-9;
        if ((all_moved && s->n_steps >= n_wanted) || *seconds >= WB_PROBE_S) break;
        clock->sleep_ns(clock->context, 1000000);
    }
    if (s->n_steps > 1)
        meter->info.interval_ms = (double)(s->step_ns - first_step_ns) * 1e-6 / (s->n_steps - 1);
    meter->info.resolution_uj = s->smallest_step_j * 1e6;
    return WB_OK;
}

// Are the counters to be believed?
static wb_status prove(wb_meter *meter, wb_error *err) {
    bool has_moved[WB_MAX_DOMAINS] = {0};
    double seconds = 0.0;
    meter->samples.start_ns = meter->host.clock.now_ns(meter->host.clock.context);
    wb_status status = observe(meter, has_moved, &seconds, err);
    if (!status)
        status = wb_judge_domains(&meter->view, has_moved, seconds, meter->is_left_out, err);
    return status;
}

// A smaller total is still a total, but it must be known.
static void note_left_out(wb_meter *meter) {
    size_t used = 0;
    for (int i = 0; i < meter->view.n_domains; i++) {
        if (!meter->is_left_out[i]) continue;
        used +=
            (size_t)snprintf(meter->info.reason + used, sizeof meter->info.reason - used, "%s%s",
                             used ? " " : "left out, stands still: ", meter->view.domains[i].name);
        if (used >= sizeof meter->info.reason) return;
    }
}

static wb_status open_and_prove(wb_meter *meter, wb_error *err) {
    meter->is_open = true;
    wb_energy_view *view = &meter->view;
    wb_status status = meter->source->open(meter->state, &meter->host, view, err);
    snprintf(meter->info.device, sizeof meter->info.device, "%s", view->device);
    meter->info.sees_cpu = view->sees_cpu;
    if (status) return status;
    meter->info.interval_ms = view->interval_ms;
    meter->info.resolution_uj = view->resolution_uj;
    list_domains(meter);
    if (meter->source->needs_proof) status = prove(meter, err);
    // What the source knows of itself beats what a quarter of a second has shown.
    if (view->interval_ms > 0.0) meter->info.interval_ms = view->interval_ms;
    if (view->resolution_uj > 0.0) meter->info.resolution_uj = view->resolution_uj;
    meter->interval_s = meter->info.interval_ms * 1e-3;
    if (status) return status;
    list_domains(meter);
    note_left_out(meter);
    return WB_OK;
}

// For now it counts as usable; doctor's copy of info keeps the refusal.
static void accept_unproven(wb_meter *meter) {
    meter->info.status = WB_OK;
    meter->info.reason[0] = 0;
    list_domains(meter);
}

wb_status wb_meter_open_source(wb_meter **out, const wb_energy_source *source,
                               const wb_energy_host *host, wb_source_info *info, wb_error *err) {
    *out = NULL;
    if (info) *info = (wb_source_info){.name = source->name, .measures = source->measures};
    wb_meter *meter = wb_alloc_zeroed(sizeof *meter);
    if (!meter) return wb_fail(err, WB_ERR_MEMORY, 0, "energy meter");
    pthread_mutex_init(&meter->lock, NULL);
    meter->source = source;
    meter->host = *host;
    meter->info = (wb_source_info){.name = source->name, .measures = source->measures};
    meter->samples.stride = 1;
    meter->state = wb_alloc_zeroed(source->state_size);
    meter->samples.points = wb_alloc_array(WB_MAX_POINTS, sizeof(wb_point));
    wb_error failure = {0};
    wb_status status = WB_OK;
    if (!meter->state || !meter->samples.points)
        status = wb_fail(&failure, WB_ERR_MEMORY, 0, "energy meter");
    else
        status = open_and_prove(meter, &failure);
    meter->info.status = status;
    if (status) snprintf(meter->info.reason, sizeof meter->info.reason, "%.255s", failure.message);
    if (info) *info = meter->info;
    // Under a root nothing may move until whoever plays the machine writes to it: the end of the
    // interval tells (check_domains).
    meter->is_unproven = status == WB_ERR_REFUSED && host->root[0] && meter->view.n_domains > 0;
    if (status && !meter->is_unproven) {
        wb_meter_close(meter);
        return wb_fail(err, status, failure.offset, "%s", failure.message);
    }
    if (meter->is_unproven) accept_unproven(meter);
    *out = meter;
    return WB_OK;
}

void wb_meter_close(wb_meter *meter) {
    if (!meter) return;
    wb_sampler_stop(meter);
    if (meter->is_open) meter->source->close(meter->state);
    pthread_mutex_destroy(&meter->lock);
    wb_free(meter->samples.points);
    wb_free(meter->state);
    wb_free(meter);
}

const wb_source_info *wb_meter_source(const wb_meter *meter) {
    return &meter->info;
}

void wb_meter_conditions(wb_meter *meter, wb_conditions *out) {
    *out = (wb_conditions){
        .clock_hz = NAN, .memory_clock_hz = NAN, .temperature_celsius = NAN, .power_limit_w = NAN};
    if (!meter->source->conditions) return;
    pthread_mutex_lock(&meter->lock);  // the sampler may be at the source
    meter->source->conditions(meter->state, out);
    pthread_mutex_unlock(&meter->lock);
}

// ---- One interval -----------------------------------------------------------

// Counters that need many reads (power) are read as in a window, others 50 times a second: enough
// for wraps, and cheaper over an hour.
static uint64_t interval_period_ns(const wb_meter *meter) {
    const uint64_t window_ns = wb_sampler_window_period_ns(meter);
    const uint64_t relaxed_ns = 20000000;
    return meter->view.is_integrated || window_ns > relaxed_ns ? window_ns : relaxed_ns;
}

wb_status wb_meter_start(wb_meter *meter, wb_error *err) {
    return wb_sampler_start(meter, interval_period_ns(meter), err);
}

// Did the counters live? One that stopped after it was proven shows here too, if there was time to
// see it. An unproven total that never moved measured nothing, however short the interval.
static wb_status check_domains(wb_meter *meter, double seconds, wb_error *err) {
    const wb_samples *s = &meter->samples;
    const bool is_long = seconds >= wb_sampler_patience_s(meter);
    const bool is_still = s->total <= s->start_total;
    if (!meter->source->needs_proof || !(is_long || (meter->is_unproven && is_still))) return WB_OK;
    bool has_moved[WB_MAX_DOMAINS];
    for (int i = 0; i < meter->view.n_domains; i++)
        has_moved[i] = s->joules[i] > s->start_joules[i] || meter->is_left_out[i] ||
                       (s->flags[i] & WB_FLAG_RESET);
    return wb_judge_domains(&meter->view, has_moved, seconds, meter->is_left_out, err);
}

// Both ends of the interval lie somewhere within a step of the counter, so that up to one
// interval's joules are missing at its end and up to one are too many at its start.
static void set_bounds(const wb_meter *meter, double seconds, wb_reading *reading) {
    if (wb_meter_is_modelled(meter)) {
        reading->low = 0.5 * reading->joules;
        reading->high = 2.0 * reading->joules;
        return;
    }
    const double watts = seconds > 0.0 ? reading->joules / seconds : 0.0;
    const double step_j =
        fmax(watts * meter->interval_s, meter->samples.smallest_step_j > 0.0 ? 1e-6 : 0.0);
    reading->low = fmax(0.0, reading->joules - step_j);
    reading->high = reading->joules + step_j;
}

wb_status wb_meter_stop(wb_meter *meter, wb_reading *readings, int capacity, int *n,
                        wb_error *err) {
    *n = 0;
    if (!meter->is_running) return wb_fail(err, WB_ERR_ARGUMENT, 0, "the meter was not started");
    wb_status status = wb_sampler_read(meter, err);
    wb_sampler_stop(meter);
    if (status) return status;
    const wb_samples *s = &meter->samples;
    const double seconds = (double)(s->read_ns - s->start_ns) * 1e-9;
    status = check_domains(meter, seconds, err);
    if (status) return status;
    for (int i = 0; i < meter->view.n_domains && *n < capacity; i++) {
        if (meter->is_left_out[i]) continue;
        wb_reading *reading = &readings[(*n)++];
        *reading = (wb_reading){.joules = s->joules[i] - s->start_joules[i]};
        snprintf(reading->source, sizeof reading->source, "%s", meter->source->name);
        snprintf(reading->domain, sizeof reading->domain, "%s", meter->view.domains[i].name);
        snprintf(reading->method, sizeof reading->method, "%s", meter->source->method);
        wb_flags_write(reading->flags, sizeof reading->flags, s->flags[i]);
        set_bounds(meter, seconds, reading);
    }
    return WB_OK;
}
