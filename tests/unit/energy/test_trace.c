// SPDX-License-Identifier: Apache-2.0
// Recorded traces as text: what is read, and where a bad one is bad.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "energy/source.h"

static wb_status parse(wb_trace *trace, const char *text, wb_error *err) {
    // A block of exactly the text's size: a read past its end is found by the sanitizer.
    const size_t n = strlen(text);
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    const wb_status status = wb_trace_parse(trace, "t", copy, n, err);
    free(copy);
    return status;
}

static void test_good(void **state) {
    (void)state;
    wb_trace trace;
    wb_error err;
    const char *text =
        "# recorded by hand\nwattbert-trace 1\n\ndomains package-0\tdram-0\r\n"
        "0 0 0\r\n0.1 8.512 .55\n# half way\n1000000.000001 9. 123456789.123456789\n";
    assert_int_equal(parse(&trace, text, &err), WB_OK);
    assert_int_equal(trace.n_domains, 2);
    assert_string_equal(trace.names[0], "package-0");
    assert_string_equal(trace.names[1], "dram-0");
    assert_int_equal(trace.n_rows, 3);
    const double want[] = {0, 0, 0, 0.1, 8.512, 0.55, 1000000.000001, 9.0, 123456789.123456789};
    for (int i = 0; i < 9; i++) assert_true(trace.rows[i] == want[i]);
    wb_trace_free(&trace);
}

static void test_bad(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
        uint64_t offset;
    } cases[] = {
        {"", "line 1: not a trace", 0},
        {"wattbert-trace 2\n", "not a trace", 15},
        {"wattbert-trace", "not a trace", 14},
        {"wattbert-trace 1", "expected \"domains\"", 17},
        {"wattbert-trace 1\n0 0\n", "line 2: expected \"domains\"", 17},
        {"wattbert-trace 1\ndomains\n", "no domain", 24},
        {"wattbert-trace 1\ndomains a\n", "fewer than two", 27},
        {"wattbert-trace 1\ndomains a\n0 0\n", "fewer than two", 31},
        {"wattbert-trace 1\ndomains a\n0 0\n1\n", "line 4: expected seconds", 32},
        {"wattbert-trace 1\ndomains a\n0 0\n1 2 3\n", "more numbers", 35},
        {"wattbert-trace 1\ndomains a\n0 0\n1 -2\n", "plain decimals", 33},
        {"wattbert-trace 1\ndomains a\n0 0\n1 1e9\n", "plain decimals", 33},
        {"wattbert-trace 1\ndomains a\n0 0\n1 nan\n", "plain decimals", 33},
        {"wattbert-trace 1\ndomains a\n0 0\n1 .\n", "plain decimals", 0},
        {"wattbert-trace 1\ndomains a\n0 0\n1 1.2.3\n", "plain decimals", 33},
        {"wattbert-trace 1\ndomains a\n0 0\n1 9999999999999999999\n", "plain decimals", 33},
        {"wattbert-trace 1\ndomains a\n1 0\n0.5 2\n", "time goes back", 0},
        {"wattbert-trace 1\ndomains a\n0 5\n1 4\n", "joules go back", 0},
        {"wattbert-trace 1\ndomains aaaaaaaabbbbbbbbccccccccdddddddd\n", "too long", 25},
        {"wattbert-trace 1\ndomains 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 "
         "2 3\n",
         "too many domains", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_trace trace;
        wb_error err = {0};
        assert_int_equal(parse(&trace, cases[i].text, &err), WB_ERR_FORMAT);
        if (!strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.message, cases[i].message);
        if (cases[i].offset) assert_int_equal(err.offset, cases[i].offset);
        assert_true(err.offset <= strlen(cases[i].text) + 1);
        assert_null(trace.rows);
    }
}

// Every prefix of a good trace, and every prefix with one byte changed, is either read or refused.
static void test_cut_anywhere(void **state) {
    (void)state;
    const char *text = "wattbert-trace 1\ndomains a b\n0 0 0\n0.5 1 2\n1.0 2 4\n";
    char copy[128];
    for (size_t n = 0; n <= strlen(text); n++) {
        for (int change = 0; change < 4; change++) {
            memcpy(copy, text, n);
            copy[n] = 0;
            if (n > 0 && change) copy[n - 1] = "\n 9"[change - 1];
            wb_trace trace;
            wb_error err = {0};
            if (parse(&trace, copy, &err)) assert_true(err.message[0] != 0);
            wb_trace_free(&trace);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
