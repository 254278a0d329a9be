// SPDX-License-Identifier: Apache-2.0
// A clock that stands still until a test moves it, and a machine that is played on it: before each
// moment at which somebody may look, play() brings counters up to date. Two seconds of measuring
// take microseconds, and the same each time.
#ifndef VIRTUAL_H
#define VIRTUAL_H

#include "energy/clock.h"

typedef struct virtual_clock {
    uint64_t now_ns, cpu_ns, tick_ns;  // tick_ns: when the sampler looks next
    wb_ticker *ticker;
    void (*play)(void *context, double now_s);
    void *context;
} virtual_clock;

static inline void virtual_play(virtual_clock *v) {
    if (v->play) v->play(v->context, (double)v->now_ns * 1e-9);
}

static inline void virtual_advance(virtual_clock *v, uint64_t ns) {
    const uint64_t end_ns = v->now_ns + ns;
    while (v->ticker && v->tick_ns <= end_ns) {
        // A read may take time itself, by moving the clock.
        if (v->now_ns < v->tick_ns) v->now_ns = v->tick_ns;
        virtual_play(v);
        v->ticker->tick(v->ticker->context);
        v->tick_ns = v->now_ns + v->ticker->period_ns;
    }
    if (v->now_ns < end_ns) v->now_ns = end_ns;
    virtual_play(v);
}

static inline uint64_t virtual_now_ns(void *context) {
    return ((virtual_clock *)context)->now_ns;
}

static inline uint64_t virtual_cpu_ns(void *context) {
    return ((virtual_clock *)context)->cpu_ns;
}

static inline void virtual_sleep_ns(void *context, uint64_t ns) {
    virtual_advance(context, ns);
}

static inline wb_status virtual_ticker_start(void *context, wb_ticker *ticker, wb_error *err) {
    (void)err;
    virtual_clock *v = context;
    v->ticker = ticker;
    v->tick_ns = v->now_ns + ticker->period_ns;
    return WB_OK;
}

static inline void virtual_ticker_stop(void *context, wb_ticker *ticker, uint64_t *cpu_ns) {
    (void)ticker;
    ((virtual_clock *)context)->ticker = NULL;
    *cpu_ns = 0;
}

static inline wb_energy_clock virtual_clock_of(virtual_clock *v) {
    return (wb_energy_clock){.context = v,
                             .now_ns = virtual_now_ns,
                             .cpu_ns = virtual_cpu_ns,
                             .sleep_ns = virtual_sleep_ns,
                             .ticker_start = virtual_ticker_start,
                             .ticker_stop = virtual_ticker_stop};
}

#endif
