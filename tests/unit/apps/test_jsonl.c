// SPDX-License-Identifier: Apache-2.0
// Any JSON string arrives as its bytes; what is no such line is refused with its number.
#include "glue/jsonl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_text(const char *line, const char *expected, size_t n_bytes) {
    json_t *object;
    wb_error err;
    wb_text text;
    if (jsonl_parse(&object, line, strlen(line), "test", 1, &err)) fail_msg("%s", err.message);
    assert_int_equal(jsonl_text(&text, object, "text", "pair", "test", 1, &err), WB_OK);
    assert_int_equal(text.n_bytes, n_bytes);
    assert_memory_equal(text.text, expected, n_bytes);
    json_decref(object);
}

static void test_strings(void **state) {
    (void)state;
    check_text("{\"text\": \"\"}", "", 0);
    check_text("{\"text\": \"a\\u0000b\"}", "a\0b", 3);
    check_text("{\"text\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", 8);
    check_text("{\"text\": \"caf\xc3\xa9 \\u00E9\"}", "caf\xc3\xa9 \xc3\xa9", 8);
    check_text("{\"text\": \"\\ud83d\\uDE00\"}", "\xf0\x9f\x98\x80", 4);
    // Numbers elsewhere in the line may be of any size.
    check_text("{\"text\": \"x\", \"id\": 123456789012345678901234567890}", "x", 1);
}

// Halves of surrogate pairs become U+FFFD each; backslashes before them keep their meaning.
static void test_lone_surrogates(void **state) {
    (void)state;
    check_text("{\"text\": \"\\ud800\"}", "\xef\xbf\xbd", 3);
    check_text("{\"text\": \"a\\udfffb\"}",
               "a\xef\xbf\xbd"
               "b",
               5);
    check_text("{\"text\": \"\\ud800\\ud83d\\ude00\"}", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7);
    check_text("{\"text\": \"\\ud800\\u0041\"}",
               "\xef\xbf\xbd"
               "A",
               4);
    check_text("{\"text\": \"\\ude00\\ud83d\"}", "\xef\xbf\xbd\xef\xbf\xbd", 6);
    check_text("{\"text\": \"\\\\ud800\"}", "\\ud800", 6);
    check_text("{\"text\": \"\\\\\\ud800\"}", "\\\xef\xbf\xbd", 4);
}

static void test_pairs(void **state) {
    (void)state;
    const char *const lines[] = {
        "{\"text\": \"a\", \"pair\": \"b\"}",
        "{\"text\": \"a\", \"pair\": \"\"}",
        "{\"text\": \"a\", \"pair\": null}",
        "{\"text\": \"a\"}",
    };
    const int lengths[] = {1, 0, -1, -1};
    for (int i = 0; i < 4; i++) {
        json_t *object;
        wb_text text;
        assert_int_equal(jsonl_parse(&object, lines[i], strlen(lines[i]), "test", 1, NULL), WB_OK);
        assert_int_equal(jsonl_text(&text, object, "text", "pair", "test", 1, NULL), WB_OK);
        assert_int_equal(text.pair ? (int)text.pair_bytes : -1, lengths[i]);
        json_decref(object);
    }
}

static void test_refusals(void **state) {
    (void)state;
    const char *const lines[] = {
        "",
        "[]",
        "\"text\"",
        "{\"text\": \"a\"",
        "{'text'}",
        "{\"text\": \"\xff\"}",
        "{\"text\": \"\\u12\"}",
        "{\"text\": \"a\"} x",
        "{\"text\": \"\\ud8",
        "\\u",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        json_t *object;
        wb_error err;
        assert_int_equal(jsonl_parse(&object, lines[i], strlen(lines[i]), "FILE", 7, &err),
                         WB_ERR_FORMAT);
        assert_null(object);
        assert_int_equal(err.offset, 7);
        assert_non_null(strstr(err.message, "FILE: line 7: not a JSON object"));
    }
    const char *const members[] = {"{}", "{\"text\": 3}", "{\"text\": \"a\", \"pair\": []}"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *object;
        wb_error err;
        wb_text text;
        assert_int_equal(jsonl_parse(&object, members[i], strlen(members[i]), "FILE", 7, &err),
                         WB_OK);
        assert_int_equal(jsonl_text(&text, object, "text", "pair", "FILE", 7, &err), WB_ERR_FORMAT);
        assert_non_null(strstr(err.message, "FILE: line 7: \""));
        json_decref(object);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_lone_surrogates),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
