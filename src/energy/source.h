// SPDX-License-Identifier: Apache-2.0
// What a source of joules is: a constant struct of functions, and a line in a list. A source
// finds its counters at open, tells of them in a view, and from then on gives joules since
// open, wraps removed. It knows neither windows nor threads: meter.c calls it under a lock.
#ifndef WB_ENERGY_SOURCE_H
#define WB_ENERGY_SOURCE_H

#include "base/base.h"
#include "energy/clock.h"
#include "wattbert/energy.h"

// What happened to a counter while it was read; the names are those of wb_reading.flags.
enum {
    WB_FLAG_WRAPPED = 1 << 0,
    WB_FLAG_RESET = 1 << 1,
    WB_FLAG_SHARED_GPU = 1 << 2,
    WB_FLAG_INTEGRATED = 1 << 3,
};
// out <- "wrapped reset"; "" for 0.
void wb_flags_write(char *out, size_t capacity, uint32_t flags);

// What sources are opened with.
typedef struct wb_energy_host {
    char root[512];    // before every path; "" is the real machine
    char replay[512];  // a trace's path; "" where there is none
    double watts_per_core;
    int gpu_index;
    char gpu_uuid[96];  // "" where the index counts
    wb_energy_clock clock;
} wb_energy_host;

typedef struct wb_energy_domain {
    char name[32];   // "package-0"
    bool is_summed;  // part of the total: no other summed domain holds its joules too
    bool may_rest;   // standing still is no fault: an unused graphics unit
} wb_energy_domain;

// What a source found. Zeroed before open.
typedef struct wb_energy_view {
    wb_energy_domain domains[WB_MAX_DOMAINS];
    int n_domains;
    double interval_ms;    // between steps, where the source knows it; else it is observed
    double resolution_uj;  // likewise
    bool sees_cpu;         // the total holds the work of this machine's processor
    bool is_integrated;  // joules are summed up from power at each read, so reads must be frequent
    char device[128];    // whose joules these are; "" where the source has no name for it
} wb_energy_view;

typedef struct wb_energy_source {
    const char *name;
    const char *measures;  // what a joule of it is, under every figure
    const char *method;    // "measured" or "modelled"
    size_t state_size;
    // In milliseconds, between reads inside a window; 0: no sampler is needed. 10 ms on a counter
    // that steps every millisecond puts an edge within 0.05 % of a 2 s window.
    int period_ms;
    bool needs_proof;  // a counter of hardware: it may exist and be dead
    // *view, zeroed, <- the counters. WB_ERR_ABSENT when this machine has none: not an error.
    // close() follows in any case.
    wb_status (*open)(void *state, const wb_energy_host *host, wb_energy_view *view, wb_error *err);
    // joules[n_domains] <- since open; flags[n_domains] gain what happened.
    wb_status (*read)(void *state, double *joules, uint32_t *flags, wb_error *err);
    // What else uses the device right now, as a flag; may be NULL. Called at both ends of an
    // interval.
    uint32_t (*check)(void *state);
    // *out, all NAN, <- clocks and the like; may be NULL.
    void (*conditions)(void *state, wb_conditions *out);
    void (*close)(void *state);
} wb_energy_source;

extern const wb_energy_source wb_energy_rapl, wb_energy_perf, wb_energy_hwmon, wb_energy_nvml,
    wb_energy_replay, wb_energy_modelled;

// In order of preference, ended by NULL.
extern const wb_energy_source *const wb_energy_sources[];
const wb_energy_source *wb_energy_source_find(const char *name);  // NULL where there is none

// ---- domain.c ----

// Adds a domain to the view; false when it is full.
bool wb_domain_add(wb_energy_view *view, const char *name);
// Decides what adds up, from the names that rapl, perf and traces share: packages and DRAM do;
// cores and graphics lie inside their package; psys holds everything and counts alone.
void wb_domains_classify(wb_energy_view *view);

// ---- sysfs.c: one value a file ----

// text <- the file root/path without its last newline. WB_ERR_ABSENT where there is no such file,
// WB_ERR_DENIED, WB_ERR_IO.
WB_PRINTF(5, 6)
wb_status wb_sysfs_text(char *text, size_t capacity, const char *root, wb_error *err,
                        const char *path_format, ...);
// *value <- the whole number in the file.
WB_PRINTF(4, 5)
wb_status wb_sysfs_u64(uint64_t *value, const char *root, wb_error *err, const char *path_format,
                       ...);
WB_PRINTF(2, 3) bool wb_sysfs_exists(const char *root, const char *path_format, ...);

// ---- trace.c: recorded joules as text; docs/energy.md describes the format ----

typedef struct wb_trace {
    char names[WB_MAX_DOMAINS][32];
    int n_domains;
    int n_rows;
    double *rows;  // [n_rows, 1 + n_domains]: seconds, then joules since the start; owned
} wb_trace;

// WB_ERR_FORMAT with the byte offset; name is for the message. Trusts nothing in data.
wb_status wb_trace_parse(wb_trace *trace, const char *name, const uint8_t *data, size_t n_bytes,
                         wb_error *err);
void wb_trace_free(wb_trace *trace);

#endif
