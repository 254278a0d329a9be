// SPDX-License-Identifier: Apache-2.0
// `wattbert tokenize`: texts to the token ids the model sees, for scripts that compare
// tokenizers and for people who wonder where their text was cut.
#include <string.h>

#include "app.h"
#include "base/base.h"
#include "models.h"
#include "texts.h"

typedef struct tokenize_options {
    const char *file;
    int max_length;
    bool is_jsonl, is_pairs;
} tokenize_options;

static const char usage_text[] =
    "Prints the token ids of texts, special tokens included, truncated to the model's maximum.\n"
    "\n"
    "With --jsonl, input lines are {\"text\": \"...\", \"pair\": \"...\"} (pair may be missing) "
    "and\n"
    "output lines {\"ids\": [101, ...]}, in the same order. Without it, a text is a line (with\n"
    "--pairs: text, tab, pair) or an argument, and its ids are a line of numbers.\n"
    "\n"
    "  wattbert tokenize distilbert-sst2 \"a charming journey\"\n"
    "  wattbert tokenize distilbert-mnli --jsonl < pairs.jsonl\n";

static int parse_options(tokenize_options *o, int argc, char **argv, char ***words, int *n_words) {
    const app_option table[] = {
        {"jsonl", NULL, "read and write JSON lines", APP_FLAG, &o->is_jsonl, 0, 0},
        {"pairs", NULL, "input lines are text, tab, pair", APP_FLAG, &o->is_pairs, 0, 0},
        {"file", "FILE", "read FILE instead of standard input", APP_STRING, &o->file, 0, 0},
        {"max-length", "N", "tokens a text may have, at least 3; default: the model's maximum",
         APP_INT, &o->max_length, 3, 1e6},
    };
    const app_usage usage = {
        .synopsis = "tokenize MODEL [TEXT...]",
        .text = usage_text,
        .options = table,
        .n_options = sizeof table / sizeof *table,
    };
    const int code = app_parse(&usage, argc, argv, words, n_words);
    if (code >= 0) return code;
    if (*n_words < 1) return app_fail(EXIT_USAGE, "tokenize: give a MODEL folder, see --help");
    if (o->is_jsonl && o->is_pairs)
        return app_fail(EXIT_USAGE, "tokenize: --jsonl has \"pair\", leave out --pairs");
    return -1;
}

// ids is room for the model's longest text.
static wb_status print_text(const wb_model *model, const wb_text *text, const tokenize_options *o,
                            int32_t *ids, wb_error *err) {
    int n_ids;
    const int capacity = wb_model_describe(model)->max_length;
    const wb_status status = wb_tokenize(model, text, o->max_length, ids, capacity, &n_ids, err);
    if (status) return status;
    if (o->is_jsonl) fputs("{\"ids\": [", stdout);
    for (int i = 0; i < n_ids; i++)
        printf("%s%d", i == 0 ? "" : o->is_jsonl ? ", " : " ", (int)ids[i]);
    puts(o->is_jsonl ? "]}" : "");
    return WB_OK;
}

static wb_status print_stream(const wb_model *model, const tokenize_options *o, int32_t *ids,
                              wb_error *err) {
    const text_form form = o->is_jsonl ? TEXT_JSONL : o->is_pairs ? TEXT_PAIRS : TEXT_LINES;
    text_stream *stream;
    const text_chunk *chunk;
    wb_status status = texts_open(&stream, o->file, form, err);
    while (!status) {
        status = texts_next(stream, &chunk, err);
        if (status || chunk->n_texts == 0) break;
        for (int i = 0; !status && i < chunk->n_texts; i++)
            status = print_text(model, &chunk->texts[i], o, ids, err);
        fflush(stdout);
    }
    texts_close(stream);
    return status;
}

int command_tokenize(int argc, char **argv) {
    tokenize_options o = {0};
    char **words;
    int n_words;
    const int code = parse_options(&o, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    wb_error err;
    wb_model *model;
    if (models_open(&model, words[0], &err)) return app_fail_error(&err, NULL);
    const size_t capacity = (size_t)wb_model_describe(model)->max_length;
    int32_t *ids = wb_alloc_array(capacity, sizeof *ids);
    wb_status status = WB_OK;
    if (!ids) status = wb_fail(&err, WB_ERR_MEMORY, 0, "no memory for %zu ids", capacity);
    for (int i = 1; !status && i < n_words; i++) {
        const wb_text text = {.text = words[i], .n_bytes = strlen(words[i])};
        status = print_text(model, &text, &o, ids, &err);
    }
    if (!status && n_words == 1) status = print_stream(model, &o, ids, &err);
    wb_free(ids);
    wb_model_close(model);
    return status ? app_fail_error(&err, NULL) : EXIT_OK;
}
