// SPDX-License-Identifier: Apache-2.0
// GLUE's scores against values of scikit-learn 1.9.1 (accuracy, f1, matthews_corrcoef) and scipy
// 1.17.1 (pearsonr, spearmanr) on the same numbers, and what an interval must satisfy.
#include "glue/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.12f, expected %.12f within %g", value, expected, tolerance);
}

static const double truth12[] = {1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1};
static const double guess12[] = {1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1};

static void test_two_labels(void **state) {
    (void)state;
    glue_scores s;
    wb_error err;
    assert_int_equal(glue_score(&s, glue_task_find("cola"), guess12, truth12, 12, &err), WB_OK);
    assert_near(s.headline, 0.47809144373375745, 1e-12);
    assert_near(s.matthews, 0.47809144373375745, 1e-12);
    assert_near(s.accuracy, 0.75, 1e-12);
    assert_near(s.f1, 0.8, 1e-12);
    assert_true(isnan(s.pearson) && isnan(s.spearman));
    assert_int_equal(glue_score(&s, glue_task_find("mrpc"), guess12, truth12, 12, &err), WB_OK);
    assert_near(s.headline, (0.75 + 0.8) / 2.0, 1e-12);
    assert_int_equal(glue_score(&s, glue_task_find("rte"), guess12, truth12, 12, &err), WB_OK);
    assert_near(s.headline, 0.75, 1e-12);
}

static void test_three_labels(void **state) {
    (void)state;
    const double truth[] = {0, 1, 2, 2, 1, 0}, guess[] = {0, 2, 2, 1, 1, 0};
    glue_scores s;
    assert_int_equal(glue_score(&s, glue_task_find("mnli"), guess, truth, 6, NULL), WB_OK);
    assert_near(s.headline, 4.0 / 6.0, 1e-12);
    assert_true(isnan(s.f1) && isnan(s.matthews));
}

// Ties on both sides: ranks are means.
static void test_correlation(void **state) {
    (void)state;
    const double guess[] = {0.5, 1.0, 1.0, 2.5, 3.0, 4.5, 4.5, 4.5, 5.0, 0.0};
    const double truth[] = {0.0, 1.5, 1.0, 2.0, 4.0, 3.5, 5.0, 3.5, 4.75, 0.25};
    glue_scores s;
    assert_int_equal(glue_score(&s, glue_task_find("stsb"), guess, truth, 10, NULL), WB_OK);
    assert_near(s.pearson, 0.9373244955012753, 1e-12);
    assert_near(s.spearman, 0.9013032569427506, 1e-12);
    assert_near(s.headline, (s.pearson + s.spearman) / 2.0, 1e-12);
    assert_true(isnan(s.accuracy));
}

// One label only, in truth or in the guesses: 0, never a division by it.
static void test_degenerate(void **state) {
    (void)state;
    const double ones[] = {1, 1, 1, 1}, mixed[] = {0, 1, 0, 1}, zeros[] = {0, 0, 0, 0};
    glue_scores s;
    assert_int_equal(glue_score(&s, glue_task_find("cola"), ones, mixed, 4, NULL), WB_OK);
    assert_near(s.matthews, 0.0, 0.0);
    assert_int_equal(glue_score(&s, glue_task_find("mrpc"), zeros, zeros, 4, NULL), WB_OK);
    assert_near(s.f1, 0.0, 0.0);
    assert_near(s.headline, 0.5, 0.0);
    assert_int_equal(glue_score(&s, glue_task_find("stsb"), ones, mixed, 4, NULL), WB_OK);
    assert_near(s.headline, 0.0, 0.0);
    const double not_numbers[] = {NAN, 1, 2, 3};
    assert_int_equal(glue_score(&s, glue_task_find("stsb"), not_numbers, mixed, 4, NULL), WB_OK);
    assert_true(isnan(s.headline));
}

enum { N = 2000 };

// Guesses that are right with probability `right`, against labels of a fair coin.
static void toss(double *guess, double *truth, double right, uint64_t seed) {
    wb_random random = {seed};
    for (int i = 0; i < N; i++) {
        truth[i] = wb_random_unit(&random) < 0.5;
        guess[i] = wb_random_unit(&random) < right ? truth[i] : 1.0 - truth[i];
    }
}

// The interval of an accuracy is the binomial's: 1.96 standard errors either way.
static void test_interval_of_accuracy(void **state) {
    (void)state;
    static double guess[N], truth[N];
    toss(guess, truth, 0.8, 7);
    glue_interval i, again, other;
    const glue_task *task = glue_task_find("sst2");
    assert_int_equal(glue_bootstrap(&i, task, guess, truth, N, 1, NULL), WB_OK);
    const double error = sqrt(i.value * (1.0 - i.value) / N);
    assert_near(i.value, 0.8, 4.0 * error);
    // 1000 resamples place a percentile within about a tenth of its distance.
    assert_near(i.low, i.value - 1.96 * error, 0.3 * error);
    assert_near(i.high, i.value + 1.96 * error, 0.3 * error);
    assert_int_equal(glue_bootstrap(&again, task, guess, truth, N, 1, NULL), WB_OK);
    assert_memory_equal(&i, &again, sizeof i);
    assert_int_equal(glue_bootstrap(&other, task, guess, truth, N, 2, NULL), WB_OK);
    assert_true(other.low != i.low || other.high != i.high);
}

// Weighted ranks of a resample equal those of the list written out.
static void test_interval_of_correlation(void **state) {
    (void)state;
    static double guess[N], truth[N];
    wb_random random = {3};
    for (int i = 0; i < N; i++) {
        truth[i] = floor(26.0 * wb_random_unit(&random)) / 5.0;
        guess[i] = truth[i] + 2.0 * wb_random_unit(&random);
    }
    glue_interval i;
    assert_int_equal(glue_bootstrap(&i, glue_task_find("stsb"), guess, truth, N, 1, NULL), WB_OK);
    assert_true(i.low < i.value && i.value < i.high);
    // Fisher's transformation: a standard error of 1 / sqrt(n - 3) in atanh(r). The interval
    // of uniform noise is narrower than that of the normal noise it assumes, never 2 times wider.
    const double expected = 1.96 * (1.0 - i.value * i.value) / sqrt(N - 3.0);
    assert_true(i.high - i.low < 4.0 * expected && i.high - i.low > 0.5 * expected);
}

// Two guessers that differ in 40 of 2000 examples, all to one side: their single intervals
// overlap widely, the paired one tells them apart. Where the 40 go both ways, it does not.
static void test_paired(void **state) {
    (void)state;
    static double guess[N], other[N], truth[N];
    toss(guess, truth, 0.8, 11);
    const glue_task *task = glue_task_find("sst2");
    memcpy(other, guess, sizeof other);
    int n_changed = 0;
    for (int i = 0; i < N && n_changed < 40; i++)
        if (other[i] == truth[i]) other[i] = 1.0 - truth[i], n_changed++;
    glue_interval single, worse, difference;
    assert_int_equal(glue_bootstrap(&single, task, guess, truth, N, 1, NULL), WB_OK);
    assert_int_equal(glue_bootstrap(&worse, task, other, truth, N, 1, NULL), WB_OK);
    assert_true(worse.high > single.low);
    assert_int_equal(glue_compare(&difference, task, other, guess, truth, N, 1, NULL), WB_OK);
    assert_near(difference.value, -0.02, 1e-12);
    assert_true(difference.high < 0.0);
    memcpy(other, guess, sizeof other);
    for (int i = 0, right = 0, wrong = 0; i < N; i++) {
        int *count = other[i] == truth[i] ? &right : &wrong;
        if ((*count)++ < 20) other[i] = 1.0 - other[i];
    }
    assert_int_equal(glue_compare(&difference, task, other, guess, truth, N, 1, NULL), WB_OK);
    assert_true(difference.low < 0.0 && difference.high > 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_labels),
        cmocka_unit_test(test_three_labels),
        cmocka_unit_test(test_correlation),
        cmocka_unit_test(test_degenerate),
        cmocka_unit_test(test_interval_of_accuracy),
        cmocka_unit_test(test_interval_of_correlation),
        cmocka_unit_test(test_paired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
