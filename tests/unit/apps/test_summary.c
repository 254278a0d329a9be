// SPDX-License-Identifier: Apache-2.0
// What the report concludes from rows: which are compared, what is saved, what lies on the
// frontier, which technique is named. The numbers of tests/golden/report are made up so that every
// answer can be worked out by hand.
#include "report/summary.h"

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

static const char SAMPLE[] = WB_SOURCE_DIR "/tests/golden/report/results.csv";

// summary <- a file of these lines; the columns are enough to compare by.
static wb_status summarise(summary *s, const char *lines, wb_error *err) {
    char path[] = "/tmp/test_summary_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fprintf(file,
            "task,technique,energy_per_token_uj,score,utc,host,threads,packing,status,protocol\n%s",
            lines);
    fclose(file);
    const char *const paths[] = {path};
    const wb_status status = summary_open(s, paths, 1, err);
    unlink(path);
    return status;
}

static const entry *find_entry(const panel *p, const char *label) {
    for (int i = 0; i < p->n_entries; i++)
        if (!strcmp(p->entries[i].label, label)) return &p->entries[i];
    fail_msg("no entry %s", label);
    return NULL;
}

static void assert_near(double got, double want) {
    if (!(fabs(got - want) <= 1e-6 * fabs(want))) fail_msg("%.9g, not %.9g", got, want);
}

static void test_sample(void **state) {
    (void)state;
    summary s;
    wb_error err;
    const char *const paths[] = {SAMPLE};
    assert_int_equal(summary_open(&s, paths, 1, &err), WB_OK);
    assert_int_equal(s.n_panels, 2);
    assert_string_equal(s.panels[0].title, "SST-2");
    assert_string_equal(s.panels[1].title, "CoLA");
    assert_int_equal(s.panels[0].method, METHOD_MEASURED);
    assert_int_equal(s.panels[1].method, METHOD_MODELLED);
    assert_int_equal(s.method, METHOD_BOTH);
    assert_int_equal(s.power.n_samples, 20);
    for (int i = 0; i < 2; i++) {
        const panel *p = &s.panels[i];
        assert_int_equal(p->n_entries, 5);
        assert_int_equal(p->n_skipped, 2);
        assert_string_equal(p->reference->label, "baseline");
        // i8-dynamic is cheaper than flash, but keeps 95 % of the score only.
        assert_string_equal(p->choice->label, "flash+packed");
        assert_string_equal(p->padded_choice->label, "flash");
        assert_near(p->choice->saving, 8.0);
        // Both intervals are +-5 %: of joules in one panel, of their repetition in the other, where
        // joules are a guess by a factor of 2.
        const double half_width = sqrt(2.0) * log(1.05);
        assert_near(p->choice->saving_low, 8.0 * exp(-half_width));
        assert_near(p->choice->saving_high, 8.0 * exp(half_width));
        assert_near(find_entry(p, "flash")->component_uj[1], 1000.0);
        assert_true(find_entry(p, "baseline+packed")->is_frontier);
        assert_true(find_entry(p, "flash+packed")->is_frontier);
        assert_false(find_entry(p, "flash")->is_frontier);
        assert_false(find_entry(p, "baseline")->is_frontier);
    }
    summary_close(&s);
}

static void test_order_is_the_techniques(void **state) {
    (void)state;
    summary s;
    wb_error err;
    assert_int_equal(summarise(&s,
                               "sst2,i8-dynamic+packed,1,.5,,,,,,\nsst2,invented,1,.5,,,,,,\n"
                               "sst2,flash+sorted,1,.5,,,,,,\nsst2,flash,1,.5,,,,,,\n"
                               "sst2,baseline+packed,1,.5,,,,,,\nsst2,baseline,1,.5,,,,,,\n",
                               &err),
                     WB_OK);
    const char *const order[] = {"baseline",     "flash",           "invented",
                                 "flash+sorted", "baseline+packed", "i8-dynamic+packed"};
    for (int i = 0; i < 6; i++) assert_string_equal(s.panels[0].entries[i].label, order[i]);
    summary_close(&s);
}

static void test_newer_rows_replace(void **state) {
    (void)state;
    summary s;
    wb_error err;
    assert_int_equal(summarise(&s,
                               "sst2,flash,1,.5,2024-01-02,a,2,padded,ok,padded\n"
                               "sst2,flash,2,.5,2024-01-03,a,2,padded,ok,padded\n"
                               "sst2,flash,3,.5,2024-01-01,a,2,padded,ok,padded\n"
                               "sst2,flash,4,.5,2024-01-03,b,2,padded,ok,padded\n"
                               "sst2,flash,5,.5,2024-01-03,a,4,padded,ok,padded\n"
                               "sst2,flash,,,2024-01-02,a,,padded,skipped,padded\n",
                               &err),
                     WB_OK);
    assert_int_equal(s.n_replaced, 3);
    assert_int_equal(s.n_panels, 3);
    assert_string_equal(s.panels[0].title, "SST-2, a, 2 threads");
    assert_near(s.panels[0].entries[0].energy_uj, 2.0);
    assert_string_equal(s.panels[1].title, "SST-2, b, 2 threads");
    assert_string_equal(s.panels[2].title, "SST-2, a, 4 threads");
    summary_close(&s);
}

static void test_protocols_are_told_apart(void **state) {
    (void)state;
    summary s;
    wb_error err;
    assert_int_equal(summarise(&s,
                               "sst2,flash,1,.5,,,,padded,ok,padded\n"
                               "sst2,flash,2,.5,,,,packed,ok,packed\n",
                               &err),
                     WB_OK);
    assert_string_equal(s.panels[0].entries[0].label, "flash, padded");
    assert_string_equal(s.panels[0].entries[1].label, "flash, packed");
    assert_true(s.panels[0].entries[1].is_packed);
    summary_close(&s);
}

static void test_what_is_missing_stays_missing(void **state) {
    (void)state;
    summary s;
    wb_error err;
    assert_int_equal(summarise(&s,
                               "sst2,baseline,,.5,,,,,ok,\nsst2,flash,3,,,,,,ok,\n"
                               "rte,baseline,0,.5,,,,,ok,\nwnli,f16,,,,,,,skipped,\n",
                               &err),
                     WB_OK);
    assert_int_equal(s.n_panels, 3);
    const panel *p = &s.panels[0];
    assert_null(p->reference);  // its energy is not known
    assert_null(p->choice);
    assert_true(isnan(find_entry(p, "flash")->saving));
    assert_true(isnan(find_entry(p, "flash")->component_uj[0]));
    assert_false(find_entry(p, "flash")->is_frontier);
    assert_true(isnan(s.panels[1].entries[0].energy_uj));  // no joule at all is no measurement
    assert_int_equal(s.panels[2].n_entries, 0);
    assert_int_equal(s.panels[2].n_skipped, 1);
    summary_close(&s);
}

static void test_failures(void **state) {
    (void)state;
    summary s;
    wb_error err;
    assert_int_equal(summarise(&s, "", &err), WB_ERR_FORMAT);
    assert_int_equal(s.n_panels, 0);
    assert_int_equal(summarise(&s, "sst2,flash,x,,,,,,,\n", &err), WB_ERR_FORMAT);
    const char *const missing[] = {SAMPLE, "/nonexistent.csv"};
    assert_int_equal(summary_open(&s, missing, 2, &err), WB_ERR_IO);
    assert_null(s.table.rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_order_is_the_techniques),
        cmocka_unit_test(test_newer_rows_replace),
        cmocka_unit_test(test_protocols_are_told_apart),
        cmocka_unit_test(test_what_is_missing_stays_missing),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
