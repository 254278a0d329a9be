// SPDX-License-Identifier: Apache-2.0
// A team of threads that takes tasks off shares: one that all take from, or one for each worker,
// who helps the others when his own is done. A run is announced by a generation number, and the
// caller works as worker 0. Whoever waits looks for as long as a wake-up takes on this machine,
// because a layer's products follow each other closely, and then sleeps on a condition: at worst
// that costs twice what the best choice would have, and spinning longer would burn the joules this
// project saves.
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/binding.h"

typedef struct worker {
    wb_pool *pool;
    int index;
    pthread_t thread;
} worker;

// Tasks [next, end) are still to be taken; a cache line of its own.
typedef struct share {
    alignas(64) atomic_int next;
    int end;
} share;

struct wb_pool {
    int n_threads, n_started;  // n_started: threads that exist, for a half-opened pool
    worker *workers;
    share *shares;        // [n_threads]
    atomic_uint spin_ns;  // what a wake-up costs
    // Of the run in progress: written before generation moves on, read after it has.
    wb_task *task;  // NULL: the pool closes
    void *context;
    atomic_uint generation;
    atomic_int n_working;  // workers that have not finished the run
    pthread_mutex_t lock;  // of the two conditions, for those who gave up spinning
    pthread_cond_t started, finished;
};

// Reading the clock takes as long as one or two pauses.
enum { PAUSES_PER_LOOK = 8 };

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");  // yield is a nop on most cores; this is some 10 ns
#endif
}

static void work(wb_pool *pool, int index) {
    for (int i = 0; i < pool->n_threads; i++) {
        share *from = &pool->shares[(index + i) % pool->n_threads];
        while (atomic_load_explicit(&from->next, memory_order_relaxed) < from->end) {
            const int task = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
            if (task < from->end) pool->task(pool->context, task, index);
        }
    }
}

static bool has_started(wb_pool *pool, unsigned seen) {
    return atomic_load_explicit(&pool->generation, memory_order_acquire) != seen;
}

static bool has_finished(wb_pool *pool, unsigned seen) {
    (void)seen;
    return atomic_load_explicit(&pool->n_working, memory_order_acquire) == 0;
}

// Whether it has happened before it is time to sleep.
static inline bool look_for(bool (*has_happened)(wb_pool *, unsigned), wb_pool *pool,
                            unsigned seen) {
    const uint64_t start_ns = wb_clock_ns();
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (has_happened(pool, seen)) return true;
            pause_briefly();
        }
    } while (wb_clock_ns() - start_ns < atomic_load_explicit(&pool->spin_ns, memory_order_relaxed));
    return false;
}

// Who is woken and finds nothing yet looks once more as long (wb_pool_wake).
static void wait_for_start(wb_pool *pool, unsigned seen) {
    while (!look_for(has_started, pool, seen)) {
        pthread_mutex_lock(&pool->lock);
        if (!has_started(pool, seen)) pthread_cond_wait(&pool->started, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void wait_for_finish(wb_pool *pool) {
    if (look_for(has_finished, pool, 0)) return;
    pthread_mutex_lock(&pool->lock);
    while (!has_finished(pool, 0)) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

// Tasks [0, n_tasks) cut into n_shares; workers beyond them get none of their own.
static void announce(wb_pool *pool, wb_task *task, void *context, int n_tasks, int n_shares) {
    pool->task = task;
    pool->context = context;
    for (int i = 0; i < pool->n_threads; i++) {
        int begin = n_tasks;
        pool->shares[i].end = n_tasks;
        if (i < n_shares) wb_pool_cut(&begin, &pool->shares[i].end, n_tasks, i, n_shares);
        atomic_store_explicit(&pool->shares[i].next, begin, memory_order_relaxed);
    }
    atomic_store_explicit(&pool->n_working, pool->n_threads - 1, memory_order_relaxed);
    // Under the lock, so that no worker falls asleep between looking and waiting.
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->started);
    pthread_mutex_unlock(&pool->lock);
}

static void run(wb_pool *pool, wb_task *task, void *context, int n_tasks, int n_shares) {
    announce(pool, task, context, n_tasks, n_shares);
    work(pool, 0);
    wait_for_finish(pool);
}

static void *worker_main(void *argument) {
    const worker *self = argument;
    wb_pool *pool = self->pool;
    for (unsigned seen = 0;; seen++) {
        wait_for_start(pool, seen);
        if (!pool->task) return NULL;
        work(pool, self->index);
        if (atomic_fetch_sub_explicit(&pool->n_working, 1, memory_order_acq_rel) > 1) continue;
        pthread_mutex_lock(&pool->lock);
        pthread_cond_signal(&pool->finished);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void do_nothing(void *context, int task, int index) {
    (void)context, (void)task, (void)index;
}

static int compare_ns(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// How long threads that sleep take to be at work again: the median of a few empty runs. On two
// virtual cores of an EPYC 15 to 30 us; a processor of one's own is up in 5. The bounds are for
// machines that were busy with something else meanwhile.
static unsigned measure_wake_up(wb_pool *pool) {
    enum { N_RUNS = 7 };
    const uint64_t least_ns = 5000, most_ns = 50000, until_all_sleep_ns = 100000;
    uint64_t ns[N_RUNS];
    for (int i = 0; i < N_RUNS; i++) {
        wb_sleep_ns(until_all_sleep_ns);
        const uint64_t start_ns = wb_clock_ns();
        run(pool, do_nothing, NULL, 0, 1);
        ns[i] = wb_clock_ns() - start_ns;
    }
    qsort(ns, N_RUNS, sizeof *ns, compare_ns);
    const uint64_t median_ns = ns[N_RUNS / 2];
    return (unsigned)(median_ns < least_ns ? least_ns : median_ns > most_ns ? most_ns : median_ns);
}

wb_status wb_pool_open(wb_pool **out, int n_threads, wb_error *err) {
    *out = NULL;
    if (n_threads < 1)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%d threads, need at least 1", n_threads);
    wb_pool *pool = wb_alloc_zeroed(sizeof *pool);
    worker *workers = wb_alloc_array((size_t)n_threads, sizeof *workers);
    share *shares = wb_alloc_array((size_t)n_threads, sizeof *shares);
    if (!pool || !workers || !shares) {
        wb_free(pool);
        wb_free(workers);
        wb_free(shares);
        return wb_fail(err, WB_ERR_MEMORY, 0, "thread pool of %d", n_threads);
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->started, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->workers = workers;
    pool->shares = shares;
    pool->n_threads = n_threads;
    pool->n_started = 1;  // the caller
    for (int i = 1; i < n_threads; i++) {
        workers[i] = (worker){.pool = pool, .index = i};
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            wb_pool_close(pool);
            return wb_fail(err, WB_ERR_MEMORY, 0, "cannot start thread %d of %d", i + 1, n_threads);
        }
        pool->n_started++;
    }
    if (n_threads > 1)
        atomic_store_explicit(&pool->spin_ns, measure_wake_up(pool), memory_order_relaxed);
    *out = pool;
    return WB_OK;
}

void wb_pool_close(wb_pool *pool) {
    if (!pool) return;
    announce(pool, NULL, NULL, 0, 1);
    for (int i = 1; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->started);
    pthread_mutex_destroy(&pool->lock);
    wb_free(pool->workers);
    wb_free(pool->shares);
    wb_free(pool);
}

wb_status wb_pool_bind(wb_pool *pool, const int *cpus, wb_error *err) {
    int n_bound = 1;  // the caller
    while (n_bound < pool->n_threads &&
           wb_thread_bind(pool->workers[n_bound].thread, cpus[n_bound]))
        n_bound++;
    if (n_bound == pool->n_threads) return WB_OK;
    for (int i = 1; i < n_bound; i++) wb_thread_unbind(pool->workers[i].thread);
    return wb_fail(err, WB_ERR_REFUSED, 0, "the system refuses cpu %d to a thread", cpus[n_bound]);
}

void wb_pool_wake(wb_pool *pool) {
    pthread_cond_broadcast(&pool->started);
}

int wb_pool_threads(const wb_pool *pool) {
    return pool->n_threads;
}

void wb_pool_cut(int *begin, int *end, int n_tasks, int index, int n_shares) {
    *begin = (int)((int64_t)n_tasks * index / n_shares);
    *end = (int)((int64_t)n_tasks * (index + 1) / n_shares);
}

static void run_all(wb_pool *pool, wb_task *task, void *context, int n_tasks, int n_shares) {
    if (pool->n_threads == 1 || n_tasks <= 1)
        for (int i = 0; i < n_tasks; i++) task(context, i, 0);
    else
        run(pool, task, context, n_tasks, n_shares);
}

void wb_pool_run(wb_pool *pool, wb_task *task, void *context, int n_tasks) {
    run_all(pool, task, context, n_tasks, 1);
}

void wb_pool_run_shares(wb_pool *pool, wb_task *task, void *context, int n_tasks) {
    run_all(pool, task, context, n_tasks, pool->n_threads);
}
