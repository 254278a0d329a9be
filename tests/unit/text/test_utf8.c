// SPDX-License-Identifier: Apache-2.0
// Decoding: every code point there and back, and malformed bytes cut as Python cuts them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "text/utf8.h"

static void every_code_point_survives(void **state) {
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xD800 && code < 0xE000) continue;
        uint8_t bytes[WB_UTF8_MAX];
        size_t n_used, offset;
        const size_t n = wb_utf8_encode(code, bytes);
        assert_int_equal(wb_utf8_decode(bytes, n, &n_used), code);
        assert_int_equal(n_used, n);
        assert_int_equal(wb_utf8_count(bytes, n), 1);
        assert_true(wb_utf8_is_valid(bytes, n, &offset));
    }
}

// bytes.decode("utf-8", errors="replace") of Python 3.11: '.' stands for one U+FFFD, '*' for a good
// character.
static void malformed_bytes_are_cut_as_python_does(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"\x80", "."},
        {"\xff", "."},
        {"\xc3", "."},
        {"\xc3(", ".*"},
        {"\xc0\xaf", ".."},
        {"\xe2\x82", "."},
        {"\xe2\x82(", ".*"},
        {"\xe2(\xa1", ".*."},
        {"\xe0\x80\x80", "..."},
        {"\xe0\xa0", "."},
        {"\xed\xa0\x80", "..."},
        {"\xed\x9f", "."},
        {"\xf0\x9f\x98", "."},
        {"\xf0\x9f\x98\x80", "*"},
        {"\xf0\x9f(", ".*"},
        {"\xf0\x80\x80\x80", "...."},
        {"\xf4\x8f\xbf", "."},
        {"\xf4\x90\x80\x80", "...."},
        {"\xf5\x80", ".."},
        {"a\x80\x80z", "*..*"},
        {"\xe4\xb8\xad\xe4\xb8", "*."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
        const size_t n_bytes = strlen(cases[i].bytes);
        char seen[8] = "";
        size_t n_seen = 0, n_used;
        for (size_t at = 0; at < n_bytes; at += n_used)
            seen[n_seen++] =
                wb_utf8_decode(bytes + at, n_bytes - at, &n_used) == WB_REPLACEMENT ? '.' : '*';
        assert_string_equal(seen, cases[i].expected);
    }
}

static void validity_names_the_first_bad_byte(void **state) {
    (void)state;
    size_t offset = 0;
    assert_true(wb_utf8_is_valid((const uint8_t *)"a\xef\xbf\xbd", 4, &offset));
    assert_false(wb_utf8_is_valid((const uint8_t *)"ab\xef\xbf", 4, &offset));
    assert_int_equal(offset, 2);
    assert_false(wb_utf8_is_valid((const uint8_t *)"\xc3\xa9\xff", 3, &offset));
    assert_int_equal(offset, 2);
    assert_true(wb_utf8_is_valid(NULL, 0, &offset));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives),
        cmocka_unit_test(malformed_bytes_are_cut_as_python_does),
        cmocka_unit_test(validity_names_the_first_bad_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
