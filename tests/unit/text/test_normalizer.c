// SPDX-License-Identifier: Apache-2.0
// What the golden digests do not say: the promise about room, that a space is a safe place to cut,
// and the tables' own order. One line per rule shows what each does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "text/normalizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum { CLEAN = 1, CHINESE = 2, STRIP = 4, LOWER = 8, N_OPTIONS = 16 };

static wb_normalizer *open_normalizer(int flags) {
    const wb_normalizer_options options = {.clean_text = flags & CLEAN,
                                           .chinese_chars = flags & CHINESE,
                                           .strip_accents = flags & STRIP,
                                           .lowercase = flags & LOWER};
    wb_normalizer *normalizer;
    assert_int_equal(wb_normalizer_open(&normalizer, &options, NULL), WB_OK);
    return normalizer;
}

static void each_rule_does_what_it_says(void **state) {
    (void)state;
    static const struct {
        int flags;
        bool for_words;
        const char *text, *expected;
    } cases[] = {
        {0, false, "A\tÉ中\u200b", "A\tÉ中\u200b"},
        {CLEAN, false, "A\tÉ\u200b\u3000\x7f.", "A É ."},
        {CHINESE, false, "a中國b", "a 中  國 b"},
        {STRIP, false, "Éa\u0301각", "Ea\u1100\u1161\u11a8"},
        {LOWER, false, "ÀΣİß", "àσi\u0307ß"},
        {LOWER | STRIP, false, "İ\u212a", "ik"},
        // The second combining class, 9, goes before the first, 224; but not over a letter.
        {STRIP, false, "a\u302e\u1b44", "a\u1b44\u302e"},
        {STRIP, false, "a\u302eb\u1b44", "a\u302eb\u1b44"},
        // A dropped mark without a class is a letter to canonical ordering.
        {STRIP, false, "a\u302e\u034f\u1b44", "a\u302e\u1b44"},
        {CHINESE | STRIP, false, "豈", " 豈 "},
        {CLEAN, false, "a\xff\xe4\xb8z", "az"},
        {0, false, "a\xff\xe4\xb8z", "a\ufffd\ufffdz"},
        {0, true, "a\t“b”\u2003,", "a  “ b ”  ,"},
        {CLEAN | CHINESE | STRIP | LOWER, true, "ABCDEFGHIJ≠É", "abcdefghij=e"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_normalizer *normalizer = open_normalizer(cases[i].flags);
        uint8_t out[512];
        const size_t n = wb_normalizer_apply(normalizer, (const uint8_t *)cases[i].text,
                                             strlen(cases[i].text), cases[i].for_words, out);
        out[n] = 0;
        assert_string_equal((const char *)out, cases[i].expected);
        wb_normalizer_close(normalizer);
    }
}

// Half of the capacity holds any output; the other half is for sorting.
static void no_code_point_outgrows_its_room(void **state) {
    (void)state;
    for (int flags = 0; flags < N_OPTIONS; flags++) {
        wb_normalizer *normalizer = open_normalizer(flags);
        for (uint32_t code = 0; code < 0x110000; code++) {
            if (code >= 0xD800 && code < 0xE000) continue;
            uint8_t text[WB_UTF8_MAX], out[64];
            const size_t n_text = wb_utf8_encode(code, text);
            const size_t n = wb_normalizer_apply(normalizer, text, n_text, true, out);
            assert_true(n <= 3 * n_text && 2 * n <= wb_normalizer_capacity(n_text));
        }
        wb_normalizer_close(normalizer);
    }
}

static void cutting_at_a_space_changes_nothing(void **state) {
    (void)state;
    static const char *const bits[] = {" ",      "a",  "É",    "\u302e", "\u1b44",
                                       "\u0301", "中", "\xff", "\u2003", "\U0001d160"};
    wb_normalizer *normalizer = open_normalizer(CLEAN | CHINESE | STRIP | LOWER);
    wb_random random = {.state = 7};
    for (int round = 0; round < 20000; round++) {
        uint8_t text[128], whole[1024], parts[1024];
        size_t n_text = 0, n_parts = 0, from = 0;
        const int n_bits = (int)wb_random_below(&random, 24);
        for (int i = 0; i < n_bits; i++) {
            const char *bit = bits[wb_random_below(&random, sizeof bits / sizeof *bits)];
            memcpy(text + n_text, bit, strlen(bit));
            n_text += strlen(bit);
        }
        const size_t n_whole = wb_normalizer_apply(normalizer, text, n_text, true, whole);
        for (size_t i = 0; i <= n_text; i++) {
            if (i < n_text && text[i] != ' ') continue;
            const size_t end = i < n_text ? i + 1 : i;
            n_parts +=
                wb_normalizer_apply(normalizer, text + from, end - from, true, parts + n_parts);
            from = end;
        }
        assert_int_equal(n_whole, n_parts);
        assert_memory_equal(whole, parts, n_whole);
    }
    wb_normalizer_close(normalizer);
}

// A run of marks that stay is sorted, however long: class 9 before 216 before 224, equal ones in
// the order they came.
static void long_runs_are_sorted_once(void **state) {
    (void)state;
    enum { N = 30000 };
    static uint8_t text[N * WB_UTF8_MAX];
    static const uint32_t marks[] = {0x302e, 0x1d165, 0x1b44, 0x1d16e, 0x1baa};
    size_t n_text = 0;
    for (int i = 0; i < N; i++) n_text += wb_utf8_encode(marks[i % 5], text + n_text);
    uint8_t *out = wb_alloc(wb_normalizer_capacity(n_text));
    wb_normalizer *normalizer = open_normalizer(STRIP);
    const size_t n = wb_normalizer_apply(normalizer, text, n_text, false, out);
    assert_int_equal(n, n_text);
    int order = 0, n_class_9 = 0;
    size_t n_used;
    for (size_t at = 0; at < n; at += n_used) {
        const uint32_t code = wb_utf8_decode(out + at, n - at, &n_used);
        assert_true(wb_unicode_classify(code).order >= order);
        order = wb_unicode_classify(code).order;
        if (order == 9) assert_int_equal(code, n_class_9++ % 2 ? 0x1baa : 0x1b44);
    }
    wb_normalizer_close(normalizer);
    wb_free(out);
}

static void tables_are_sorted_and_disjoint(void **state) {
    (void)state;
    for (size_t i = 0; i < wb_unicode_n_classes; i++) {
        assert_true(wb_unicode_classes[i].first <= wb_unicode_classes[i].last);
        if (i) assert_true(wb_unicode_classes[i - 1].last < wb_unicode_classes[i].first);
    }
    for (size_t i = 1; i < wb_unicode_n_words; i++)
        assert_true(wb_unicode_words[i - 1].last < wb_unicode_words[i].first);
    for (size_t i = 0; i < wb_unicode_n_cases; i++) {
        assert_true(wb_unicode_cases[i].step > 0);
        if (i) assert_true(wb_unicode_cases[i - 1].last < wb_unicode_cases[i].first);
    }
    for (size_t i = 1; i < wb_unicode_n_bares; i++)
        assert_true(wb_unicode_bares[i - 1].from < wb_unicode_bares[i].from);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_does_what_it_says),
        cmocka_unit_test(no_code_point_outgrows_its_room),
        cmocka_unit_test(cutting_at_a_space_changes_nothing),
        cmocka_unit_test(long_runs_are_sorted_once),
        cmocka_unit_test(tables_are_sorted_and_disjoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
