// SPDX-License-Identifier: Apache-2.0
// A counter's beat, learned from steps that were watched with an error each.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"
#include "energy/phase.h"

static const double BEAT_S = 0.09995;

static double draw(wb_random *random, double width) {
    return width * (wb_random_unit(random) - 0.5);
}

// Watches n steps from step first on, each known to 5 ms.
static void watch(wb_phase *phase, wb_random *random, int first, int n) {
    for (int i = first; i < first + n; i++)
        wb_phase_see(phase, 0.1, 7.0 + i * BEAT_S + draw(random, 0.005), 0.005 / sqrt(12.0));
}

static void test_learns_the_beat(void **state) {
    (void)state;
    int n_outside = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        wb_random random = {.state = seed};
        wb_phase phase = {0};
        double edge_s, error_s;
        watch(&phase, &random, 0, 20);
        // 2 s later, in the middle between two steps.
        assert_true(wb_phase_latest(&phase, 7.0 + 40.5 * BEAT_S, &edge_s, &error_s));
        assert_true(error_s < 0.005);
        if (fabs(edge_s - (7.0 + 40.0 * BEAT_S)) > 2.0 * error_s) n_outside++;
        // One more step, far away, and the interval is five times as fine.
        const double before_s = phase.interval_error_s;
        watch(&phase, &random, 119, 1);
        assert_true(phase.interval_error_s < 0.2 * before_s);
        assert_true(fabs(phase.interval_s - BEAT_S) < 4.0 * phase.interval_error_s);
    }
    assert_true(n_outside <= 20);  // 5 % are expected
}

static void test_says_nothing_near_a_step(void **state) {
    (void)state;
    wb_random random = {.state = 3};
    wb_phase phase = {0};
    double edge_s, error_s;
    assert_false(wb_phase_latest(&phase, 1.0, &edge_s, &error_s));
    watch(&phase, &random, 0, 20);
    assert_false(wb_phase_latest(&phase, 7.0 + 40.0 * BEAT_S - 0.0002, &edge_s, &error_s));
    assert_false(wb_phase_latest(&phase, 7.0 + 40.0 * BEAT_S, &edge_s, &error_s));
    assert_false(wb_phase_latest(&phase, 7.0 + 40.0 * BEAT_S + 0.003, &edge_s, &error_s));
    // After a minute without a step that was watched, nothing is known any more.
    assert_false(wb_phase_latest(&phase, 67.0 + 0.5 * BEAT_S, &edge_s, &error_s));
}

static void test_begins_anew_when_the_beat_changes(void **state) {
    (void)state;
    wb_random random = {.state = 3};
    wb_phase phase = {0};
    watch(&phase, &random, 0, 20);
    wb_phase_see(&phase, 0.1, 7.0 + 24.5 * BEAT_S, 0.0015);  // half a beat off
    assert_true(phase.base_s == phase.edge_s && phase.edge_s == 7.0 + 24.5 * BEAT_S);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns_the_beat),
        cmocka_unit_test(test_says_nothing_near_a_step),
        cmocka_unit_test(test_begins_anew_when_the_beat_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
