// SPDX-License-Identifier: Apache-2.0
// Rounding to e4m3 against the list of all its numbers: the nearest, of two the even one,
// saturated.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/base.h"
#include "engine/eighth.h"

// The number with these 7 bits; 0x7f is NaN.
static double value_of(int code) {
    const int exponent = code >> 3, fraction = code & 7;
    return exponent == 0 ? ldexp(fraction, -9) : ldexp(8 + fraction, exponent - 10);
}

static float nearest(float x) {
    const double size = fabs((double)x);
    int best = 0;
    for (int code = 1; code < 0x7f; code++) {
        const double distance = fabs(value_of(code) - size), least = fabs(value_of(best) - size);
        if (distance < least || (distance == least && code % 2 == 0)) best = code;
    }
    return copysignf((float)value_of(best), x);
}

static void test_numbers(void **state) {
    (void)state;
    assert_true(value_of(0x7e) == 448.0 && value_of(8) == 0x1p-6 && value_of(1) == 0x1p-9);
    for (int code = 0; code < 0x7f; code++) {
        const float x = (float)value_of(code),
                    next = (float)value_of(code < 0x7e ? code + 1 : code);
        const float tie = (x + next) / 2.0f;
        const float values[] = {x, tie, nextafterf(tie, 0.0f), nextafterf(tie, 1e9f)};
        for (int i = 0; i < 4; i++) {
            assert_true(wb_round_e4m3(values[i]) == nearest(values[i]));
            assert_true(wb_round_e4m3(-values[i]) == -nearest(values[i]));
        }
    }
}

static void test_random(void **state) {
    (void)state;
    wb_random random = {.state = 5};
    for (int i = 0; i < 100000; i++) {
        const float x =
            ldexpf((float)wb_random_unit(&random) - 0.5f, (int)wb_random_below(&random, 30) - 15);
        assert_true(wb_round_e4m3(x) == nearest(x));
    }
    assert_true(wb_round_e4m3(1e30f) == 448.0f && wb_round_e4m3(-INFINITY) == -448.0f);
    assert_true(isnan(wb_round_e4m3(NAN)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
