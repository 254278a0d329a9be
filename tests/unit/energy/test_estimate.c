// SPDX-License-Identifier: Apache-2.0
// The arithmetic between points and an interval, on numbers one can check by hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "energy/meter.h"

static bool is_near(double got, double want, double allowed) {
    if (fabs(got - want) <= allowed) return true;
    print_message("got %.9g, want %.9g +- %g\n", got, want, allowed);
    return false;
}

static void test_student_t(void **state) {
    (void)state;
    assert_true(is_near(wb_student_t(1), 12.706, 5e-4));
    assert_true(is_near(wb_student_t(4), 2.776, 5e-4));
    assert_true(is_near(wb_student_t(30), 2.042, 5e-4));
    // Beyond the table: values of the same handbook.
    assert_true(is_near(wb_student_t(31), 2.040, 6e-4));
    assert_true(is_near(wb_student_t(60), 2.000, 6e-4));
    assert_true(is_near(wb_student_t(100), 1.984, 6e-4));
    assert_true(is_near(wb_student_t(1000000), 1.960, 6e-4));
}

static void test_fit(void **state) {
    (void)state;
    const wb_point line[] = {{0.0, 5.0, 0}, {1.0, 12.0, 0}, {4.0, 33.0, 0}};
    assert_true(is_near(wb_fit_watts(line, 3), 7.0, 1e-12));
    // By hand: t 0 1 2, j 0 1 5: slope (2 * 5 - 2 * 0) / 2 / 2 = 2.5.
    const wb_point bent[] = {{0.0, 0.0, 0}, {1.0, 1.0, 0}, {2.0, 5.0, 0}};
    assert_true(is_near(wb_fit_watts(bent, 3), 2.5, 1e-12));
    // A counter with a large offset, hours in: the slope must not drown in it.
    const wb_point late[] = {{9000.0, 4e9, 0}, {9000.1, 4e9 + 20, 0}, {9000.2, 4e9 + 40, 0}};
    assert_true(is_near(wb_fit_watts(late, 3), 200.0, 1e-3));
}

static wb_window window_of(double joules, double seconds) {
    wb_window w = {.passes = 10,
                   .seconds = 10 * seconds,
                   .joules_per_pass = joules,
                   .seconds_per_pass = seconds,
                   .idle_w = 3.0,
                   .ticks = 20};
    memcpy(w.method, "measured", sizeof "measured");
    return w;
}

static void test_mean_and_interval(void **state) {
    (void)state;
    const wb_window windows[] = {window_of(10.0, 1.0), window_of(12.0, 2.0), window_of(14.0, 3.0)};
    wb_estimate e;
    wb_error err;
    assert_int_equal(wb_estimate_from_windows(windows, 3, &e, &err), WB_OK);
    // s = 2, standard error 2 / sqrt(3), t(2) = 4.303.
    const double half = 4.303 * 2.0 / sqrt(3.0);
    assert_int_equal(e.n_windows, 3);
    assert_true(is_near(e.joules, 12.0, 1e-12));
    assert_true(is_near(e.low, 12.0 - half, 1e-9));
    assert_true(is_near(e.high, 12.0 + half, 1e-9));
    assert_true(is_near(e.repeat_low, e.low, 0.0) && is_near(e.repeat_high, e.high, 0.0));
    assert_true(is_near(e.net_joules, 12.0 - 3.0 * 2.0, 1e-12));
    assert_true(is_near(e.seconds, 2.0, 1e-12));
    assert_true(is_near(e.seconds_high - e.seconds, 4.303 * 1.0 / sqrt(3.0), 1e-9));
    assert_true(is_near(e.measured_s, 60.0, 1e-9));
    assert_string_equal(e.method, "measured");
}

static void test_interval_is_never_finer_than_the_counter(void **state) {
    (void)state;
    wb_window windows[] = {window_of(10.0, 1.0), window_of(10.0, 1.0), window_of(10.0, 1.0),
                           window_of(10.0, 1.0)};
    for (int i = 0; i < 4; i++) windows[i].joules_uncertainty = 0.5;
    wb_estimate e;
    assert_int_equal(wb_estimate_from_windows(windows, 4, &e, NULL), WB_OK);
    assert_true(is_near(e.high - e.joules, 0.5 / 2.0, 1e-12));
    assert_int_equal(wb_estimate_from_windows(windows, 1, &e, NULL), WB_OK);
    assert_true(is_near(e.low, 9.5, 1e-12) && is_near(e.high, 10.5, 1e-12));
}

static void test_net_and_low_stay_positive(void **state) {
    (void)state;
    wb_window windows[] = {window_of(1.0, 1.0), window_of(9.0, 1.0)};
    windows[0].idle_w = windows[1].idle_w = 50.0;
    wb_estimate e;
    assert_int_equal(wb_estimate_from_windows(windows, 2, &e, NULL), WB_OK);
    assert_true(e.net_joules == 0.0 && e.low == 0.0);
}

static void test_one_modelled_window_makes_all_modelled(void **state) {
    (void)state;
    wb_window windows[] = {window_of(10.0, 1.0), window_of(10.0, 1.0)};
    memcpy(windows[1].method, "modelled", sizeof "modelled");
    wb_estimate e;
    assert_int_equal(wb_estimate_from_windows(windows, 2, &e, NULL), WB_OK);
    assert_string_equal(e.method, "modelled");
    assert_true(is_near(e.low, 5.0, 1e-12) && is_near(e.high, 20.0, 1e-12));
    assert_true(is_near(e.repeat_low, 10.0, 1e-12) && is_near(e.repeat_high, 10.0, 1e-12));
}

static void test_flags_are_united(void **state) {
    (void)state;
    wb_window windows[] = {window_of(10.0, 1.0), window_of(10.0, 1.0), window_of(10.0, 1.0)};
    strcpy(windows[0].flags, "wrapped");
    strcpy(windows[1].flags, "wrapped integrated-power");
    wb_estimate e;
    assert_int_equal(wb_estimate_from_windows(windows, 3, &e, NULL), WB_OK);
    assert_string_equal(e.flags, "wrapped integrated-power");
}

static void test_no_windows(void **state) {
    (void)state;
    wb_window windows[] = {window_of(10.0, 1.0), window_of(NAN, 1.0)};
    wb_estimate e;
    wb_error err;
    assert_int_equal(wb_estimate_from_windows(windows, 0, &e, &err), WB_ERR_ARGUMENT);
    assert_int_equal(wb_estimate_from_windows(windows, 2, &e, &err), WB_ERR_ARGUMENT);
    assert_true(e.n_windows == 0 && e.joules == 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_student_t),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_mean_and_interval),
        cmocka_unit_test(test_interval_is_never_finer_than_the_counter),
        cmocka_unit_test(test_net_and_low_stay_positive),
        cmocka_unit_test(test_one_modelled_window_makes_all_modelled),
        cmocka_unit_test(test_flags_are_united),
        cmocka_unit_test(test_no_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
