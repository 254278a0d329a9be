// SPDX-License-Identifier: Apache-2.0
// A recorded trace as a source: joules step as they did when it was recorded, from the moment it
// is opened. Figures and tests run without hardware; a virtual clock makes it instant.
#include <math.h>
#include <stdio.h>

#include "energy/source.h"

static const size_t MAX_TRACE_BYTES = (size_t)256 << 20;

typedef struct replay_state {
    const wb_energy_host *host;
    wb_trace trace;
    uint64_t start_ns;
    int row;  // the last one whose time has come
} replay_state;

static const double *row_at(const wb_trace *trace, int row) {
    return trace->rows + (size_t)row * (1 + (size_t)trace->n_domains);
}

// Mean time between rows, and the smallest step of any domain.
static void describe_steps(const wb_trace *trace, wb_energy_view *view) {
    const double *first = row_at(trace, 0), *last = row_at(trace, trace->n_rows - 1);
    view->interval_ms = (last[0] - first[0]) * 1e3 / (trace->n_rows - 1);
    double smallest_j = INFINITY;
    for (int row = 1; row < trace->n_rows; row++) {
        const double *before = row_at(trace, row - 1), *after = row_at(trace, row);
        for (int i = 1; i <= trace->n_domains; i++)
            if (after[i] > before[i]) smallest_j = fmin(smallest_j, after[i] - before[i]);
    }
    view->resolution_uj = isfinite(smallest_j) ? smallest_j * 1e6 : 0.0;
}

// Reads the whole trace at once: a window must not wait for a disk.
static wb_status replay_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                             wb_error *err) {
    replay_state *s = state;
    s->host = host;
    if (!host->replay[0])
        return wb_fail(err, WB_ERR_ABSENT, 0, "no recorded trace was given (--replay FILE)");
    wb_file file;
    wb_status status = wb_file_read(&file, host->replay, MAX_TRACE_BYTES, err);
    if (status) return status;
    status = wb_trace_parse(&s->trace, host->replay, file.data, file.n_bytes, err);
    wb_file_close(&file);
    if (status) return status;
    for (int i = 0; i < s->trace.n_domains; i++) wb_domain_add(view, s->trace.names[i]);
    describe_steps(&s->trace, view);
    wb_domains_classify(view);
    view->sees_cpu = true;
    snprintf(view->device, sizeof view->device, "%.127s", host->replay);
    s->start_ns = host->clock.now_ns(host->clock.context);
    return WB_OK;
}

static wb_status replay_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    (void)flags;
    replay_state *s = state;
    const uint64_t now_ns = s->host->clock.now_ns(s->host->clock.context);
    const double *first = row_at(&s->trace, 0);
    const double t_s = first[0] + (double)(now_ns - s->start_ns) * 1e-9;
    while (s->row + 1 < s->trace.n_rows && row_at(&s->trace, s->row + 1)[0] <= t_s) s->row++;
    const double *now = row_at(&s->trace, s->row);
    // A trace that has ended would look like a counter that died: say what it is. One more step is
    // granted, the last row holds until then.
    if (s->row == s->trace.n_rows - 1 &&
        t_s > now[0] + 2.0 * (now[0] - row_at(&s->trace, s->row - 1)[0]))
        return wb_fail(err, WB_ERR_REFUSED, 0,
                       "%s: the trace ends after %.3f s, record a longer one", s->host->replay,
                       now[0] - first[0]);
    for (int i = 0; i < s->trace.n_domains; i++) joules[i] = now[1 + i] - first[1 + i];
    return WB_OK;
}

static void replay_close(void *state) {
    replay_state *s = state;
    wb_trace_free(&s->trace);
}

const wb_energy_source wb_energy_replay = {
    .name = "replay",
    .measures = "a recorded trace, not this machine",
    .method = "measured",
    .state_size = sizeof(replay_state),
    .period_ms = 5,
    .open = replay_open,
    .read = replay_read,
    .close = replay_close,
};
