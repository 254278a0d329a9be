// SPDX-License-Identifier: Apache-2.0
// The inside of a meter, for the files that implement energy.h: what was opened, what a sampler
// has seen since an interval began, and the points that a window is fitted to.
#ifndef WB_ENERGY_METER_H
#define WB_ENERGY_METER_H

#include "energy/phase.h"
#include "energy/source.h"

// A moment at which the counter is known to have stepped: it held `joules` from then on. When
// exactly is known to within edge_s, the time between the two reads around the step.
typedef struct wb_point {
    double t_s, joules, edge_s;
} wb_point;

enum { WB_MAX_POINTS = 4096 };

// What has been read since the interval began. Guarded by the meter's lock.
typedef struct wb_samples {
    double joules[WB_MAX_DOMAINS];  // of each domain since open
    double start_joules[WB_MAX_DOMAINS];
    uint32_t flags[WB_MAX_DOMAINS];
    double total, start_total;  // of the domains that are summed
    uint64_t start_ns, read_ns, step_ns;
    int n_steps;             // reads that found the total changed
    double smallest_step_j;  // 0 before the first step
    // Evenly thinned: when all WB_MAX_POINTS are taken, every second one goes and from then on only
    // every stride-th is kept. The latest is always at points[n_points - 1].
    wb_point *points;
    int n_points, stride, n_skipped;
    wb_error failure;  // of the last read; status WB_OK when it succeeded
    wb_phase phase;    // in seconds since the clock's zero; outlives intervals
    bool is_unsteady;  // too dear to be watched, and without a beat: any step must do as a point
} wb_samples;

struct wb_meter {
    wb_energy_host host;
    const wb_energy_source *source;
    void *state;
    bool is_open;  // source->open was called
    wb_energy_view view;
    bool is_left_out[WB_MAX_DOMAINS];  // dead, beside others that live
    bool is_unproven;                  // under a root: only the interval shows what moves
    wb_source_info info;
    double interval_s;  // between the counter's steps; 0: unknown
    double read_s;      // one read takes this long
    double idle_w;
    bool is_running;
    uint64_t sampler_cpu_ns;  // of the last interval
    wb_ticker ticker;
    pthread_mutex_t lock;
    wb_samples samples;
};

// Steps are expected within this time of a counter that lives.
static const double WB_PROBE_S = 0.25;

// ---- meter.c ----

// *out <- a meter on this source alone, its counters observed for at most WB_PROBE_S. On failure
// info, which may be NULL, still gets what is known.
wb_status wb_meter_open_source(wb_meter **out, const wb_energy_source *source,
                               const wb_energy_host *host, wb_source_info *info, wb_error *err);
// *host <- options, checked. WB_ERR_ARGUMENT
wb_status wb_energy_host_init(wb_energy_host *host, const wb_meter_options *options, wb_error *err);
double wb_meter_now_s(const wb_meter *meter);  // since the interval began
bool wb_meter_is_modelled(const wb_meter *meter);

// ---- sampler.c ----

// Begins an interval: reads once and starts the sampler.
wb_status wb_sampler_start(wb_meter *meter, uint64_t period_ns, wb_error *err);
void wb_sampler_stop(wb_meter *meter);
// Reads once, now. WB_ERR_* of the source.
wb_status wb_sampler_read(wb_meter *meter, wb_error *err);
// Polls until the counter steps, and on until the steps of the next window can be told without
// polling. WB_ERR_REFUSED when it does not step.
wb_status wb_sampler_wait_for_step(wb_meter *meter, wb_error *err);
uint64_t wb_sampler_window_period_ns(const wb_meter *meter);
// The period with which a window ends: each interval of the counter is read once, whatever it
// costs.
uint64_t wb_sampler_final_period_ns(const wb_meter *meter);
uint32_t wb_sampler_flags(wb_meter *meter);  // of all domains since the interval began
// How long a counter may stand still before it counts as dead.
double wb_sampler_patience_s(const wb_meter *meter);

// ---- judge.c ----

// Which domains are dead, given which have moved over some time? is_left_out gains the dead ones
// that the total can do without; WB_ERR_REFUSED when it cannot.
wb_status wb_judge_domains(const wb_energy_view *view, const bool *has_moved, double seconds,
                           bool *is_left_out, wb_error *err);

// ---- estimate.c ----

// Watts: the slope of joules over seconds by least squares. n >= 2, not all at one time.
double wb_fit_watts(const wb_point *points, int n);
// The 97.5 % quantile of Student's t with this many degrees of freedom, >= 1.
double wb_student_t(int freedom);

#endif
