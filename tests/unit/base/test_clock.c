// SPDX-License-Identifier: Apache-2.0
// Clocks: never backwards, sleeping takes as long as asked and costs no processor time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static void test_never_backwards(void **state) {
    (void)state;
    uint64_t last_ns = wb_clock_ns(), last_process_ns = wb_clock_process_ns();
    for (int i = 0; i < 10000; i++) {
        const uint64_t now_ns = wb_clock_ns(), process_ns = wb_clock_process_ns();
        assert_true(now_ns >= last_ns && process_ns >= last_process_ns);
        last_ns = now_ns;
        last_process_ns = process_ns;
    }
}

static void test_sleep(void **state) {
    (void)state;
    const uint64_t start_ns = wb_clock_ns(), start_process_ns = wb_clock_process_ns();
    wb_sleep_ns(30000000);
    assert_true(wb_clock_ns() - start_ns >= 30000000);
    assert_true(wb_clock_process_ns() - start_process_ns < 10000000);
    wb_sleep_ns(0);
}

static void test_process_time_counts_work(void **state) {
    (void)state;
    const uint64_t start_ns = wb_clock_process_ns();
    wb_random random = {1};
    for (int i = 0; i < 20000000; i++) wb_random_next(&random);
    assert_int_not_equal(random.state, 1);
    assert_true(wb_clock_process_ns() > start_ns + 1000000);  // 20 million steps in 1 ms: no
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_backwards),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_process_time_counts_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
