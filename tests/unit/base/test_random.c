// SPDX-License-Identifier: Apache-2.0
// Random numbers: the published stream, uniform and within bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static void test_known_stream(void **state) {
    (void)state;
    // The first values of SplitMix64 from seed 1234567, as published with the reference code
    // (https://prng.di.unimi.it/splitmix64.c) and used by many ports as their test.
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u,
                                        16408922859458223821u};
    wb_random random = {1234567};
    for (int i = 0; i < 5; i++) assert_int_equal(wb_random_next(&random), expected[i]);
}

static void test_below_is_uniform(void **state) {
    (void)state;
    enum { BOUND = 6, DRAWS = 60000 };
    wb_random random = {1};
    int counts[BOUND] = {0};
    for (int i = 0; i < DRAWS; i++) {
        const uint64_t value = wb_random_below(&random, BOUND);
        assert_true(value < BOUND);
        counts[value]++;
    }
    // 10,000 expected, standard deviation sqrt(60000 * 5/36) = 91: five of them.
    for (int i = 0; i < BOUND; i++) assert_in_range(counts[i], 10000 - 457, 10000 + 457);
    for (int i = 0; i < 100; i++) assert_int_equal(wb_random_below(&random, 1), 0);
}

static void test_below_has_no_modulo_bias(void **state) {
    (void)state;
    // With bound 3 * 2^62, plain modulo would give the lower third twice as often: 1/2, not 1/3.
    const uint64_t third = (uint64_t)1 << 62;
    wb_random random = {2};
    int n_low = 0;
    for (int i = 0; i < 9000; i++) n_low += wb_random_below(&random, 3 * third) < third;
    assert_in_range(n_low, 3000 - 224, 3000 + 224);  // five standard deviations of 44.7
}

static void test_unit(void **state) {
    (void)state;
    wb_random random = {3};
    double sum = 0.0;
    for (int i = 0; i < 10000; i++) {
        const double x = wb_random_unit(&random);
        assert_true(x >= 0.0 && x < 1.0);
        sum += x;
    }
    assert_in_range((int)sum, 5000 - 145, 5000 + 145);  // sqrt(10000 / 12) = 28.9
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_stream),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_below_has_no_modulo_bias),
        cmocka_unit_test(test_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
