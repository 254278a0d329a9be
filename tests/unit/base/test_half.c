// SPDX-License-Identifier: Apache-2.0
// 16-bit floats: all 65,536 values of both formats by their definition, and rounding at, below and
// above every midpoint between neighbours.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "base/half.h"

typedef struct format {
    int exponent_bits, fraction_bits;
    float (*widen)(uint16_t x);
    uint16_t (*narrow)(float x);
} format;

static const format formats[] = {
    {.exponent_bits = 5, .fraction_bits = 10, .widen = wb_f16_to_f32, .narrow = wb_f16_from_f32},
    {.exponent_bits = 8, .fraction_bits = 7, .widen = wb_bf16_to_f32, .narrow = wb_bf16_from_f32},
};
enum { N_FORMATS = 2 };

// The value of bits as IEEE 754 defines it, in double: exact.
static double define(const format *f, uint16_t bits) {
    const int exponent_max = (1 << f->exponent_bits) - 1, bias = exponent_max / 2;
    const int exponent = bits >> f->fraction_bits & exponent_max;
    const int fraction = bits & ((1 << f->fraction_bits) - 1);
    const double sign = bits & 0x8000 ? -1.0 : 1.0;
    if (exponent == exponent_max) return fraction ? NAN : sign * INFINITY;
    const int implicit = exponent ? 1 << f->fraction_bits : 0;
    return sign * ldexp(implicit + fraction, (exponent ? exponent : 1) - bias - f->fraction_bits);
}

static void test_all_values_widen(void **state) {
    (void)state;
    for (int i = 0; i < N_FORMATS; i++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            const double expected = define(&formats[i], (uint16_t)bits);
            const float got = formats[i].widen((uint16_t)bits);
            if (isnan(expected)) {
                assert_true(isnan(got));
            } else {
                assert_true((double)got == expected);
                assert_true(!signbit(got) == !signbit(expected));
            }
        }
}

static void test_all_values_return(void **state) {
    (void)state;
    for (int i = 0; i < N_FORMATS; i++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            const float wide = formats[i].widen((uint16_t)bits);
            const uint16_t back = formats[i].narrow(wide);
            if (isnan(wide))
                assert_true(isnan(formats[i].widen(back)));
            else
                assert_int_equal(back, bits);
        }
}

// Between every value and its upper neighbour: the midpoint goes to the even one, one f32 step
// beside it to the nearer one. The neighbour of the largest value is infinity, reached from half a
// step above, as if the exponent went on.
static void test_rounding_at_midpoints(void **state) {
    (void)state;
    for (int i = 0; i < N_FORMATS; i++) {
        const format *f = &formats[i];
        const uint16_t infinity = (uint16_t)(((1 << f->exponent_bits) - 1) << f->fraction_bits);
        for (uint16_t low = 0; low < infinity; low++) {
            const uint16_t high = (uint16_t)(low + 1);
            const double a = define(f, low);
            const double b =
                high < infinity ? define(f, high) : 2 * a - define(f, (uint16_t)(low - 1));
            const float middle = (float)((a + b) / 2);
            const uint16_t even = low % 2 ? high : low;
            for (int negative = 0; negative < 2; negative++) {
                const uint16_t sign = negative ? 0x8000 : 0;
                const float s = negative ? -1.0f : 1.0f;
                assert_int_equal(f->narrow(s * middle), even | sign);
                assert_int_equal(f->narrow(s * nextafterf(middle, 0.0f)), low | sign);
                assert_int_equal(f->narrow(s * nextafterf(middle, INFINITY)), high | sign);
            }
        }
    }
}

static void test_specials(void **state) {
    (void)state;
    static const uint32_t nans[] = {0x7f800001, 0x7fc00000, 0xff800001, 0xffffffff, 0x7f80ffff};
    for (int i = 0; i < N_FORMATS; i++) {
        for (size_t n = 0; n < sizeof nans / sizeof *nans; n++)
            assert_true(isnan(formats[i].widen(formats[i].narrow(wb_f32_from_bits(nans[n])))));
        assert_true(isinf(formats[i].widen(formats[i].narrow(INFINITY))));
        assert_true(formats[i].widen(formats[i].narrow(-INFINITY)) == -INFINITY);
        assert_int_equal(formats[i].narrow(-0.0f), 0x8000);
    }
    assert_int_equal(wb_f16_from_f32(1.0f), 0x3c00);
    assert_int_equal(wb_bf16_from_f32(1.0f), 0x3f80);
    assert_int_equal(wb_f16_from_f32(65519.0f), 0x7bff);
    assert_int_equal(wb_f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(wb_f16_from_f32(0x1p-25f), 0);
    assert_int_equal(wb_f16_from_f32(0x1.8p-25f), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_values_widen),
        cmocka_unit_test(test_all_values_return),
        cmocka_unit_test(test_rounding_at_midpoints),
        cmocka_unit_test(test_specials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
