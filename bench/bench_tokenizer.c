// SPDX-License-Identifier: Apache-2.0
// Tokens per second on one thread. Texts are in memory before the clock starts; the fastest of many
// passes counts, because a pass can only be disturbed upwards.
//
//     ninja -C build/release bench_tokenizer
//     bench_tokenizer MODEL_DIR FILE.tsv COLUMN [PAIR_COLUMN] [PASSES]     columns from 0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

enum { MAX_LENGTH = 512 };

typedef struct example {
    const char *text, *pair;  // pair is NULL for a single text
    size_t n_bytes, pair_bytes;
} example;

static const char *find_cell(const char *line, const char *end, int column, size_t *n_bytes) {
    for (int i = 0; i < column; i++) {
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        line = tab ? tab + 1 : end;
    }
    const char *tab = memchr(line, '\t', (size_t)(end - line));
    *n_bytes = (size_t)((tab ? tab : end) - line);
    return line;
}

static size_t read_examples(const wb_file *file, int column, int pair_column, example *examples) {
    const char *at = (const char *)file->data, *file_end = at + file->n_bytes;
    size_t n = 0;
    while (at < file_end) {
        const char *newline = memchr(at, '\n', (size_t)(file_end - at));
        const char *end = newline ? newline : file_end;
        example *e = &examples[n++];
        *e = (example){0};
        e->text = find_cell(at, end, column, &e->n_bytes);
        if (pair_column >= 0) e->pair = find_cell(at, end, pair_column, &e->pair_bytes);
        at = end + 1;
    }
    return n;
}

// Seconds of one pass; *n_tokens <- the ids of all examples.
static double run_pass(const wb_tokenizer *tokenizer, const example *examples, size_t n,
                       uint64_t *n_tokens) {
    int32_t ids[MAX_LENGTH];
    *n_tokens = 0;
    const uint64_t start_ns = wb_clock_process_ns();
    for (size_t i = 0; i < n; i++) {
        const example *e = &examples[i];
        int n_ids;
        if (wb_tokenizer_encode(tokenizer, e->text, e->n_bytes, e->pair, e->pair_bytes, MAX_LENGTH,
                                ids, &n_ids, NULL))
            exit(1);
        *n_tokens += (uint64_t)n_ids;
    }
    return (double)(wb_clock_process_ns() - start_ns) * 1e-9;
}

static int fail(const char *message) {
    fprintf(stderr, "bench_tokenizer: %s\n", message);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 4) return fail("usage: MODEL_DIR FILE.tsv COLUMN [PAIR_COLUMN] [PASSES]");
    const int column = atoi(argv[3]), pair_column = argc > 4 ? atoi(argv[4]) : -1;
    const int n_passes = argc > 5 ? atoi(argv[5]) : 20;
    wb_error err;
    wb_tokenizer *tokenizer;
    wb_file file;
    if (wb_tokenizer_open(&tokenizer, argv[1], &err)) return fail(err.message);
    if (wb_file_map(&file, argv[2], &err)) return fail(err.message);
    size_t n_lines = 1;
    for (size_t i = 0; i < file.n_bytes; i++) n_lines += file.data[i] == '\n';
    example *examples = wb_alloc_array(n_lines, sizeof *examples);
    if (!examples) return fail("out of memory");
    const size_t n = read_examples(&file, column, pair_column, examples);

    double fastest_s = 1e9;
    uint64_t n_tokens = 0, n_bytes = 0;
    for (int pass = 0; pass < n_passes; pass++) {
        const double seconds = run_pass(tokenizer, examples, n, &n_tokens);
        if (seconds < fastest_s) fastest_s = seconds;
    }
    for (size_t i = 0; i < n; i++) n_bytes += examples[i].n_bytes + examples[i].pair_bytes;
    printf(
        "%zu examples, %llu tokens, %.2f bytes a token: %.1f M tokens/s, %.1f ns a token, %.0f "
        "MB/s\n",
        n, (unsigned long long)n_tokens, (double)n_bytes / (double)n_tokens,
        (double)n_tokens / fastest_s * 1e-6, fastest_s / (double)n_tokens * 1e9,
        (double)n_bytes / fastest_s * 1e-6);
    wb_free(examples);
    wb_file_close(&file);
    wb_tokenizer_close(tokenizer);
    return 0;
}
