// SPDX-License-Identifier: Apache-2.0
// Time as the meter sees it. The tests put a virtual clock in its place, so that the code that
// measures two seconds runs over a recorded trace in microseconds, and the same way each time.
#ifndef WB_ENERGY_CLOCK_H
#define WB_ENERGY_CLOCK_H

#include <pthread.h>

#include "base/base.h"

typedef void wb_tick(void *context);

// Calls tick about every period_ns until it is stopped. Zeroed: not running.
typedef struct wb_ticker {
    wb_tick *tick;
    void *context;
    bool is_running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    uint64_t period_ns;
    // Guarded by the lock.
    bool is_stopping;
    uint64_t cpu_ns;  // what the thread has taken of a core so far
} wb_ticker;

typedef struct wb_energy_clock {
    void *context;
    uint64_t (*now_ns)(void *context);
    uint64_t (*cpu_ns)(void *context);  // of this process and of children that it has waited for
    void (*sleep_ns)(void *context, uint64_t ns);
    wb_status (*ticker_start)(void *context, wb_ticker *ticker, wb_error *err);
    // Returns when tick runs no more; *cpu_ns <- what its thread took of a core.
    void (*ticker_stop)(void *context, wb_ticker *ticker, uint64_t *cpu_ns);
} wb_energy_clock;

// The machine's own: CLOCK_MONOTONIC, and a thread for the ticker.
wb_energy_clock wb_real_clock(void);

#endif
