// SPDX-License-Identifier: Apache-2.0
// A team of threads that takes tasks off a shared counter. A run is announced by a generation
// number, and the caller works as worker 0. Whoever waits looks for a few microseconds, because a
// layer's products follow each other closely, and then sleeps on a condition: spinning longer
// would burn the joules this project saves.
#include <pthread.h>
#include <stdatomic.h>

#include "base/binding.h"

typedef struct worker {
    wb_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct wb_pool {
    int n_threads, n_started;  // n_started: threads that exist, for a half-opened pool
    worker *workers;
    // Of the run in progress: written before generation moves on, read after it has.
    wb_task *task;  // NULL: the pool closes
    void *context;
    int n_tasks;
    atomic_uint generation;
    atomic_int next_task;
    atomic_int n_working;  // workers that have not finished the run
    pthread_mutex_t lock;  // of the two conditions, for those who gave up spinning
    pthread_cond_t started, finished;
};

// Spinning covers what a futex wake-up costs, 5 to 10 us on a virtual machine, and no more:
// 400 pauses of about 40 cycles are 6 us at 2.6 GHz.
enum { SPINS = 400 };

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void work(wb_pool *pool, int index) {
    for (;;) {
        const int task = atomic_fetch_add_explicit(&pool->next_task, 1, memory_order_relaxed);
        if (task >= pool->n_tasks) return;
        pool->task(pool->context, task, index);
    }
}

static bool has_started(wb_pool *pool, unsigned seen) {
    return atomic_load_explicit(&pool->generation, memory_order_acquire) != seen;
}

static bool has_finished(wb_pool *pool) {
    return atomic_load_explicit(&pool->n_working, memory_order_acquire) == 0;
}

static void wait_for_start(wb_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS && !has_started(pool, seen); i++) pause_briefly();
    if (has_started(pool, seen)) return;
    pthread_mutex_lock(&pool->lock);
    while (!has_started(pool, seen)) pthread_cond_wait(&pool->started, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_for_finish(wb_pool *pool) {
    for (int i = 0; i < SPINS && !has_finished(pool); i++) pause_briefly();
    if (has_finished(pool)) return;
    pthread_mutex_lock(&pool->lock);
    while (!has_finished(pool)) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void announce(wb_pool *pool, wb_task *task, void *context, int n_tasks) {
    pool->task = task;
    pool->context = context;
    pool->n_tasks = n_tasks;
    atomic_store_explicit(&pool->next_task, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->n_working, pool->n_threads - 1, memory_order_relaxed);
    // Under the lock, so that no worker falls asleep between looking and waiting.
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->started);
    pthread_mutex_unlock(&pool->lock);
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

wb_status wb_pool_open(wb_pool **out, int n_threads, wb_error *err) {
    *out = NULL;
    if (n_threads < 1)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%d threads, need at least 1", n_threads);
    wb_pool *pool = wb_alloc_zeroed(sizeof *pool);
    worker *workers = wb_alloc_array((size_t)n_threads, sizeof *workers);
    if (!pool || !workers) {
        wb_free(pool);
        wb_free(workers);
        return wb_fail(err, WB_ERR_MEMORY, 0, "thread pool of %d", n_threads);
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->started, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->workers = workers;
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
    *out = pool;
    return WB_OK;
}

void wb_pool_close(wb_pool *pool) {
    if (!pool) return;
    announce(pool, NULL, NULL, 0);
    for (int i = 1; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->started);
    pthread_mutex_destroy(&pool->lock);
    wb_free(pool->workers);
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

int wb_pool_threads(const wb_pool *pool) {
    return pool->n_threads;
}

void wb_pool_run(wb_pool *pool, wb_task *task, void *context, int n_tasks) {
    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (int i = 0; i < n_tasks; i++) task(context, i, 0);
        return;
    }
    announce(pool, task, context, n_tasks);
    work(pool, 0);
    wait_for_finish(pool);
}
