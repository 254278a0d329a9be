// SPDX-License-Identifier: Apache-2.0
// Widening is exact: all 65,536 patterns of f16 and bf16 from every alignment, against half.h,
// which test_half checks against the definition.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "format/checkpoint.h"

enum { N = 65536 };

static void check_dtype(wb_dtype dtype, float (*oracle)(uint16_t)) {
    uint8_t *stored = malloc(2 * N + 4);
    float *y = malloc(N * sizeof *y);
    assert_true(stored && y);
    for (size_t shift = 0; shift < 4; shift++) {
        for (uint32_t bits = 0; bits < N; bits++) {
            const uint16_t half = (uint16_t)bits;
            memcpy(stored + shift + 2 * (size_t)bits, &half, sizeof half);
        }
        const wb_tensor tensor = {.dtype = dtype, .data = stored + shift, .n_bytes = 2 * N};
        wb_tensor_widen(y, &tensor, 0, N);
        for (uint32_t bits = 0; bits < N; bits++)
            if (wb_f32_bits(y[bits]) != wb_f32_bits(oracle((uint16_t)bits)))
                fail_msg("pattern %04x becomes %08x", bits, wb_f32_bits(y[bits]));
    }
    free(stored);
    free(y);
}

static void test_f16(void **state) {
    (void)state;
    check_dtype(WB_DTYPE_F16, wb_f16_to_f32);
}

static void test_bf16(void **state) {
    (void)state;
    check_dtype(WB_DTYPE_BF16, wb_bf16_to_f32);
}

// A range is the same as the whole, and nothing is written beside it.
static void test_ranges(void **state) {
    (void)state;
    static const wb_dtype dtypes[] = {WB_DTYPE_F32, WB_DTYPE_F16, WB_DTYPE_BF16};
    enum { LENGTH = 100 };
    uint8_t stored[4 * LENGTH];
    for (size_t i = 0; i < sizeof stored; i++) stored[i] = (uint8_t)(i * 37 % 101);
    for (int d = 0; d < 3; d++) {
        const wb_tensor tensor = {.dtype = dtypes[d], .data = stored};
        float whole[LENGTH], part[LENGTH + 1];
        wb_tensor_widen(whole, &tensor, 0, LENGTH);
        for (size_t first = 0; first < LENGTH; first++) {
            for (size_t n = 0; n <= LENGTH - first; n += 7) {
                part[n] = 12345.0f;
                wb_tensor_widen(part, &tensor, first, n);
                assert_memory_equal(part, whole + first, n * sizeof *part);
                assert_true(part[n] == 12345.0f);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
