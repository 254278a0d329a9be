// SPDX-License-Identifier: Apache-2.0
// Reading a counter again and again while something else runs: often enough to see every wrap, and
// to know when it stepped, but never so often that the reading itself costs a percent.
#include <math.h>
#include <string.h>

#include "energy/meter.h"

// A step is a point of the fit when it is known to 10 ms, 0.5 % of a window of 2 s; over 20 such
// steps the error of the slope is below 0.1 % (10 ms / sqrt(12) * sqrt(12 / 20) / 2 s).
static const double MAX_EDGE_S = 0.010;
static const uint64_t FAST_PERIOD_NS = 1000000;

static void halve_points(wb_samples *s) {
    for (int i = 0; 2 * i < s->n_points; i++) s->points[i] = s->points[2 * i];
    s->n_points = (s->n_points + 1) / 2;
    s->stride *= 2;
}

// The first point and the latest are always there; between them every stride-th.
static void add_point(wb_samples *s, wb_point point) {
    const bool replaces_latest = s->n_points > 1 && s->n_skipped + 1 < s->stride;
    if (replaces_latest) {
        s->n_skipped++;
        s->points[s->n_points - 1] = point;
        return;
    }
    if (s->n_points == WB_MAX_POINTS) halve_points(s);
    s->points[s->n_points++] = point;
    s->n_skipped = 0;
}

static double sum_joules(const wb_meter *meter, const double *joules) {
    double total = 0.0;
    for (int i = 0; i < meter->view.n_domains; i++)
        if (meter->view.domains[i].is_summed && !meter->is_left_out[i]) total += joules[i];
    return total;
}

// Of a time that lies anywhere in a gap: its standard error is the gap over sqrt(12).
static const double SQRT_12 = 3.4641016;

// Is a step known well enough to be a point at t_s into the interval? To 10 ms at first, and to 0.5
// % of the time gone by later on.
static bool is_close(double error_s, double t_s) {
    return error_s * SQRT_12 <= fmax(MAX_EDGE_S, 0.005 * t_s);
}

// When did the step happen that this read has found? Since the last read, and no longer ago than
// the counter's interval; where that is too long ago, when the counter's beat says. False: unknown.
static bool locate_step(wb_meter *meter, uint64_t now_ns, wb_point *point) {
    wb_samples *s = &meter->samples;
    const double gap_s = (double)(now_ns - s->read_ns) * 1e-9, now_s = (double)now_ns * 1e-9;
    const double t_s = now_s - (double)s->start_ns * 1e-9;
    // Joules that are summed up here are those of this very moment.
    const double limit_s = meter->view.is_integrated ? 0.0
                           : meter->interval_s > 0.0 ? meter->interval_s
                                                     : gap_s;
    const double width_s = fmin(gap_s, limit_s);
    double edge_s = now_s - 0.5 * width_s, error_s = width_s / SQRT_12;
    if (width_s <= MAX_EDGE_S)
        wb_phase_see(&s->phase, meter->interval_s, edge_s, error_s);
    else if (!s->is_unsteady &&
             (!wb_phase_latest(&s->phase, now_s, &edge_s, &error_s) || !is_close(error_s, t_s)))
        return false;
    point->t_s = edge_s - (double)s->start_ns * 1e-9;
    point->edge_s = error_s * SQRT_12;
    return true;
}

// Called with the lock held.
static wb_status read_locked(wb_meter *meter, wb_error *err) {
    wb_samples *s = &meter->samples;
    const wb_energy_clock *clock = &meter->host.clock;
    double joules[WB_MAX_DOMAINS];
    const uint64_t before_ns = clock->now_ns(clock->context);
    const wb_status status = meter->source->read(meter->state, joules, s->flags, err);
    if (status) return status;
    const uint64_t now_ns = before_ns + (clock->now_ns(clock->context) - before_ns) / 2;
    memcpy(s->joules, joules, sizeof joules);
    const double total = sum_joules(meter, joules);
    if (total > s->total) {
        const double step = total - s->total;
        wb_point point = {.joules = total - s->start_total};
        if (s->smallest_step_j == 0.0 || step < s->smallest_step_j) s->smallest_step_j = step;
        s->n_steps++;
        s->step_ns = now_ns;
        if (locate_step(meter, now_ns, &point)) add_point(s, point);
    }
    s->total = total;
    s->read_ns = now_ns;
    return WB_OK;
}

wb_status wb_sampler_read(wb_meter *meter, wb_error *err) {
    pthread_mutex_lock(&meter->lock);
    const wb_status status = read_locked(meter, err);
    pthread_mutex_unlock(&meter->lock);
    return status;
}

// A read that fails in between is forgiven, the next one makes up for it; one that keeps
// failing shows at the end.
static void sampler_tick(void *context) {
    wb_meter *meter = context;
    wb_error failure = {0};
    pthread_mutex_lock(&meter->lock);
    if (!read_locked(meter, &failure)) failure.status = WB_OK;
    meter->samples.failure = failure;
    pthread_mutex_unlock(&meter->lock);
}

wb_status wb_sampler_start(wb_meter *meter, uint64_t period_ns, wb_error *err) {
    if (meter->is_running)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "the meter is measuring already, stop it before the next interval");
    const wb_energy_clock *clock = &meter->host.clock;
    wb_samples *s = &meter->samples;
    // Whatever happened since the last interval, wraps and steps, is read away first.
    wb_status status = wb_sampler_read(meter, err);
    if (status) return status;
    memcpy(s->start_joules, s->joules, sizeof s->joules);
    memset(s->flags, 0, sizeof s->flags);
    s->start_total = s->total;
    s->start_ns = s->step_ns = s->read_ns;
    s->n_steps = s->n_points = s->n_skipped = 0;
    s->stride = 1;
    s->smallest_step_j = 0.0;
    s->failure = (wb_error){0};
    meter->sampler_cpu_ns = 0;
    meter->ticker = (wb_ticker){.tick = sampler_tick, .context = meter, .period_ns = period_ns};
    if (meter->source->check && meter->view.n_domains > 0)
        s->flags[0] |= meter->source->check(meter->state);
    status = clock->ticker_start(clock->context, &meter->ticker, err);
    if (!status) meter->is_running = true;
    return status;
}

void wb_sampler_stop(wb_meter *meter) {
    const wb_energy_clock *clock = &meter->host.clock;
    if (!meter->is_running) return;
    clock->ticker_stop(clock->context, &meter->ticker, &meter->sampler_cpu_ns);
    meter->is_running = false;
    if (meter->source->check && meter->view.n_domains > 0)
        meter->samples.flags[0] |= meter->source->check(meter->state);
}

double wb_sampler_patience_s(const wb_meter *meter) {
    return fmax(1.0, 5.0 * meter->interval_s);
}

// Is each read of the next window a point in time: by being frequent, by the counter being so, or
// by its beat? An H100 needs 2 s of watching for that, once for each meter.
static bool can_predict(const wb_meter *meter) {
    const wb_phase *phase = &meter->samples.phase;
    const double usual_window_s = 2.0;
    const double period_s = (double)wb_sampler_window_period_ns(meter) * 1e-9;
    const bool is_frequent = meter->interval_s > 0.0 && meter->interval_s <= MAX_EDGE_S;
    if (period_s <= MAX_EDGE_S || is_frequent || meter->view.is_integrated) return true;
    if (!phase->has_edge) return false;
    const double n = usual_window_s / phase->interval_s;
    return is_close(hypot(phase->edge_error_s, n * phase->interval_error_s), usual_window_s);
}

// How long the beat may take to be found; the H100's, twice.
static const double MAX_WATCH_S = 4.0;

wb_status wb_sampler_wait_for_step(wb_meter *meter, wb_error *err) {
    const wb_energy_clock *clock = &meter->host.clock;
    const double start_s = wb_meter_now_s(meter);
    double last_step_s = start_s;
    int n_before = -1;  // steps after the first read: an earlier one may be long past
    for (;;) {
        // The sampler may find the step instead; it too lies between two reads of this loop.
        pthread_mutex_lock(&meter->lock);
        wb_samples *s = &meter->samples;
        const wb_status status = read_locked(meter, err);
        const int n_steps = s->n_steps;
        const double now_s = wb_meter_now_s(meter);
        const bool is_known = s->is_unsteady || can_predict(meter);
        if (!is_known && now_s - start_s > MAX_WATCH_S) s->is_unsteady = true;
        pthread_mutex_unlock(&meter->lock);
        if (status) return status;
        const bool has_stepped = n_before >= 0 && n_steps > n_before;
        if (has_stepped && is_known) return WB_OK;
        if (has_stepped || n_before < 0) last_step_s = now_s;
        n_before = n_steps;
        if (now_s - last_step_s > wb_sampler_patience_s(meter))
            return wb_fail(err, WB_ERR_REFUSED, 0,
                           "dead counter: %s has not moved for %.1f s; use another source",
                           meter->source->name, now_s - last_step_s);
        clock->sleep_ns(clock->context, FAST_PERIOD_NS);
    }
}

// A quarter of the percent that the meter promises to stay under; reads at both ends come on top.
static uint64_t affordable_period_ns(const wb_meter *meter) {
    return (uint64_t)(400.0 * meter->read_s * 1e9);
}

uint64_t wb_sampler_window_period_ns(const wb_meter *meter) {
    const uint64_t wanted_ns = (uint64_t)meter->source->period_ms * 1000000u;
    const uint64_t affordable_ns = affordable_period_ns(meter);
    return wanted_ns > affordable_ns ? wanted_ns : affordable_ns;
}

uint32_t wb_sampler_flags(wb_meter *meter) {
    pthread_mutex_lock(&meter->lock);
    uint32_t flags = 0;
    for (int i = 0; i < meter->view.n_domains; i++) flags |= meter->samples.flags[i];
    pthread_mutex_unlock(&meter->lock);
    return flags;
}
