// SPDX-License-Identifier: Apache-2.0
// The stream of texts: order, chunks, lines longer than a read, errors after the good lines, and
// an answer for every line of a slow writer.
#include "texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static text_stream *open_text(const char *bytes, size_t n_bytes, text_form form) {
    char path[] = "/tmp/test_texts_XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n_bytes), (ssize_t)n_bytes);
    close(fd);
    text_stream *stream;
    assert_int_equal(texts_open(&stream, path, form, NULL), WB_OK);
    unlink(path);
    return stream;
}

static void assert_text(const text_chunk *chunk, int i, const char *expected) {
    assert_int_equal(chunk->texts[i].n_bytes, strlen(expected));
    assert_memory_equal(chunk->texts[i].text, expected, strlen(expected));
}

static void test_lines(void **state) {
    (void)state;
    const char bytes[] = "one\n\ntwo\r\nthree";
    text_stream *stream = open_text(bytes, strlen(bytes), TEXT_LINES);
    const text_chunk *chunk;
    assert_int_equal(texts_next(stream, &chunk, NULL), WB_OK);
    assert_int_equal(chunk->n_texts, 4);
    assert_text(chunk, 0, "one");
    assert_text(chunk, 1, "");
    assert_text(chunk, 2, "two");
    assert_text(chunk, 3, "three");
    assert_int_equal(texts_next(stream, &chunk, NULL), WB_OK);
    assert_int_equal(chunk->n_texts, 0);
    texts_close(stream);
}

static void test_pairs(void **state) {
    (void)state;
    const char bytes[] = "a\tb\nc\t\nno tab\n";
    text_stream *stream = open_text(bytes, strlen(bytes), TEXT_PAIRS);
    const text_chunk *chunk;
    wb_error err;
    assert_int_equal(texts_next(stream, &chunk, &err), WB_OK);
    assert_int_equal(chunk->n_texts, 2);
    assert_text(chunk, 0, "a");
    assert_int_equal(chunk->texts[0].pair_bytes, 1);
    assert_non_null(chunk->texts[1].pair);
    assert_int_equal(chunk->texts[1].pair_bytes, 0);
    assert_int_equal(texts_next(stream, &chunk, &err), WB_ERR_FORMAT);
    assert_int_equal(err.offset, 3);
    assert_int_equal(chunk->n_texts, 0);
    texts_close(stream);
}

// The lines before a malformed one are handed out first.
static void test_error_after_good_lines(void **state) {
    (void)state;
    const char bytes[] =
        "{\"text\": \"a\"}\n \n{\"text\": \"b\"}\n{\"text\": }\n{\"text\": \"c\"}\n";
    text_stream *stream = open_text(bytes, strlen(bytes), TEXT_JSONL);
    const text_chunk *chunk;
    wb_error err;
    assert_int_equal(texts_next(stream, &chunk, &err), WB_OK);
    assert_int_equal(chunk->n_texts, 2);
    assert_text(chunk, 1, "b");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(texts_next(stream, &chunk, &err), WB_ERR_FORMAT);
        assert_non_null(strstr(err.message, "line 4"));
        assert_int_equal(chunk->n_texts, 0);
    }
    texts_close(stream);
}

// A byte order mark begins a file, and nothing else.
static void test_byte_order_mark(void **state) {
    (void)state;
    const char bytes[] = "\xef\xbb\xbf{\"text\": \"a\"}\n\xef\xbb\xbf{\"text\": \"b\"}\n";
    text_stream *stream = open_text(bytes, strlen(bytes), TEXT_JSONL);
    const text_chunk *chunk;
    wb_error err;
    assert_int_equal(texts_next(stream, &chunk, &err), WB_OK);
    assert_int_equal(chunk->n_texts, 1);
    assert_text(chunk, 0, "a");
    assert_int_equal(texts_next(stream, &chunk, &err), WB_ERR_FORMAT);
    assert_int_equal(err.offset, 2);
    texts_close(stream);
}

// More lines than a chunk and a line longer than several reads: nothing lost, order kept.
static void test_chunks(void **state) {
    (void)state;
    enum { N_LINES = 2 * CHUNK_TEXTS + 7, LONG = 300000 };
    const size_t capacity = N_LINES * 16 + LONG + 2;
    char *bytes = malloc(capacity);
    size_t n_bytes = 0;
    for (int i = 0; i < N_LINES; i++)
        n_bytes += (size_t)snprintf(bytes + n_bytes, capacity - n_bytes, "line %d\n", i);
    memset(bytes + n_bytes, 'x', LONG);
    n_bytes += LONG;
    bytes[n_bytes++] = '\n';
    text_stream *stream = open_text(bytes, n_bytes, TEXT_LINES);
    const text_chunk *chunk;
    int n_seen = 0;
    do {
        assert_int_equal(texts_next(stream, &chunk, NULL), WB_OK);
        assert_true(chunk->n_texts <= CHUNK_TEXTS);
        for (int i = 0; i < chunk->n_texts; i++, n_seen++) {
            char expected[32];
            snprintf(expected, sizeof expected, "line %d", n_seen);
            if (n_seen < N_LINES)
                assert_text(chunk, i, expected);
            else
                assert_int_equal(chunk->texts[i].n_bytes, LONG);
        }
    } while (chunk->n_texts > 0);
    assert_int_equal(n_seen, N_LINES + 1);
    texts_close(stream);
    free(bytes);
}

// A writer that waits for an answer after each line gets it: the stream does not wait for more.
static void test_slow_writer(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const int saved = dup(STDIN_FILENO);
    dup2(ends[0], STDIN_FILENO);
    text_stream *stream;
    assert_int_equal(texts_open(&stream, NULL, TEXT_LINES, NULL), WB_OK);
    const text_chunk *chunk;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(ends[1], "question\nhalf a", 15), 15);
        assert_int_equal(texts_next(stream, &chunk, NULL), WB_OK);
        assert_int_equal(chunk->n_texts, 1);
        assert_text(chunk, 0, i == 0 ? "question" : "half aquestion");
    }
    close(ends[1]);
    assert_int_equal(texts_next(stream, &chunk, NULL), WB_OK);
    assert_int_equal(chunk->n_texts, 1);
    assert_text(chunk, 0, "half a");
    texts_close(stream);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(ends[0]);
}

static void test_missing(void **state) {
    (void)state;
    text_stream *stream;
    wb_error err;
    assert_int_equal(texts_open(&stream, "/nowhere/texts", TEXT_LINES, &err), WB_ERR_IO);
    assert_null(stream);
    assert_non_null(strstr(err.message, "/nowhere/texts"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_error_after_good_lines),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_slow_writer),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
