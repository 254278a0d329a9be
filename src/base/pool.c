// SPDX-License-Identifier: Apache-2.0
// A team of threads that takes tasks off a shared counter. A run is announced by a
// generation number; workers sleep on a condition between runs, and the caller
// works as worker 0.
#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"

typedef struct worker {
    wb_pool *pool;
    int index;
    pthread_t thread;
} worker;

struct wb_pool {
    pthread_mutex_t lock;
    pthread_cond_t started, finished;
    int n_threads, n_started;  // n_started: threads that exist, for a half-opened pool
    worker *workers;
    // Of the run in progress; written under the lock before generation moves on.
    wb_task *task;
    void *context;
    int n_tasks, n_working;
    atomic_int next_task;
    atomic_uint generation;
    bool is_closing;
};

// Spinning covers what a futex wake-up costs, 5 to 10 us here, and no more: a loop of
// pause instructions takes about 40 cycles each.
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

// Returns false when the pool closes.
static bool wait_for_run(wb_pool *pool, unsigned seen) {
    for (int i = 0;
         i < SPINS && atomic_load_explicit(&pool->generation, memory_order_acquire) == seen; i++)
        pause_briefly();
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->generation) == seen && !pool->is_closing)
        pthread_cond_wait(&pool->started, &pool->lock);
    const bool goes_on = !pool->is_closing;
    pthread_mutex_unlock(&pool->lock);
    return goes_on;
}

static void *worker_main(void *argument) {
    const worker *self = argument;
    wb_pool *pool = self->pool;
    for (unsigned seen = 0; wait_for_run(pool, seen); seen++) {
        work(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->n_working == 0) pthread_cond_signal(&pool->finished);
        pthread_mutex_unlock(&pool->lock);
    }
    return NULL;
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
    pthread_mutex_lock(&pool->lock);
    pool->is_closing = true;
    pthread_cond_broadcast(&pool->started);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->started);
    pthread_mutex_destroy(&pool->lock);
    wb_free(pool->workers);
    wb_free(pool);
}

int wb_pool_threads(const wb_pool *pool) {
    return pool->n_threads;
}

void wb_pool_run(wb_pool *pool, wb_task *task, void *context, int n_tasks) {
    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (int i = 0; i < n_tasks; i++) task(context, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->context = context;
    pool->n_tasks = n_tasks;
    pool->n_working = pool->n_threads - 1;
    atomic_store(&pool->next_task, 0);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->started);
    pthread_mutex_unlock(&pool->lock);
    work(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->n_working > 0) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
