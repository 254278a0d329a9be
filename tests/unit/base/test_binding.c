// SPDX-License-Identifier: Apache-2.0
// Threads bound to hardware threads, seen by the tasks that run on them: each worker on its own,
// the caller only while it is held, and nobody where the system refuses one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

enum { N_THREADS = 4, N_TASKS = 400 };

typedef struct sightings {
    cpu_set_t masks[N_THREADS];
    int n_seen[N_THREADS];
} sightings;

static void see_mask(void *context, int task, int worker) {
    (void)task;
    sightings *s = context;
    if (sched_getaffinity(0, sizeof *s->masks, &s->masks[worker])) return;
    s->n_seen[worker]++;
    usleep(50);  // so that no worker takes all tasks
}

static void look(sightings *s, wb_pool *pool) {
    *s = (sightings){.n_seen = {0}};
    wb_pool_run(pool, see_mask, s, N_TASKS);
}

static cpu_set_t own_mask(void) {
    cpu_set_t mask;
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    return mask;
}

// cpus[N_THREADS] <- hardware threads of the mask, again from the first where they run out.
static int list_cpus(int cpus[N_THREADS]) {
    const cpu_set_t mask = own_mask();
    int n = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && n < N_THREADS; cpu++)
        if (CPU_ISSET((size_t)cpu, &mask)) cpus[n++] = cpu;
    for (int i = n; i < N_THREADS; i++) cpus[i] = cpus[i - n];
    return n;
}

static void test_workers(void **state) {
    (void)state;
    const cpu_set_t before = own_mask();
    int cpus[N_THREADS];
    list_cpus(cpus);
    wb_pool *pool;
    sightings s;
    assert_int_equal(wb_pool_open(&pool, N_THREADS, NULL), WB_OK);
    assert_int_equal(wb_pool_bind(pool, cpus, NULL), WB_OK);
    look(&s, pool);
    for (int i = 1; i < N_THREADS; i++) {
        if (s.n_seen[i] == 0) continue;  // took no task
        assert_int_equal(CPU_COUNT(&s.masks[i]), 1);
        assert_true(CPU_ISSET((size_t)cpus[i], &s.masks[i]));
    }
    assert_true(s.n_seen[0] > 0 && s.n_seen[1] + s.n_seen[2] + s.n_seen[3] > 0);
    assert_true(CPU_EQUAL(&s.masks[0], &before));  // the caller is nobody's to move
    wb_pool_close(pool);
}

static void test_refused(void **state) {
    (void)state;
    const cpu_set_t before = own_mask();
    static const int nowhere[] = {CPU_SETSIZE - 1, -1, 1 << 20};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        int cpus[N_THREADS];
        list_cpus(cpus);
        cpus[N_THREADS - 1] = nowhere[i];
        wb_pool *pool;
        wb_error err;
        sightings s;
        assert_int_equal(wb_pool_open(&pool, N_THREADS, NULL), WB_OK);
        assert_int_equal(wb_pool_bind(pool, cpus, &err), WB_ERR_REFUSED);
        look(&s, pool);
        for (int j = 0; j < N_THREADS; j++)
            if (s.n_seen[j]) assert_true(CPU_EQUAL(&s.masks[j], &before));
        wb_pool_close(pool);
    }
}

static void test_caller(void **state) {
    (void)state;
    const cpu_set_t before = own_mask();
    int cpus[N_THREADS];
    const int n = list_cpus(cpus);
    wb_binding *binding;
    assert_int_equal(wb_binding_open(&binding, cpus[n - 1], NULL), WB_OK);
    for (int round = 0; round < 2; round++) {
        assert_true(wb_binding_hold(binding));
        assert_false(wb_binding_hold(binding));  // who comes second does not release
        const cpu_set_t held = own_mask();
        assert_int_equal(CPU_COUNT(&held), 1);
        assert_true(CPU_ISSET((size_t)cpus[n - 1], &held));
        wb_binding_release(binding);
        const cpu_set_t after = own_mask();
        assert_true(CPU_EQUAL(&after, &before));
    }
    wb_binding_close(binding);
    // A hardware thread that is not there: nothing moves, nothing has to be given back.
    assert_int_equal(wb_binding_open(&binding, CPU_SETSIZE - 1, NULL), WB_OK);
    assert_false(wb_binding_hold(binding));
    const cpu_set_t after = own_mask();
    assert_true(CPU_EQUAL(&after, &before));
    wb_binding_close(binding);
    assert_false(wb_binding_hold(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
