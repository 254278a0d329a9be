// SPDX-License-Identifier: Apache-2.0
// Memory: aligned, zeroed where promised, and NULL instead of a small block where a size overflows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void test_blocks_are_aligned(void **state) {
    (void)state;
    for (size_t n_bytes = 0; n_bytes < 200; n_bytes++) {
        void *block = wb_alloc(n_bytes);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 0xff, n_bytes);
        wb_free(block);
    }
    wb_free(NULL);
}

static bool is_zero(const uint8_t *bytes, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++)
        if (bytes[i]) return false;
    return true;
}

static void test_arrays_are_zeroed(void **state) {
    (void)state;
    // A freed block full of ones is what the allocator likes to hand out next.
    for (int round = 0; round < 8; round++) {
        uint8_t *block = wb_alloc_array(37, 11);
        assert_non_null(block);
        assert_true(is_zero(block, 37 * 11));
        memset(block, 0xff, 37 * 11);
        wb_free(block);
        block = wb_alloc_zeroed(400);
        assert_non_null(block);
        assert_true(is_zero(block, 400));
        memset(block, 0xff, 400);
        wb_free(block);
    }
}

static void test_overflow_is_refused(void **state) {
    (void)state;
    static const struct {
        size_t n, element_bytes;
    } sizes[] = {
        {SIZE_MAX, 2},         {2, SIZE_MAX},
        {SIZE_MAX / 8 + 1, 8}, {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX, 1},         {SIZE_MAX - 62, 1},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_null(wb_alloc_array(sizes[i].n, sizes[i].element_bytes));
        int *block = wb_alloc_array(1, sizeof *block);
        assert_non_null(block);
        *block = 7;
        assert_null(wb_realloc_array(block, 1, sizes[i].n, sizes[i].element_bytes));
        assert_int_equal(*block, 7);  // still valid, still the caller's
        wb_free(block);
    }
    assert_null(wb_alloc(SIZE_MAX));
    assert_null(wb_alloc_zeroed(SIZE_MAX - 1));
    assert_null(wb_string_copy("x", SIZE_MAX));
}

static void test_realloc_keeps_and_zeroes(void **state) {
    (void)state;
    int *block = wb_realloc_array(NULL, 0, 3, sizeof *block);
    assert_non_null(block);
    for (int i = 0; i < 3; i++) block[i] = i + 1;
    block = wb_realloc_array(block, 3, 100, sizeof *block);
    assert_non_null(block);
    for (int i = 0; i < 100; i++) assert_int_equal(block[i], i < 3 ? i + 1 : 0);
    block = wb_realloc_array(block, 100, 2, sizeof *block);
    assert_non_null(block);
    assert_int_equal(block[0], 1);
    assert_int_equal(block[1], 2);
    wb_free(block);
}

static void test_string_copy(void **state) {
    (void)state;
    char *copy = wb_string_copy("wattbert", 4);
    assert_non_null(copy);
    assert_string_equal(copy, "watt");
    wb_free(copy);
    copy = wb_string_copy(NULL, 0);
    assert_non_null(copy);
    assert_string_equal(copy, "");
    wb_free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned),  cmocka_unit_test(test_arrays_are_zeroed),
        cmocka_unit_test(test_overflow_is_refused), cmocka_unit_test(test_realloc_keeps_and_zeroes),
        cmocka_unit_test(test_string_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
