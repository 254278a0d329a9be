// SPDX-License-Identifier: Apache-2.0
// The machine's clock, and the sampler's thread: it sleeps on a condition with a deadline, so
// that stopping it never waits for a period to end.
#include "energy/clock.h"

#include <sys/resource.h>
#include <time.h>

static uint64_t real_now_ns(void *context) {
    (void)context;
    return wb_clock_ns();
}

static uint64_t timeval_ns(struct timeval t) {
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

// Children count once they have been waited for, as getrusage says; microseconds, where this
// process itself is counted in nanoseconds.
static uint64_t real_cpu_ns(void *context) {
    (void)context;
    struct rusage children = {0};
    getrusage(RUSAGE_CHILDREN, &children);
    return wb_clock_process_ns() + timeval_ns(children.ru_utime) + timeval_ns(children.ru_stime);
}

static void real_sleep_ns(void *context, uint64_t ns) {
    (void)context;
    wb_sleep_ns(ns);
}

static uint64_t thread_cpu_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct timespec timespec_from_ns(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
}

// Sleeps for a period; false when the ticker is to stop. Called with the lock held.
static bool wait_for_period(wb_ticker *ticker) {
    const uint64_t deadline_ns = wb_clock_ns() + ticker->period_ns;
    const struct timespec deadline = timespec_from_ns(deadline_ns);
    while (!ticker->is_stopping && wb_clock_ns() < deadline_ns)
        pthread_cond_timedwait(&ticker->woken, &ticker->lock, &deadline);
    return !ticker->is_stopping;
}

// The lock is held except while tick runs: stopping waits for a tick to end, never for a period.
static void *ticker_main(void *argument) {
    wb_ticker *ticker = argument;
    pthread_mutex_lock(&ticker->lock);
    while (wait_for_period(ticker)) {
        pthread_mutex_unlock(&ticker->lock);
        ticker->tick(ticker->context);
        pthread_mutex_lock(&ticker->lock);
        ticker->cpu_ns = thread_cpu_ns();
    }
    pthread_mutex_unlock(&ticker->lock);
    return NULL;
}

static void ticker_destroy(wb_ticker *ticker) {
    pthread_cond_destroy(&ticker->woken);
    pthread_mutex_destroy(&ticker->lock);
    ticker->is_running = false;
}

static wb_status real_ticker_start(void *context, wb_ticker *ticker, wb_error *err) {
    (void)context;
    ticker->is_stopping = false;
    ticker->cpu_ns = 0;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    // Deadlines on the clock that nobody sets: a corrected wall clock must not stop the sampler.
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&ticker->lock, NULL);
    pthread_cond_init(&ticker->woken, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&ticker->thread, NULL, ticker_main, ticker) != 0) {
        ticker_destroy(ticker);
        return wb_fail(err, WB_ERR_MEMORY, 0, "cannot start the energy sampler's thread");
    }
    ticker->is_running = true;
    return WB_OK;
}

static void real_ticker_stop(void *context, wb_ticker *ticker, uint64_t *cpu_ns) {
    (void)context;
    pthread_mutex_lock(&ticker->lock);
    ticker->is_stopping = true;
    pthread_cond_signal(&ticker->woken);
    pthread_mutex_unlock(&ticker->lock);
    pthread_join(ticker->thread, NULL);
    *cpu_ns = ticker->cpu_ns;
    ticker_destroy(ticker);
}

wb_energy_clock wb_real_clock(void) {
    return (wb_energy_clock){.now_ns = real_now_ns,
                             .cpu_ns = real_cpu_ns,
                             .sleep_ns = real_sleep_ns,
                             .ticker_start = real_ticker_start,
                             .ticker_stop = real_ticker_stop};
}
