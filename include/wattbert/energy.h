// SPDX-License-Identifier: Apache-2.0
// Joules: from which counter, over which window, with which uncertainty.
//
// The life of the object (examples/meter.c is this program, built and run by CI):
//
//     wb_meter *meter;  wb_reading readings[WB_MAX_DOMAINS];  int n;  wb_error err;
//     if (wb_meter_open(&meter, NULL, &err)) return fail(&err);
//     if (wb_meter_start(meter, &err)) return fail(&err);
//     work();
//     if (wb_meter_stop(meter, readings, WB_MAX_DOMAINS, &n, &err)) return fail(&err);
//     printf("%s %.3f J (%s)\n", readings[0].source, readings[0].joules, readings[0].method);
//     wb_meter_close(meter);
//
// What a joule is depends on its source; `measures` says it under every figure:
//
//   source    a joule is                          in units of   steps every     does not see
//   rapl      CPU package and DRAM, by model      15 to 61 uJ   1 ms            GPU, fans, disks,
//             or shunt, of the processor                                        power supply
//   perf      the same counters through perf      2^-32 J       1 ms            the same
//   hwmon     what the board's sensor is          1 uJ, or      the driver's    what it is not
//             wired to                            1 uW summed   business        wired to
//   nvml      the whole GPU board, by the         1 mJ          20 to 100 ms    CPU, power supply
//             vendor's counter
//   replay    a recorded trace                    the trace's   the trace's     this machine
//   modelled  busy core time x watts per core     -             -               everything: it is
//                                                                               a guess, says so
//
// Modelled joules never mix with measured ones: `method` is carried by every
// reading, window and estimate. Errors, owning and silence as in wattbert.h; one
// thread at a time per meter; meters share nothing. docs/energy.md has the formulas.
#ifndef WATTBERT_ENERGY_H
#define WATTBERT_ENERGY_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wb_meter wb_meter;

enum {
    WB_MAX_DOMAINS = 32,  // readings of one meter
    WB_MAX_SOURCES = 8,   // entries of wb_sources_probe
};

typedef struct wb_meter_options {
    const char *root;       // stands for "/" before /sys and /proc; "" or NULL: the real one
    const char *source;     // use only this source ("rapl"); NULL: the best that sees the processor
    const char *replay;     // a recorded trace's path for source "replay"
    double watts_per_core;  // of the modelled source; 0: the documented default,
                            // WB_DEFAULT_WATTS_PER_CORE
    int gpu_index;          // of nvml
    const char *gpu_uuid;   // of nvml, "GPU-...": this board, whatever its index; NULL: gpu_index.
                            // CUDA and NVML may count in different orders
} wb_meter_options;

#define WB_DEFAULT_WATTS_PER_CORE \
    4.0  // a server core under vector load: 280 to 400 W over 64 to 96 cores

WB_API wb_meter_options wb_default_meter_options(void);

// What this machine offers, one entry a source; filled even where nothing can be measured.
typedef struct wb_source_info {
    const char *name;      // "rapl"; static
    const char *measures;  // what a joule of it is; static
    wb_status status;      // WB_OK usable, WB_ERR_ABSENT, WB_ERR_DENIED, WB_ERR_REFUSED
    char reason[256];      // why not, and what to do; usable: which domains are left out, mostly ""
    int n_domains;
    char domains[256];     // "package-0 dram-0"
    double resolution_uj;  // of one step as observed; 0 where unknown
    double interval_ms;    // between steps as documented or observed; 0 where unknown
    char device[128];      // "NVIDIA H100 80GB HBM3 (driver 580.159.04)"; "" where it has no name
    int sees_cpu;          // not 0: its total holds the work of this machine's processor
} wb_source_info;

// infos[*n] <- all sources in order of preference, capacity at most (WB_MAX_SOURCES suffices).
// A counter must move within 0.25 s to count as alive, so this takes up to 1 s.
//   WB_ERR_ARGUMENT (no such root), WB_ERR_MEMORY
WB_CHECKED WB_API wb_status wb_sources_probe(const wb_meter_options *options, wb_source_info *infos,
                                             int capacity, int *n, wb_error *err);

// *out <- a meter on options->source; where that is NULL, on the first of rapl, perf and hwmon that
// works (nvml does not see the processor and is used by name alone), or on the trace
// options->replay. Falls back to "modelled" when options->source is NULL and nothing else works;
// never silently: wb_meter_source() tells, and every reading's method is "modelled".
//   WB_ERR_ABSENT, WB_ERR_DENIED, WB_ERR_REFUSED for a source that was named
//   WB_ERR_IO, WB_ERR_FORMAT of the trace; WB_ERR_ARGUMENT, WB_ERR_MEMORY
// Under a root a counter may stand still until whoever plays the machine writes to it: then the
// meter opens, and wb_meter_stop() refuses if nothing has moved.
WB_CHECKED WB_API wb_status wb_meter_open(wb_meter **out, const wb_meter_options *options,
                                          wb_error *err);
WB_API void wb_meter_close(wb_meter *meter);
WB_API const wb_source_info *wb_meter_source(const wb_meter *meter);  // borrowed

// What the measured device does at this moment, for the record of a study. NAN where the source
// does not say, which is all of them but nvml.
typedef struct wb_conditions {
    double clock_hz, memory_clock_hz;
    double temperature_celsius;
    double power_limit_w;  // what the board is held to
    char slowed_by[64];    // what keeps the clock below its own limit: "power", "heat"; "" mostly
} wb_conditions;

// A few calls of the driver; may be made inside an interval or a window.
WB_API void wb_meter_conditions(wb_meter *meter, wb_conditions *out);

// ---- One interval -----------------------------------------------------------

typedef struct wb_reading {
    char source[16];   // "rapl"
    char domain[32];   // "package-0", "dram-0", "gpu-0", "process"
    double joules;     // between start and stop, wraps removed
    double low, high;  // joules of one interval of the counter less and more (wrong by that at
                       // each end); for modelled: a factor of 2 either way
    char method[16];   // "measured" or "modelled"
    // Words: "wrapped" (and unwrapped), "reset" (joules around it are missing), "shared-gpu" (other
    // processes used it too), "integrated-power" (summed up from watts). "" mostly.
    char flags[128];
} wb_reading;

// Between start and stop a sampler thread reads often enough to see every wrap.
//   WB_ERR_ARGUMENT when it was started already; else what reading the source gives
WB_CHECKED WB_API wb_status wb_meter_start(wb_meter *meter, wb_error *err);
// readings[*n] <- the joules since start, one entry a domain, capacity at most (WB_MAX_DOMAINS
// suffices). Nested domains (core in package) are listed too: do not add them up. Processes
// that were started and waited for in between count for modelled.
//   WB_ERR_ARGUMENT when it was not started, WB_ERR_REFUSED for a counter that stood still; the
//   meter is stopped in any case
WB_CHECKED WB_API wb_status wb_meter_stop(wb_meter *meter, wb_reading *readings, int capacity,
                                          int *n, wb_error *err);

// ---- Windows and estimates ----------------------------------------------------

// One whole pass over the work. context is the caller's.
typedef wb_status wb_pass(void *context, wb_error *err);

typedef struct wb_window_options {
    double min_s;    // 2.0: passes repeat until this long
    int min_ticks;   // 20: and this many steps of the counter (modelled has none: not applied)
    int max_passes;  // 0: no limit
    // Called after the passes, from the same thread, once for about each 100 ms of the window:
    // seconds since its begin and the power since the last call. May be NULL.
    void (*on_power)(void *context, double t_s, double watts);
    void *power_context;
} wb_window_options;

WB_API wb_window_options wb_default_window_options(void);

// One window: starts on a counter tick, runs whole passes without a gap, ends with the last tick
// inside them. Watts are the least-squares slope of the ticks' (time, joules), joules per pass are
// watts x seconds per pass; with fewer than 16 passes, whose own rhythm a fit would weigh unevenly,
// watts are joules from the first tick to the last over their time. Domains that do not nest
// (packages, DRAM, GPU board) are summed.
typedef struct wb_window {
    int passes;
    double seconds;          // of all passes
    double joules_per_pass;  // gross
    double seconds_per_pass;
    double idle_w;  // the idle level this window is net of: last wb_meter_idle, 0 before
    int ticks;
    char method[16];  // "measured" or "modelled"
    char flags[128];
    double joules_uncertainty;  // per pass: what the first and last tick's times leave open
} wb_window;

// Runs pass repeatedly inside one window. A failing pass ends it with its status. options NULL: the
// defaults.
//   WB_ERR_REFUSED   the counter stopped, or was reset inside the window
//   WB_ERR_ARGUMENT  max_passes ended it before two ticks, or the meter is measuring already
WB_CHECKED WB_API wb_status wb_window_measure(wb_meter *meter, const wb_window_options *options,
                                              wb_pass *pass, void *context, wb_window *out,
                                              wb_error *err);

// Watts at rest over seconds of doing nothing; kept by the meter and written into later windows.
WB_CHECKED WB_API wb_status wb_meter_idle(wb_meter *meter, double seconds, double *idle_w,
                                          wb_error *err);

// Mean and 95 % interval of windows of the same work: mean +- t s / sqrt(n), Student's t over the
// windows' joules per pass, and never narrower than their joules_uncertainty / sqrt(n), which
// is all there is for one window. For modelled windows low and high are a factor of 2 either way:
// how well a guess repeats does not make it right.
typedef struct wb_estimate {
    int n_windows;
    double joules, low, high;                   // per pass, gross
    double net_joules;                          // joules - idle_w * seconds, never below 0
    double seconds, seconds_low, seconds_high;  // per pass
    double idle_w;
    double measured_s;  // all windows together
    char method[16];    // "modelled" if any window is
    char flags[128];    // union of the windows'
    double repeat_low,
        repeat_high;  // the interval of the repeats alone, as low and high of measured
} wb_estimate;

WB_CHECKED WB_API wb_status wb_estimate_from_windows(const wb_window *windows, int n_windows,
                                                     wb_estimate *out, wb_error *err);

// ---- Self-test ------------------------------------------------------------------

typedef struct wb_self_test {
    char source[16];
    char method[16];
    double resolution_uj;         // smallest step seen
    double interval_ms;           // median time between steps
    double idle_w, idle_noise_w;  // mean and standard deviation over 0.5 s slices at rest
    double read_us;               // one read of the counter
    double overhead_share;        // CPU time of the sampler, in cores; the promise is < 0.01
} wb_self_test;

// Takes about seconds (3 is enough).
WB_CHECKED WB_API wb_status wb_meter_self_test(wb_meter *meter, double seconds, wb_self_test *out,
                                               wb_error *err);

#ifdef __cplusplus
}
#endif
#endif
