// SPDX-License-Identifier: Apache-2.0
// The window: joules of a pass from a counter that steps far more slowly than the pass may run.
// It begins on a step of the counter, repeats whole passes without a gap, and ends on the last step
// inside them; watts are fitted to the steps between, joules are watts times the pass's seconds.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "energy/meter.h"

wb_window_options wb_default_window_options(void) {
    return (wb_window_options){.min_s = 2.0, .min_ticks = 20};
}

// With this many passes, their own rhythm is averaged out of the fit: power that swings by all of
// its mean once a pass shifts the slope by at most 12 / (2 pi passes)^2, 0.12 % at 16.
enum { MIN_FITTED_PASSES = 16 };

typedef struct run {
    wb_meter *meter;
    const wb_window_options *options;
    double begin_s, end_s;  // of all passes, since the interval began
    double enough_s;        // when min_s and min_ticks were reached; 0: not yet
    double start_j;         // modelled: CPU joules when they began
    int passes;
    bool is_modelled;
} run;

// ---- Running the passes -------------------------------------------------------

static int count_steps(const wb_meter *meter, int n_steps, double seconds) {
    // A counter that steps every millisecond is read every ten: all its steps count.
    const int by_time = meter->interval_s > 0.0 ? (int)(seconds / meter->interval_s) : 0;
    return n_steps > by_time ? n_steps : by_time;
}

// Points whose step lies before end_s. Called with the lock held, or after the sampler has stopped.
static int count_points(const wb_samples *s, double end_s) {
    int n = s->n_points;
    while (n > 0 && s->points[n - 1].t_s > end_s) n--;
    return n;
}

// What the loop has to know of the samples, taken together under the lock.
typedef struct progress {
    int n_steps;
    double last_point_s, last_step_s;
    wb_error failure;
} progress;

static progress look(const run *r) {
    wb_meter *meter = r->meter;
    pthread_mutex_lock(&meter->lock);
    const wb_samples *s = &meter->samples;
    const int n = count_points(s, r->end_s);
    const progress p = {
        .n_steps = s->n_steps,
        .last_point_s = n > 0 ? s->points[n - 1].t_s : 0.0,
        .last_step_s = (double)(s->step_ns - s->start_ns) * 1e-9,
        .failure = s->failure,
    };
    pthread_mutex_unlock(&meter->lock);
    return p;
}

static wb_status check_alive(const wb_meter *meter, const progress *p, double now_s,
                             wb_error *err) {
    // A slow sampler (reads that cost milliseconds) sees steps late, not never.
    const double period_s = (double)wb_sampler_window_period_ns(meter) * 1e-9;
    if (now_s - p->last_step_s <= wb_sampler_patience_s(meter) + 2.0 * period_s) return WB_OK;
    if (p->failure.status) return wb_fail(err, p->failure.status, 0, "%s", p->failure.message);
    return wb_fail(err, WB_ERR_REFUSED, 0,
                   "dead counter: %s stopped moving inside a window; use another source",
                   meter->source->name);
}

// Is there a point within the counter's last interval before the end? One more read may bring it; a
// read that falls on an edge does not, and then another pass is run, but not for ever.
static wb_status try_to_end(run *r, bool *has_ended, wb_error *err) {
    // A counter whose steps are known only when they are read has them as often as that.
    const double period_s = (double)wb_sampler_window_period_ns(r->meter) * 1e-9;
    const bool is_read_seldom = r->meter->samples.is_unsteady || r->meter->view.is_integrated;
    const double usual_s = is_read_seldom ? period_s : (double)r->meter->source->period_ms * 1e-3;
    const double recent_s = 1.5 * fmax(r->meter->interval_s, usual_s);
    if (r->enough_s == 0.0) r->enough_s = r->end_s;
    *has_ended = r->end_s - look(r).last_point_s <= recent_s ||
                 r->end_s - r->enough_s > wb_sampler_patience_s(r->meter);
    if (*has_ended) return WB_OK;
    const wb_status status = wb_sampler_read(r->meter, err);
    *has_ended = r->end_s - look(r).last_point_s <= recent_s;
    return status;
}

// Repeats pass until the window is long enough and its end is known.
static wb_status run_passes(run *r, wb_pass *pass, void *context, wb_error *err) {
    for (;;) {
        wb_status status = pass(context, err);
        if (status) return status;
        r->passes++;
        r->end_s = wb_meter_now_s(r->meter);
        const double seconds = r->end_s - r->begin_s;
        const bool is_last = r->options->max_passes && r->passes >= r->options->max_passes;
        bool is_enough = is_last || seconds >= r->options->min_s;
        if (!r->is_modelled) {
            const progress p = look(r);
            status = check_alive(r->meter, &p, r->end_s, err);
            if (status) return status;
            const int ticks = count_steps(r->meter, p.n_steps, seconds);
            is_enough = is_last || (is_enough && ticks >= r->options->min_ticks);
            if (is_enough) status = try_to_end(r, &is_enough, err);
        }
        if (status || is_last || is_enough) return status;
    }
}

// ---- From points to a window ----------------------------------------------------

// Few long passes are not uniform inside, and a fit weighs their middle most: take all joules from
// the first step to the last instead, and the latest power for what remains to the end. That is
// taken over 50 ms at least: two reads may find two steps within microseconds.
static double watts_end_to_end(const run *r, const wb_point *points, int n) {
    const wb_point first = points[0], last = points[n - 1];
    int i = n - 2;
    while (i > 0 && last.t_s - points[i].t_s < 0.05) i--;
    const wb_point before = points[i];
    const double last_w = (last.joules - before.joules) / (last.t_s - before.t_s);
    const double joules = last.joules - first.joules + last_w * (r->end_s - last.t_s);
    return joules / (r->end_s - first.t_s);
}

static wb_status fit_window(run *r, wb_window *out, wb_error *err) {
    const wb_samples *s = &r->meter->samples;
    const int n = count_points(s, r->end_s);
    if (n < 2 || !(s->points[n - 1].t_s > s->points[n - 2].t_s))
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "%d passes in %.3f s are too short for %s, which steps every %.0f ms; allow "
                       "more passes",
                       r->passes, r->end_s - r->begin_s, r->meter->source->name,
                       r->meter->info.interval_ms);
    const wb_point first = s->points[0], last = s->points[n - 1];
    const double watts = r->passes >= MIN_FITTED_PASSES ? wb_fit_watts(s->points, n)
                                                        : watts_end_to_end(r, s->points, n);
    out->joules_per_pass = watts * out->seconds_per_pass;
    // The first and the last step are each known to within their edge, out of the time between.
    const double edges_s = first.edge_s + last.edge_s;
    out->joules_uncertainty = out->joules_per_pass * edges_s / (last.t_s - first.t_s);
    out->ticks = count_steps(r->meter, s->n_steps, r->end_s - r->begin_s);
    return WB_OK;
}

// Tells the caller about the power over time, once for about each 100 ms.
static void report_power(const run *r) {
    const wb_window_options *o = r->options;
    const wb_samples *s = &r->meter->samples;
    if (!o->on_power || s->n_points == 0) return;
    wb_point before = s->points[0];
    for (int i = 1; i < count_points(s, r->end_s); i++) {
        const wb_point now = s->points[i];
        if (now.t_s - before.t_s < 0.095) continue;
        o->on_power(o->power_context, now.t_s - r->begin_s,
                    (now.joules - before.joules) / (now.t_s - before.t_s));
        before = now;
    }
}

static wb_status finish_window(run *r, wb_window *out, wb_error *err) {
    const wb_meter *meter = r->meter;
    const uint32_t flags = wb_sampler_flags(r->meter);
    if (flags & WB_FLAG_RESET)
        return wb_fail(err, WB_ERR_REFUSED, 0,
                       "%s was reset inside a window, as by a suspend; measure again",
                       meter->source->name);
    out->passes = r->passes;
    out->seconds = r->end_s - r->begin_s;
    out->seconds_per_pass = out->seconds / r->passes;
    out->idle_w = meter->idle_w;
    snprintf(out->method, sizeof out->method, "%s", meter->source->method);
    wb_flags_write(out->flags, sizeof out->flags, flags);
    if (r->is_modelled) {
        out->joules_per_pass = (meter->samples.total - r->start_j) / r->passes;
        return WB_OK;
    }
    return fit_window(r, out, err);
}

// Begins on a step of the counter: the first point, and nothing before it.
static wb_status begin_window(run *r, wb_error *err) {
    wb_meter *meter = r->meter;
    wb_status status =
        r->is_modelled ? wb_sampler_read(meter, err) : wb_sampler_wait_for_step(meter, err);
    if (status) return status;
    pthread_mutex_lock(&meter->lock);
    wb_samples *s = &meter->samples;
    if (s->n_points > 0) s->points[0] = s->points[s->n_points - 1];
    s->n_points = s->n_points > 0;
    s->n_steps = 0;
    r->start_j = s->total;
    pthread_mutex_unlock(&meter->lock);
    r->begin_s = wb_meter_now_s(meter);
    return WB_OK;
}

static wb_status check_options(const wb_window_options *o, wb_error *err) {
    if (o->min_s >= 0.0 && o->min_s <= 86400.0 && o->min_ticks >= 0 && o->max_passes >= 0)
        return WB_OK;
    return wb_fail(
        err, WB_ERR_ARGUMENT, 0,
        "a window of at least %g s, %d ticks and at most %d passes: none may be negative", o->min_s,
        o->min_ticks, o->max_passes);
}

wb_status wb_window_measure(wb_meter *meter, const wb_window_options *options, wb_pass *pass,
                            void *context, wb_window *out, wb_error *err) {
    *out = (wb_window){0};
    const wb_window_options o = options ? *options : wb_default_window_options();
    wb_status status = check_options(&o, err);
    if (status) return status;
    run r = {.meter = meter, .options = &o, .is_modelled = wb_meter_is_modelled(meter)};
    status = wb_sampler_start(meter, wb_sampler_window_period_ns(meter), err);
    if (status) return status;
    status = begin_window(&r, err);
    if (!status) status = run_passes(&r, pass, context, err);
    if (!status && r.is_modelled) status = wb_sampler_read(meter, err);
    wb_sampler_stop(meter);
    if (!status) status = finish_window(&r, out, err);
    if (status) {
        *out = (wb_window){0};
        return status;
    }
    report_power(&r);
    return WB_OK;
}

// ---- Idle -----------------------------------------------------------------------

// Nothing is a pass of doing nothing.
typedef struct rest {
    wb_meter *meter;
    double seconds;
} rest;

static wb_status rest_pass(void *context, wb_error *err) {
    (void)err;
    const rest *r = context;
    const wb_energy_clock *clock = &r->meter->host.clock;
    clock->sleep_ns(clock->context, (uint64_t)(r->seconds * 1e9));
    return WB_OK;
}

wb_status wb_meter_idle(wb_meter *meter, double seconds, double *idle_w, wb_error *err) {
    *idle_w = 0.0;
    if (!(seconds > 0.0) || seconds > 3600.0)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%g s of rest, give more than 0, at most 3600",
                       seconds);
    const int n_slices = 32;
    rest r = {.meter = meter, .seconds = seconds / n_slices};
    const wb_window_options options = {.min_s = seconds};
    wb_window window;
    const wb_status status = wb_window_measure(meter, &options, rest_pass, &r, &window, err);
    if (status) return status;
    *idle_w = window.joules_per_pass / window.seconds_per_pass;
    meter->idle_w = *idle_w;
    return WB_OK;
}
