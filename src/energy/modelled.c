// SPDX-License-Identifier: Apache-2.0
// Joules where nothing can be measured: CPU time of this process, and of children it has waited
// for, times watts per core. A guess that says so: its method is "modelled" everywhere and its
// bounds are a factor of two either way.
#include "energy/source.h"

typedef struct modelled_state {
    const wb_energy_host *host;
    uint64_t start_cpu_ns;
} modelled_state;

static wb_status modelled_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                               wb_error *err) {
    (void)err;
    modelled_state *s = state;
    s->host = host;
    s->start_cpu_ns = host->clock.cpu_ns(host->clock.context);
    wb_domain_add(view, "process");
    view->sees_cpu = true;
    view->interval_ms = 1e-6;  // CPU time advances by nanoseconds
    return WB_OK;
}

static wb_status modelled_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    (void)flags;
    (void)err;
    const modelled_state *s = state;
    const uint64_t now_ns = s->host->clock.cpu_ns(s->host->clock.context);
    joules[0] = (double)(now_ns - s->start_cpu_ns) * 1e-9 * s->host->watts_per_core;
    return WB_OK;
}

static void modelled_close(void *state) {
    (void)state;
}

const wb_energy_source wb_energy_modelled = {
    .name = "modelled",
    .measures =
        "a guess from this process's CPU time and a fixed power per core: not measured, "
        "right within a factor of two at best",
    .method = "modelled",
    .state_size = sizeof(modelled_state),
    .period_ms = 50,  // for the power trace alone; the joules need no sampling
    .open = modelled_open,
    .read = modelled_read,
    .close = modelled_close,
};
