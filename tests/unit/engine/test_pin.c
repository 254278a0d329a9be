// SPDX-License-Identifier: Apache-2.0
// Engines with bound threads: the same logits, a caller that is on one core while it computes and
// has its own mask before and after, and a plan that says what happened.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "../../support/model_folder.h"
#include "engine/engine.h"

static const wb_shape shape = {.n_layers = 2,
                               .d_model = 48,
                               .n_heads = 3,
                               .d_head = 16,
                               .d_ff = 96,
                               .vocab_size = 80,
                               .max_positions = 40,
                               .n_labels = 2,
                               .max_length = 40,
                               .activation = WB_GELU};
enum { N_TEXTS = 300 };

typedef struct fixture {
    char dir[64];
    wb_model *model;
    wb_text texts[N_TEXTS];
    float want[N_TEXTS * 2];
} fixture;

static wb_engine *open_engine(const fixture *f, int n_threads, int pin) {
    wb_options options = wb_default_options();
    options.n_threads = n_threads;
    options.token_budget = 256;
    options.pin = pin;
    wb_engine *engine;
    wb_error err;
    if (wb_engine_open(&engine, f->model, &options, &err)) fail_msg("%s", err.message);
    return engine;
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    strcpy(f->dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f->dir, &shape);
    if (wb_model_open(&f->model, f->dir, NULL)) return 1;
    for (int i = 0; i < N_TEXTS; i++)
        f->texts[i] = (wb_text){"a b c w60 w61 w62 w63 d e f", 27, 0, 0};
    wb_engine *engine = open_engine(f, 1, 0);
    assert_string_equal(wb_engine_plan(engine)->pinning, "");
    if (wb_classify(engine, f->texts, N_TEXTS, f->want, NULL)) return 1;
    wb_engine_close(engine);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    wb_model_close(f->model);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static cpu_set_t mask_of(pid_t thread) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    (void)sched_getaffinity(thread, sizeof mask, &mask);
    return mask;
}

// A caller at work, for another thread to look at.
typedef struct caller {
    const fixture *f;
    wb_engine *engine;
    atomic_int thread;
    atomic_bool is_enough;
    bool is_right;
} caller;

static void *call_until_seen(void *argument) {
    caller *c = argument;
    float logits[N_TEXTS * 2];
    const cpu_set_t before = mask_of(0);
    c->is_right = true;
    atomic_store(&c->thread, gettid());
    while (!atomic_load(&c->is_enough)) {
        c->is_right &= wb_classify(c->engine, c->f->texts, N_TEXTS, logits, NULL) == WB_OK;
        c->is_right &= memcmp(logits, c->f->want, sizeof logits) == 0;
        const cpu_set_t after = mask_of(0);
        c->is_right &= CPU_EQUAL(&after, &before);
    }
    return NULL;
}

static void test_caller(void **state) {
    const fixture *f = *state;
    const cpu_set_t own = mask_of(0);
    caller c = {.f = f, .engine = open_engine(f, CPU_COUNT(&own) < 2 ? 1 : 2, 1)};
    const char *pinning = wb_engine_plan(c.engine)->pinning;
    assert_int_equal(strncmp(pinning, "cpus ", 5), 0);
    const size_t first = strtoul(pinning + 5, NULL, 10);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_until_seen, &c), 0);
    bool was_held = false;
    for (int i = 0; i < 20000 && !was_held; i++) {
        usleep(200);
        if (!atomic_load(&c.thread)) continue;
        const cpu_set_t now = mask_of(atomic_load(&c.thread));
        was_held = CPU_COUNT(&now) == 1 && CPU_ISSET(first, &now);
    }
    atomic_store(&c.is_enough, true);
    pthread_join(thread, NULL);
    assert_true(was_held);
    assert_true(c.is_right);
    wb_engine_close(c.engine);
}

// More threads than the machine has: they run, unbound, and the plan says so.
static void test_too_many(void **state) {
    const fixture *f = *state;
    const cpu_set_t before = mask_of(0);
    wb_engine *engine = open_engine(f, CPU_COUNT(&before) + 1, 1);
    float logits[N_TEXTS * 2];
    assert_non_null(strstr(wb_engine_plan(engine)->pinning, "not pinned: "));
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, logits, NULL), WB_OK);
    assert_memory_equal(logits, f->want, sizeof logits);
    wb_engine_close(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caller),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
