// SPDX-License-Identifier: Apache-2.0
// What a meter is worth on this machine: how fine and how often its counter steps, how much it
// scatters at rest, and what looking at it costs.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "energy/meter.h"

enum { MAX_SLICES = 256 };

// One read of the counter, the mean over at most 100 reads and 50 ms.
static wb_status time_reads(wb_meter *meter, wb_self_test *out, wb_error *err) {
    const uint64_t start_ns = wb_clock_ns();
    uint64_t now_ns = start_ns;
    int n = 0;
    while (n < 100 && now_ns - start_ns < 50000000) {
        const wb_status status = wb_sampler_read(meter, err);
        if (status) return status;
        now_ns = wb_clock_ns();
        n++;
    }
    out->read_us = (double)(now_ns - start_ns) * 1e-3 / n;
    return WB_OK;
}

// For qsort.
static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Watches single steps for a while, three at least: their median distance and the smallest of them.
static wb_status watch_steps(wb_meter *meter, double seconds, wb_self_test *out, wb_error *err) {
    double gaps_ms[MAX_SLICES], last_s = -1.0;
    int n = 0;
    wb_status status = wb_sampler_start(meter, wb_sampler_window_period_ns(meter), err);
    while (!status && n < MAX_SLICES && (n < 3 || wb_meter_now_s(meter) < seconds)) {
        status = wb_sampler_wait_for_step(meter, err);
        const double now_s = wb_meter_now_s(meter);
        if (last_s >= 0.0) gaps_ms[n++] = (now_s - last_s) * 1e3;
        last_s = now_s;
    }
    wb_sampler_stop(meter);
    if (status) return status;
    qsort(gaps_ms, (size_t)n, sizeof gaps_ms[0], compare_doubles);
    out->interval_ms = n > 0 ? gaps_ms[n / 2] : 0.0;
    out->resolution_uj = meter->samples.smallest_step_j * 1e6;
    return WB_OK;
}

// Mean and standard deviation of the power at rest over slices of 0.5 s, each from step to step.
static wb_status rest_in_slices(wb_meter *meter, double seconds, wb_self_test *out, wb_error *err) {
    double watts[MAX_SLICES], mean = 0.0, squares = 0.0;
    int n = 0;
    do {
        const wb_status status = wb_meter_idle(meter, 0.5, &watts[n], err);
        if (status) return status;
        mean += watts[n++];
    } while (n < MAX_SLICES && 0.5 * (n + 1) <= seconds);
    mean /= n;
    for (int i = 0; i < n; i++) squares += (watts[i] - mean) * (watts[i] - mean);
    out->idle_w = mean;
    out->idle_noise_w = n > 1 ? sqrt(squares / (n - 1)) : 0.0;
    return WB_OK;
}

// What the sampler takes of a core during a window.
static wb_status time_sampler(wb_meter *meter, double seconds, wb_self_test *out, wb_error *err) {
    double idle_w;
    const wb_status status = wb_meter_idle(meter, seconds, &idle_w, err);
    if (!status) out->overhead_share = (double)meter->sampler_cpu_ns * 1e-9 / seconds;
    return status;
}

wb_status wb_meter_self_test(wb_meter *meter, double seconds, wb_self_test *out, wb_error *err) {
    *out = (wb_self_test){0};
    if (!(seconds > 0.0) || seconds > 120.0)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "a self-test of %g s, give more than 0, at most 120", seconds);
    wb_self_test result = {0};
    const double kept_idle_w = meter->idle_w;  // the test's rest is too short to count for windows
    snprintf(result.source, sizeof result.source, "%s", meter->source->name);
    snprintf(result.method, sizeof result.method, "%s", meter->source->method);
    wb_status status = time_reads(meter, &result, err);
    const bool has_steps = !wb_meter_is_modelled(meter);
    if (!status && has_steps) status = watch_steps(meter, 0.1 * seconds, &result, err);
    if (!status) status = rest_in_slices(meter, 0.4 * seconds, &result, err);
    if (!status) status = time_sampler(meter, 0.5 * seconds, &result, err);
    meter->idle_w = kept_idle_w;
    if (status) return status;
    *out = result;
    return WB_OK;
}
