// SPDX-License-Identifier: Apache-2.0
// The trie against a linear search over random strings of few letters, so that prefixes,
// duplicates and dead ends are common.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "text/trie.h"

enum { MAX_STRINGS = 60, MAX_BYTES = 6 };

static size_t random_text(wb_random *random, uint8_t *text) {
    const size_t n = wb_random_below(random, MAX_BYTES + 1);
    for (size_t i = 0; i < n; i++) text[i] = (uint8_t) "ab\xff"[wb_random_below(random, 3)];
    return n;
}

static void finds_what_a_linear_search_finds(void **state) {
    (void)state;
    wb_random random = {.state = 1};
    for (int round = 0; round < 3000; round++) {
        uint8_t texts[MAX_STRINGS][MAX_BYTES];
        wb_piece given[MAX_STRINGS], pieces[MAX_STRINGS];
        const int n = (int)wb_random_below(&random, MAX_STRINGS + 1);
        for (int i = 0; i < n; i++)
            given[i] = pieces[i] =
                (wb_piece){.text = texts[i], .n_bytes = random_text(&random, texts[i]), .value = i};
        wb_trie trie;
        assert_int_equal(wb_trie_open(&trie, pieces, (size_t)n, NULL), WB_OK);
        for (int probe = 0; probe < 50; probe++) {
            uint8_t text[MAX_BYTES];
            const size_t n_bytes = random_text(&random, text);
            int32_t expected = -1;  // the last one given
            for (int i = 0; i < n; i++)
                if (given[i].n_bytes == n_bytes && memcmp(texts[i], text, n_bytes) == 0)
                    expected = i;
            assert_int_equal(wb_trie_find(&trie, text, n_bytes), expected);
        }
        wb_trie_close(&trie);
    }
}

static void counts_distinct_strings(void **state) {
    (void)state;
    wb_piece pieces[] = {
        {.text = (const uint8_t *)"b", .n_bytes = 1, .value = 1},
        {.text = (const uint8_t *)"a", .n_bytes = 1, .value = 2},
        {.text = (const uint8_t *)"b", .n_bytes = 1, .value = 3},
        {.text = (const uint8_t *)"", .n_bytes = 0, .value = 4},
    };
    wb_trie trie;
    assert_int_equal(wb_trie_open(&trie, pieces, 4, NULL), WB_OK);
    assert_int_equal(trie.n_strings, 3);
    assert_int_equal(trie.n_nodes, 3);
    assert_int_equal(wb_trie_find(&trie, NULL, 0), 4);
    assert_int_equal(wb_trie_walk(&trie, (const uint8_t *)"ab", 2), 0);
    wb_trie_close(&trie);
    wb_trie_close(&trie);  // closing twice is closing nothing
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_linear_search_finds),
        cmocka_unit_test(counts_distinct_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
