// SPDX-License-Identifier: Apache-2.0
// Failures: every field is filled, the message is one printable line that ends in 0.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"

static void test_fills_everything(void **state) {
    (void)state;
    wb_error err;
    memset(&err, 0xa5, sizeof err);
    assert_int_equal(wb_fail(&err, WB_ERR_FORMAT, 17, "%s: %d bytes", "a.bin", 3), WB_ERR_FORMAT);
    assert_int_equal(err.status, WB_ERR_FORMAT);
    assert_int_equal(err.offset, 17);
    assert_string_equal(err.message, "a.bin: 3 bytes");
}

static void test_error_may_be_null(void **state) {
    (void)state;
    assert_int_equal(wb_fail(NULL, WB_ERR_IO, 0, "%s", "nobody reads this"), WB_ERR_IO);
}

static void test_message_is_one_line(void **state) {
    (void)state;
    wb_error err;
    assert_int_equal(wb_fail(&err, WB_ERR_MODEL, 0, "tensor %s", "a\nb\tc\x1b[31m\x7f"),
                     WB_ERR_MODEL);
    assert_string_equal(err.message, "tensor a?b?c?[31m?");
    assert_int_equal(wb_fail(&err, WB_ERR_MODEL, 0, "caf\xc3\xa9"), WB_ERR_MODEL);
    assert_string_equal(err.message, "caf\xc3\xa9");
}

static void test_long_message_is_cut(void **state) {
    (void)state;
    wb_error err;
    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(wb_fail(&err, WB_ERR_IO, 0, "%s", name), WB_ERR_IO);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void test_every_status_has_a_name(void **state) {
    (void)state;
    for (int status = WB_OK; status <= WB_ERR_DEVICE; status++) {
        assert_string_not_equal(wb_status_name((wb_status)status), "unknown status");
        for (int other = WB_OK; other < status; other++)
            assert_string_not_equal(wb_status_name((wb_status)status),
                                    wb_status_name((wb_status)other));
    }
    assert_string_equal(wb_status_name((wb_status)1000), "unknown status");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_everything),        cmocka_unit_test(test_error_may_be_null),
        cmocka_unit_test(test_message_is_one_line),     cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_every_status_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
