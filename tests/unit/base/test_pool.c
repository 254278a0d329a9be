// SPDX-License-Identifier: Apache-2.0
// The thread pool: every task runs once, on a worker that exists, and is seen by the caller when
// the run returns. Run under ThreadSanitizer too: the tests write without atomics on purpose.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>

#include "base/base.h"

enum { MAX_TASKS = 300, MAX_THREADS = 8 };

typedef struct tally {
    int n_threads;
    int runs_of[MAX_TASKS];  // plain ints: two workers on one task would be a data race
    int tasks_of[MAX_THREADS];
    int n_bad_workers;
} tally;

static void count_task(void *context, int task, int worker) {
    tally *t = context;
    if (worker < 0 || worker >= t->n_threads) {
        t->n_bad_workers++;
        return;
    }
    t->runs_of[task]++;
    t->tasks_of[worker]++;
}

static void test_every_task_runs_once(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        wb_pool *pool;
        assert_int_equal(wb_pool_open(&pool, n_threads, NULL), WB_OK);
        assert_int_equal(wb_pool_threads(pool), n_threads);
        static const int sizes[] = {0, 1, 2, 3, 7, 8, 9, MAX_TASKS};
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            tally t = {.n_threads = n_threads};
            wb_pool_run(pool, count_task, &t, sizes[s]);
            int n_tasks = 0;
            for (int i = 0; i < n_threads; i++) n_tasks += t.tasks_of[i];
            assert_int_equal(n_tasks, sizes[s]);
            assert_int_equal(t.n_bad_workers, 0);
            for (int i = 0; i < MAX_TASKS; i++) assert_int_equal(t.runs_of[i], i < sizes[s]);
            wb_pool_run_shares(pool, count_task, &t, sizes[s]);
            for (int i = 0; i < MAX_TASKS; i++) assert_int_equal(t.runs_of[i], 2 * (i < sizes[s]));
        }
        wb_pool_close(pool);
    }
}

// No worker gets a second task before all have one, so each must have begun with its own share.
typedef struct meeting {
    int n_threads;
    atomic_int n_there;
    int first_of[MAX_THREADS];
} meeting;

static void meet(void *context, int task, int worker) {
    meeting *m = context;
    m->first_of[worker] = task;
    atomic_fetch_add(&m->n_there, 1);
    while (atomic_load(&m->n_there) < m->n_threads) wb_sleep_ns(10000);
}

static void test_shares_begin_at_home(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        wb_pool *pool;
        assert_int_equal(wb_pool_open(&pool, n_threads, NULL), WB_OK);
        meeting m = {.n_threads = n_threads};
        wb_pool_run_shares(pool, meet, &m, n_threads);
        for (int i = 0; i < n_threads; i++) assert_int_equal(m.first_of[i], i);
        wb_pool_close(pool);
    }
}

static void test_shares_are_everything(void **state) {
    (void)state;
    for (int n_shares = 1; n_shares <= 7; n_shares++) {
        for (int n_tasks = 0; n_tasks <= 30; n_tasks++) {
            int at = 0;
            for (int i = 0; i < n_shares; i++) {
                int begin, end;
                wb_pool_cut(&begin, &end, n_tasks, i, n_shares);
                assert_int_equal(begin, at);
                assert_true(end - begin <= n_tasks / n_shares + 1);
                at = end;
            }
            assert_int_equal(at, n_tasks);
        }
    }
}

// Each task adds its own share to a sum that the next run reads: a run that returned early, or a
// worker that still held the last run's context, would lose some.
typedef struct chain {
    const int64_t *in;
    int64_t *out;
} chain;

static void add_one(void *context, int task, int worker) {
    (void)worker;
    const chain *c = context;
    c->out[task] = c->in[task] + 1;
}

static void test_many_small_runs(void **state) {
    (void)state;
    enum { N_RUNS = 3000, N_TASKS = 5 };
    for (int n_threads = 2; n_threads <= MAX_THREADS; n_threads += 3) {
        wb_pool *pool;
        assert_int_equal(wb_pool_open(&pool, n_threads, NULL), WB_OK);
        int64_t values[2][N_TASKS] = {{0}};
        for (int run = 0; run < N_RUNS; run++) {
            chain c = {.in = values[run % 2], .out = values[(run + 1) % 2]};
            wb_pool_run(pool, add_one, &c, N_TASKS);
        }
        for (int i = 0; i < N_TASKS; i++) assert_int_equal(values[N_RUNS % 2][i], N_RUNS);
        wb_pool_close(pool);
    }
}

static void test_runs_after_sleep(void **state) {
    (void)state;
    wb_pool *pool;
    assert_int_equal(wb_pool_open(&pool, 3, NULL), WB_OK);
    for (int round = 0; round < 5; round++) {
        wb_sleep_ns(2000000);  // long past the spinning: the workers are asleep
        tally t = {.n_threads = 3};
        wb_pool_run(pool, count_task, &t, 9);
        assert_int_equal(t.tasks_of[0] + t.tasks_of[1] + t.tasks_of[2], 9);
    }
    wb_pool_close(pool);
}

static void test_waiting_does_not_burn(void **state) {
    (void)state;
    wb_pool *pool;
    assert_int_equal(wb_pool_open(&pool, 4, NULL), WB_OK);
    wb_sleep_ns(20000000);  // threads start and fall asleep
    const uint64_t before_ns = wb_clock_process_ns();
    wb_sleep_ns(200000000);
    const uint64_t spent_ns = wb_clock_process_ns() - before_ns;
    wb_pool_close(pool);
    assert_true(spent_ns < 20000000);  // three spinning workers would take up to 600 ms
}

static void test_open_and_close(void **state) {
    (void)state;
    wb_error err;
    wb_pool *pool = (wb_pool *)&err;
    assert_int_equal(wb_pool_open(&pool, 0, &err), WB_ERR_ARGUMENT);
    assert_null(pool);
    assert_int_equal(err.status, WB_ERR_ARGUMENT);
    wb_pool_close(NULL);
    for (int i = 0; i < 50; i++) {  // closed before the workers have started to wait
        assert_int_equal(wb_pool_open(&pool, 4, &err), WB_OK);
        wb_pool_close(pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_runs_once),  cmocka_unit_test(test_many_small_runs),
        cmocka_unit_test(test_runs_after_sleep),      cmocka_unit_test(test_waiting_does_not_burn),
        cmocka_unit_test(test_open_and_close),        cmocka_unit_test(test_shares_begin_at_home),
        cmocka_unit_test(test_shares_are_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
