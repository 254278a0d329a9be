// SPDX-License-Identifier: Apache-2.0
// vocab.txt as a file of lines, and the words that the table takes or leaves to the trie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/wordpiece.h"

static wb_status read_lines(const char *text, size_t n_bytes, wb_piece **pieces, size_t *n,
                            wb_error *err) {
    return wb_vocab_read_lines(pieces, n, (const uint8_t *)text, n_bytes, "vocab.txt", err);
}

static void lines_are_trimmed_at_their_end_only(void **state) {
    (void)state;
    static const char text[] = "[UNK]\r\n a \n\nb\u3000\xc2\x85\n\u00a0c";
    static const char *const expected[] = {"[UNK]", " a", "", "b", "\u00a0c"};
    wb_piece *pieces;
    size_t n;
    assert_int_equal(read_lines(text, sizeof text - 1, &pieces, &n, NULL), WB_OK);
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pieces[i].n_bytes, strlen(expected[i]));
        assert_memory_equal(pieces[i].text, expected[i], pieces[i].n_bytes);
        assert_int_equal(pieces[i].value, i);
    }
    wb_free(pieces);
}

static void bad_files_name_the_byte(void **state) {
    (void)state;
    wb_piece *pieces;
    size_t n;
    wb_error err;
    assert_int_equal(read_lines("a\n\xff\n", 4, &pieces, &n, &err), WB_ERR_FORMAT);
    assert_int_equal(err.offset, 2);
    assert_null(pieces);
    assert_int_equal(read_lines("", 0, &pieces, &n, &err), WB_ERR_MODEL);
    assert_null(pieces);
}

// Far more words than would fit side by side: some find their places taken.
static void every_word_is_found(void **state) {
    (void)state;
    enum { N = 40000, BYTES = 24 };
    static char texts[N][BYTES];
    static wb_piece pieces[N];
    wb_random random = {.state = 3};
    for (int i = 0; i < N; i++) {
        const size_t n_bytes = 1 + wb_random_below(&random, 20);
        for (size_t k = 0; k < n_bytes; k++)
            texts[i][k] = (char)('a' + wb_random_below(&random, 26));
        if (i == 0) snprintf(texts[i], BYTES, "[UNK]");
        pieces[i] =
            (wb_piece){.text = (const uint8_t *)texts[i], .n_bytes = strlen(texts[i]), .value = i};
    }
    wb_vocab vocab;
    assert_int_equal(wb_vocab_open(&vocab, pieces, N, "##", "[UNK]", 100, "test", NULL), WB_OK);
    for (int i = 1; i < N; i++) {
        uint8_t word[BYTES + WB_WORDPIECE_SLACK] = {0};
        int32_t ids[BYTES];
        wb_ids out = {.ids = ids, .capacity = BYTES, .limit = BYTES};
        memcpy(word, texts[i], strlen(texts[i]));
        wb_wordpiece_run(&vocab, word, strlen(texts[i]), &out);
        assert_int_equal(out.n, 1);
        assert_int_equal(ids[0], wb_vocab_find(&vocab, texts[i]));
        assert_string_equal(texts[ids[0]], texts[i]);
    }
    wb_vocab_close(&vocab);
}

static void unknown_must_be_known(void **state) {
    (void)state;
    wb_piece piece = {.text = (const uint8_t *)"a", .n_bytes = 1};
    wb_vocab vocab;
    wb_error err;
    assert_int_equal(wb_vocab_open(&vocab, &piece, 1, "##", "[UNK]", 100, "dir", &err),
                     WB_ERR_MODEL);
    assert_non_null(strstr(err.message, "[UNK]"));
    assert_null(vocab.words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_trimmed_at_their_end_only),
        cmocka_unit_test(bad_files_name_the_byte),
        cmocka_unit_test(every_word_is_found),
        cmocka_unit_test(unknown_must_be_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
