// SPDX-License-Identifier: Apache-2.0
// The JSON reader: what it accepts and refuses, with jansson as the oracle, and that it hands out
// members, elements, texts and numbers as they are. (Mutations of such texts: fuzz_json.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

static wb_source source_of(const char *text) {
    return (wb_source){.data = (const uint8_t *)text, .n_bytes = strlen(text), .name = "text"};
}

static bool is_json(const char *text) {
    const wb_source source = source_of(text);
    wb_json json = wb_json_of(&source, 0, source.n_bytes);
    wb_error err;
    return wb_json_skip(&json, &err) == WB_OK && wb_json_end(&json, &err) == WB_OK;
}

// clang-format off
static const char *const sound[] = {
    "{}", "[]", "\"\x7f\"", "0", "-0", "-1.5e-10", "1E+5",
    "\"\"", "true", "false", "null", " [ 1 , 2 ] ", "{\"a\":{\"b\":[{}]}}",
    "\"\\u00e9\\ud83d\\ude00\"", "\"\xf4\x8f\xbf\xbf\"",
};
// clang-format on

// clang-format off
static const char *const broken[] = {
    "", " ", "{", "}", "[", "]",
    "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"}",
    "{\"a\":}", "{\"a\":1,}", "{,}", "{1:2}", "{a:1}", "{'a':1}",
    "01", "-", "+1", ".5", "1.", "1.e5",
    "1e", "1e+", "0x10", "NaN", "Infinity", "nul",
    "truee", "True", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"",
    "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\t\"",
    "\"\xc3\"", "\"\xc0\x80\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"",
    "\"\xf0\x8f\xbf\xbf\"", "\"\x80\"", "[]]", "[] []", "{} 1", "\xef\xbb\xbf{}",
    "[1]//", "/**/1", "\"\\u0000\"",
};
// clang-format on

static void check_text(const char *text, bool is_sound) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (is_json(text) != is_sound || is_sound != (value != NULL))
        fail_msg("<%s>: %d, jansson %d", text, is_json(text), value != NULL);
    json_decref(value);
}

static void test_grammar(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++) check_text(sound[i], true);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) check_text(broken[i], false);
}

static void test_depth(void **state) {
    (void)state;
    char text[200];
    for (int depth = 1; depth < 80; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        assert_int_equal(is_json(text), depth <= 64);
    }
}

static void test_walk(void **state) {
    (void)state;
    const wb_source source = source_of(
        " {\"n\":-9223372036854775808, \"t\\u0065xt\" : \"a\\n\\u00e9\\ud83d\\ude00\\/\", "
        "\"list\":[1,[2],{\"x\":{}}], \"empty\":[], \"yes\":true,\"no\": false, \"z\":{}}");
    wb_json json = wb_json_of(&source, 0, source.n_bytes);
    wb_error err;
    char key[16], text[16];
    bool more, flag;
    int64_t number;
    assert_int_equal(wb_json_open(&json, '{', &err), WB_OK);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_string_equal(key, "n");
    assert_int_equal(wb_json_int(&json, &number, &err), WB_OK);
    assert_true(number == INT64_MIN);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_string_equal(key, "text");
    assert_int_equal(wb_json_string(&json, text, sizeof text, &err), WB_OK);
    assert_string_equal(text, "a\n\xc3\xa9\xf0\x9f\x98\x80/");
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_int_equal(wb_json_open(&json, '[', &err), WB_OK);
    int n = 0;
    while (wb_json_next_element(&json, &more, &err) == WB_OK && more) {
        assert_int_equal(wb_json_skip(&json, &err), WB_OK);
        n++;
    }
    assert_int_equal(n, 3);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_int_equal(wb_json_open(&json, '[', &err), WB_OK);
    assert_int_equal(wb_json_next_element(&json, &more, &err), WB_OK);
    assert_false(more);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_int_equal(wb_json_bool(&json, &flag, &err), WB_OK);
    assert_true(flag);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_int_equal(wb_json_bool(&json, &flag, &err), WB_OK);
    assert_false(flag);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_true(more);
    assert_int_equal(wb_json_peek(&json), '{');
    assert_int_equal(wb_json_skip(&json, &err), WB_OK);
    assert_int_equal(wb_json_next_member(&json, key, sizeof key, &more, &err), WB_OK);
    assert_false(more);
    assert_int_equal(wb_json_end(&json, &err), WB_OK);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999", false, 0},
        {"1.0", false, 0},
        {"1e0", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"-", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const wb_source source = source_of(cases[i].text);
        wb_json json = wb_json_of(&source, 0, source.n_bytes);
        int64_t value = 0;
        const wb_status status = wb_json_int(&json, &value, NULL);
        assert_int_equal(status, cases[i].is_int ? WB_OK : WB_ERR_FORMAT);
        assert_true(value == cases[i].value);
    }
}

// A text that just fits its buffer, and one that does not; nothing is written beyond.
// Short numbers must be the nearest double, as strtod finds it; long ones within 4 units of it.
static void test_doubles(void **state) {
    (void)state;
    static const char *const exact[] = {
        "0",      "-0",    "1",      "0.1",          "-2.5e-3",
        "1E22",   "1e-22", "448",    "0.0175181",    "123456789012345",
        "0.3e+1", "5e-1",  "1.5E-9", "3.40282347e38"};
    static const char *const near[] = {"1e300",
                                       "-1e-300",
                                       "0.12345678901234567890123",
                                       "98765432109876543210987",
                                       "1.7976931348623157e308",
                                       "123e-320",
                                       "4.9e-324"};
    static const char *const zero[] = {"1e-400", "0e999999999999999999999", "0.0e-5"};
    static const char *const refused[] = {
        "1e309", "-1e999", "1e99999999999999999999", "true", "\"1\"", "1.", "", "-", "NaN"};
    double value;
    wb_error err;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        const wb_source source = source_of(exact[i]);
        wb_json json = wb_json_of(&source, 0, source.n_bytes);
        assert_int_equal(wb_json_double(&json, &value, &err), WB_OK);
        assert_true(value == strtod(exact[i], NULL));
        assert_int_equal(wb_json_end(&json, &err), WB_OK);
    }
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        const wb_source source = source_of(near[i]);
        wb_json json = wb_json_of(&source, 0, source.n_bytes);
        const double want = strtod(near[i], NULL);
        assert_int_equal(wb_json_double(&json, &value, &err), WB_OK);
        assert_true(fabs(value - want) <= 4 * 0x1p-52 * fabs(want) + 4 * 0x1p-1074);
    }
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++) {
        const wb_source source = source_of(zero[i]);
        wb_json json = wb_json_of(&source, 0, source.n_bytes);
        assert_int_equal(wb_json_double(&json, &value, &err), WB_OK);
        assert_true(value == 0.0);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const wb_source source = source_of(refused[i]);
        wb_json json = wb_json_of(&source, 0, source.n_bytes);
        assert_int_equal(wb_json_double(&json, &value, &err), WB_ERR_FORMAT);
    }
}

static void test_capacity(void **state) {
    (void)state;
    const wb_source source = source_of("\"12345\"");
    char out[7];
    for (size_t capacity = 1; capacity <= 6; capacity++) {
        wb_json json = wb_json_of(&source, 0, source.n_bytes);
        memset(out, '#', sizeof out);
        const wb_status status = wb_json_string(&json, out, capacity, NULL);
        assert_int_equal(status, capacity == 6 ? WB_OK : WB_ERR_FORMAT);
        assert_int_equal(out[capacity], '#');
    }
}

// The reader stops at the end of its range, wherever the file goes on; errors point into the file.
static void test_range(void **state) {
    (void)state;
    const wb_source source = source_of("xx[1, 2]yy");
    wb_json json = wb_json_of(&source, 2, 6);
    wb_error err;
    assert_int_equal(wb_json_skip(&json, &err), WB_OK);
    assert_int_equal(wb_json_end(&json, &err), WB_OK);
    json = wb_json_of(&source, 2, 5);
    assert_int_equal(wb_json_skip(&json, &err), WB_ERR_FORMAT);
    assert_int_equal(err.offset, 7);
    assert_non_null(strstr(err.message, "text: malformed JSON at byte 7"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_walk),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_capacity), cmocka_unit_test(test_range),
        cmocka_unit_test(test_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
