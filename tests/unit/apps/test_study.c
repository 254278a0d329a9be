// SPDX-License-Identifier: Apache-2.0
// The study's arithmetic and bookkeeping without a model: order of windows, components that
// sum to the whole, quantiles, which model runs which task, and a results.csv that survives.
#include "study/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "study/busy.h"
#include "study/select.h"
#include "study/store.h"

// Every round holds every cell once; rounds differ; over many rounds each place is fair.
static void test_windows(void **state) {
    (void)state;
    enum { CELLS = 5, ROUNDS = 5000 };
    static int order[CELLS * ROUNDS];
    int places[CELLS][CELLS] = {{0}};
    schedule_windows(order, ROUNDS, CELLS, 3);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned seen = 0;
        for (int i = 0; i < CELLS; i++) {
            const int cell = order[round * CELLS + i];
            assert_in_range(cell, 0, CELLS - 1);
            seen |= 1u << cell;
            places[cell][i]++;
        }
        assert_int_equal(seen, (1u << CELLS) - 1);
    }
    // 1000 each, standard deviation 28.
    for (int cell = 0; cell < CELLS; cell++)
        for (int i = 0; i < CELLS; i++) assert_in_range(places[cell][i], 860, 1140);
}

static void assert_sum(const schedule_parts *p, double whole_j) {
    const double sum = p->attention_j + p->ffn_j + p->embeddings_j + p->head_j + p->rest_j;
    assert_true(fabs(sum - whole_j) <= 1e-15 * whole_j * 4.0);
    assert_true(p->attention_j >= 0.0 && p->ffn_j >= 0.0 && p->embeddings_j >= 0.0 &&
                p->head_j >= 0.0 && p->rest_j >= 0.0);
}

static void test_split(void **state) {
    (void)state;
    schedule_parts p;
    schedule_split(&p, 100.0, 10.0, 3.0, 5.0, 0.5, 0.5);
    assert_true(fabs(p.attention_j - 30.0) < 1e-12 && fabs(p.ffn_j - 50.0) < 1e-12);
    assert_true(fabs(p.rest_j - 10.0) < 1e-12);
    assert_false(p.is_scaled_down);
    assert_sum(&p, 100.0);
    // More than the whole: scaled to it, and said.
    schedule_split(&p, 100.0, 10.0, 6.0, 5.0, 0.5, 1.0);
    assert_true(p.is_scaled_down);
    assert_true(fabs(p.attention_j - 48.0) < 1e-12 && p.rest_j == 0.0);
    assert_sum(&p, 100.0);
    schedule_split(&p, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    assert_sum(&p, 1.0);
    wb_random random = {5};
    for (int i = 0; i < 10000; i++) {
        const double whole = 1e3 * wb_random_unit(&random);
        schedule_split(&p, whole, wb_random_unit(&random), wb_random_unit(&random) / 2,
                       wb_random_unit(&random) / 2, wb_random_unit(&random) / 9,
                       wb_random_unit(&random) / 9);
        assert_sum(&p, whole);
    }
}

static void test_quantile(void **state) {
    (void)state;
    uint64_t values[200];
    for (int i = 0; i < 200; i++) values[i] = (uint64_t)(200 - i);
    assert_true(schedule_quantile(values, 200, 0.50) == 100.0);
    assert_true(schedule_quantile(values, 200, 0.99) == 198.0);
    assert_true(schedule_quantile(values, 1, 0.99) == 1.0);
    assert_true(isnan(schedule_quantile(values, 0, 0.5)));
}

// Two cores for ten seconds: 6 s ours, 5 s of others, the rest idle or waiting.
static void test_busy(void **state) {
    (void)state;
    const busy_reading before = busy_parse("cpu  100 0 50 1000 10 0 0 0 0 0\ncpu0 7", 100.0, 1.0);
    const busy_reading after = busy_parse("cpu  900 100 200 1800 110 5 5 40 77 0\n", 100.0, 7.0);
    double others_s = 0.0, cores_s = 0.0;
    busy_add(&before, &after, &others_s, &cores_s);
    assert_true(fabs(others_s - 5.0) < 1e-9);
    assert_true(fabs(cores_s - 20.0) < 1e-9);
    const busy_reading none = busy_parse("intr 1 2 3", 100.0, 0.0);
    assert_false(none.has_value);
    busy_add(&before, &none, &others_s, &cores_s);
    assert_true(fabs(others_s - 5.0) < 1e-9);
    assert_true(busy_read().has_value);
}

// ---- Selection --------------------------------------------------------------

typedef struct pairing {
    const char *words[3], *tasks[3];
    const char *expected;  // "sst2:DIR mnli:DIR", or NULL for a usage error
} pairing;

static const pairing pairings[] = {
    {{"m/distilbert-sst2"}, {NULL}, "sst2:m/distilbert-sst2"},
    {{"x/distilbert-base-uncased-finetuned-sst-2-english/"},
     {NULL},
     "sst2:x/distilbert-base-uncased-finetuned-sst-2-english/"},
    {{"distilbert-mnli"}, {NULL}, "mnli:distilbert-mnli mnli-mm:distilbert-mnli"},
    {{"distilbert-mnli"}, {"mnli-mm"}, "mnli-mm:distilbert-mnli"},
    {{"distilbert-base-uncased-CoLA", "bert_sts-b"},
     {"stsb", "cola"},
     "cola:distilbert-base-uncased-CoLA stsb:bert_sts-b"},
    {{"vertex"}, {NULL}, NULL},
    {{"vertex"}, {"rte"}, "rte:vertex"},
    {{"rte=vertex", "distilbert-qnli"}, {NULL}, "rte:vertex qnli:distilbert-qnli"},
    {{"distilbert-sst2"}, {"cola"}, "cola:distilbert-sst2"},
    {{"distilbert-sst2", "distilbert-mnli"}, {"cola"}, NULL},
    {{"distilbert-sst2"}, {"sst3"}, NULL},
    {{"a/sst2", "b/sst2"}, {NULL}, NULL},
    {{"a/sst2", "sst2=a/sst2"}, {NULL}, NULL},
};

static void test_pairs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pairings / sizeof *pairings; i++) {
        char words[3][96], *pointers[3];
        const char *items[3];
        int n_words = 0;
        app_list tasks = {items, 0};
        for (; n_words < 3 && pairings[i].words[n_words]; n_words++) {
            strcpy(words[n_words], pairings[i].words[n_words]);
            pointers[n_words] = words[n_words];
        }
        while (tasks.n_items < 3 && pairings[i].tasks[tasks.n_items]) {
            items[tasks.n_items] = pairings[i].tasks[tasks.n_items];
            tasks.n_items++;
        }
        study_pair pairs[STUDY_MAX_PAIRS];
        int n;
        const int code = study_select_pairs(pairs, &n, pointers, n_words, &tasks);
        assert_int_equal(code, pairings[i].expected ? -1 : EXIT_USAGE);
        char text[1024] = "";
        for (int k = 0; code < 0 && k < n; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s:%s", k ? " " : "",
                     pairs[k].task->name, pairs[k].dir);
        if (pairings[i].expected) assert_string_equal(text, pairings[i].expected);
    }
}

typedef struct choosing {
    const char *techniques[3], *protocols[3];
    const char *expected;
} choosing;

static const choosing choosings[] = {
    {{"baseline"}, {NULL}, "baseline"},
    {{"baseline", "bf16+packed"}, {NULL}, "baseline bf16+packed"},
    {{"baseline"}, {"packed"}, "baseline+packed"},
    {{"baseline"}, {"padded", "sorted"}, "baseline baseline+sorted"},
    {{"baseline+packed", "baseline"}, {"packed"}, "baseline+packed"},
    {{"f32-flash+sorted"}, {NULL}, "f32-flash+sorted"},
    {{"f64"}, {NULL}, NULL},
    {{"bf16+fast"}, {NULL}, NULL},
    {{"bf16"}, {"loose"}, NULL},
};

static void test_choices(void **state) {
    (void)state;
    study_choice choices[STUDY_MAX_CELLS];
    int n;
    for (size_t i = 0; i < sizeof choosings / sizeof *choosings; i++) {
        const char *technique_items[3], *protocol_items[3];
        app_list techniques = {technique_items, 0}, protocols = {protocol_items, 0};
        for (int k = 0; k < 3 && choosings[i].techniques[k]; k++)
            technique_items[techniques.n_items++] = choosings[i].techniques[k];
        for (int k = 0; k < 3 && choosings[i].protocols[k]; k++)
            protocol_items[protocols.n_items++] = choosings[i].protocols[k];
        const int code = study_select_choices(choices, &n, &techniques, &protocols);
        assert_int_equal(code, choosings[i].expected ? -1 : EXIT_USAGE);
        char text[1024] = "";
        for (int k = 0; code < 0 && k < n; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.60s", k ? " " : "",
                     choices[k].name);
        if (choosings[i].expected) assert_string_equal(text, choosings[i].expected);
    }
    const app_list none = {0};
    assert_int_equal(study_select_choices(choices, &n, &none, &none), -1);
    int n_techniques = 0;
    while (wb_technique_at(n_techniques)) n_techniques++;
    assert_int_equal(n, n_techniques);
    assert_string_equal(choices[0].name, "baseline");
}

// ---- The store --------------------------------------------------------------

static result_row make_row(const char *technique, double energy_j) {
    result_row row;
    result_row_clear(&row);
    strcpy(row.model, "m");
    strcpy(row.task, "sst2");
    strcpy(row.technique, technique);
    strcpy(row.status, "ok");
    row.energy_j = energy_j;
    row.examples = 8.0;
    row.windows = 3.0;
    return row;
}

static void remove_files(const char *dir, const char *const *names, int n) {
    for (int i = 0; i < n; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void test_store(void **state) {
    (void)state;
    char dir[] = "/tmp/test_study_XXXXXX", inner[64];
    assert_non_null(mkdtemp(dir));
    snprintf(inner, sizeof inner, "%s/a/b", dir);
    study_store store;
    wb_error err;
    result_row row = make_row("bf16", 1.0), other = make_row("mixed", 2.0);
    strcpy(row.run_id, "first-run");
    if (store_open(&store, inner, false, &err)) fail_msg("%s", err.message);
    assert_int_equal(store_put(&store, &row, NULL), WB_OK);
    strcpy(other.flags, "interrupted");
    assert_int_equal(store_put(&store, &other, NULL), WB_OK);
    row.energy_j = 3.0;
    assert_int_equal(store_put(&store, &row, NULL), WB_OK);
    assert_int_equal(store.table.n_rows, 2);
    store_close(&store);

    assert_int_equal(store_open(&store, inner, true, NULL), WB_OK);
    assert_string_equal(store.run_id, "first-run");
    assert_int_equal(store.table.n_rows, 2);
    const result_row *found = store_find(&store, &row);
    assert_non_null(found);
    assert_true(found->energy_j == 3.0);
    assert_null(store_find(&store, &other));  // interrupted: to be measured again
    row.windows = 4.0;
    assert_null(store_find(&store, &row));  // not what is asked for now
    // The same work on another device is another row.
    row.windows = 3.0;
    strcpy(row.device, "a GPU");
    assert_null(store_find(&store, &row));
    assert_int_equal(store_put(&store, &row, NULL), WB_OK);
    assert_int_equal(store.table.n_rows, 3);
    assert_string_equal(store_find(&store, &row)->device, "a GPU");
    store_close(&store);

    assert_int_equal(store_open(&store, inner, false, NULL), WB_OK);
    assert_int_equal(store.table.n_rows, 0);
    char aside[128];
    snprintf(aside, sizeof aside, "%s/results.csv.old", inner);
    assert_true(wb_file_exists(aside));
    store_close(&store);
    const char *const files[] = {"results.csv", "results.csv.old", "power.csv", "power.csv.old"};
    remove_files(inner, files, 4);
    snprintf(inner, sizeof inner, "%s/a", dir);
    rmdir(inner);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(store_open(&store, "/proc/nowhere", false, &err), WB_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),  cmocka_unit_test(test_split),
        cmocka_unit_test(test_quantile), cmocka_unit_test(test_busy),
        cmocka_unit_test(test_pairs),    cmocka_unit_test(test_choices),
        cmocka_unit_test(test_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
