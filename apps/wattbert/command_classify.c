// SPDX-License-Identifier: Apache-2.0
// `wattbert classify`: labels for texts from arguments, a file or standard input. Texts go
// through in chunks; with --energy each chunk is one window of the meter, whose joules are
// shared among its texts by their tokens.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "base/base.h"
#include "device.h"
#include "models.h"
#include "texts.h"

typedef struct classify_options {
    const char *file, *technique, *device, *scales, *cache;
    int n_threads, padded_length;
    bool is_jsonl, is_tsv, is_pairs, has_energy, is_pinned;
} classify_options;

typedef struct classifier {
    const classify_options *options;
    wb_model *model;
    const wb_model_info *info;
    wb_engine *engine;
    wb_meter *meter;
    char **json_labels;  // [n_labels] quoted and escaped
    // Of the chunk at work.
    const wb_text *texts;
    int n_texts;
    wb_inputs *inputs;
    float *logits;  // [CHUNK_TEXTS, n_labels]
    wb_window window;
    int n_cut;  // texts cut to padded_length so far
} classifier;

static const char usage_text[] =
    "Prints the label of each text and its score: the probability of the label, or the value\n"
    "itself where the model is a regression. A multi-label model's likeliest label is printed,\n"
    "and with --jsonl \"scores\" holds every label's own probability. Texts are the arguments,\n"
    "or the lines of FILE or of standard input (with --pairs: text, tab, pair). Results keep\n"
    "the order of the input.\n"
    "\n"
    "With --jsonl, input lines are {\"text\": \"...\", \"pair\": \"...\"} (pair may be missing) "
    "and\n"
    "output lines {\"label\": \"...\", \"score\": 0.98, \"logits\": [...]}; --energy adds "
    "\"joules\",\n"
    "\"energy_source\" and \"energy_method\" (measured, or modelled where the machine shows no\n"
    "counter). A malformed line ends the run with its number; what came before it is printed.\n"
    "\n"
    "  wattbert classify distilbert-sst2 \"a charming journey\"\n"
    "  wattbert classify distilbert-mnli --pairs --tsv --file pairs.tsv\n"
    "  wattbert classify distilbert-sst2 --jsonl --energy < texts.jsonl\n";

static int parse_options(classify_options *o, int argc, char **argv, char ***words, int *n_words) {
    const app_option table[] = {
        {"jsonl", NULL, "read and write JSON lines", APP_FLAG, &o->is_jsonl, 0, 0},
        {"tsv", NULL, "write label, score and text between tabs", APP_FLAG, &o->is_tsv, 0, 0},
        {"pairs", NULL, "input lines are text, tab, pair", APP_FLAG, &o->is_pairs, 0, 0},
        {"file", "FILE", "read FILE instead of standard input", APP_STRING, &o->file, 0, 0},
        {"technique", "NAME", "default f32-flash+packed; wattbert plan lists them", APP_STRING,
         &o->technique, 0, 0},
        {"device", "NAME", DEVICE_HELP, APP_STRING, &o->device, 0, 0},
        {"scales", "FILE", SCALES_HELP, APP_STRING, &o->scales, 0, 0},
        {"cache", "DIR", CACHE_HELP, APP_STRING, &o->cache, 0, 0},
        {"padded-length", "N", "what techniques with padding pad and cut texts to, default 128",
         APP_INT, &o->padded_length, 3, 1e6},
        {"threads", "N", "default: one per core", APP_INT, &o->n_threads, 1, 4096},
        {"pin", NULL, PIN_HELP, APP_FLAG, &o->is_pinned, 0, 0},
        {"energy", NULL, "measure, and add each text's joules", APP_FLAG, &o->has_energy, 0, 0},
    };
    const app_usage usage = {
        .synopsis = "classify MODEL [TEXT...]",
        .text = usage_text,
        .options = table,
        .n_options = sizeof table / sizeof *table,
    };
    const int code = app_parse(&usage, argc, argv, words, n_words);
    if (code >= 0) return code;
    if (*n_words < 1) return app_fail(EXIT_USAGE, "classify: give a MODEL folder, see --help");
    if (o->is_jsonl && (o->is_tsv || o->is_pairs))
        return app_fail(EXIT_USAGE, "classify: --jsonl goes without --tsv and --pairs");
    if (*n_words > 1 && (o->file || o->is_pairs))
        return app_fail(EXIT_USAGE, "classify: give texts or a file of them, not both");
    const int unknown = device_check("classify", o->device);
    return unknown >= 0 ? unknown : models_check_technique("classify", o->technique);
}

// ---- One chunk --------------------------------------------------------------

static bool is_padded(const classifier *c) {
    return strcmp(wb_engine_plan(c->engine)->packing, "packed") != 0;
}

// A wb_pass: tokenizes and classifies the chunk; both belong to the joules of a text.
static wb_status classify_chunk(void *context, wb_error *err) {
    classifier *c = context;
    const int max_length = is_padded(c) ? c->options->padded_length : 0;
    wb_inputs_close(c->inputs);
    wb_status status = wb_inputs_open(&c->inputs, c->model, c->texts, c->n_texts, max_length, err);
    if (!status) status = wb_forward(c->engine, c->inputs, c->logits, NULL, err);
    return status;
}

static wb_status measure_chunk(classifier *c, wb_error *err) {
    if (!c->meter) return classify_chunk(c, err);
    // One pass, repeated only where the counter steps more slowly than the chunk takes.
    const wb_window_options options = {.min_ticks = 2};
    return wb_window_measure(c->meter, &options, classify_chunk, c, &c->window, err);
}

static int count_ids(const classifier *c, int text) {
    int n_ids;
    (void)wb_inputs_ids(c->inputs, text, &n_ids);
    return n_ids;
}

// A text that fills padded_length may have been cut; it was if it needs more tokens without it.
static wb_status count_cut(classifier *c, wb_error *err) {
    const int most = c->options->padded_length;
    if (!is_padded(c) || most >= c->info->max_length) return WB_OK;
    int32_t *ids = wb_alloc_array((size_t)c->info->max_length, sizeof *ids);
    if (!ids) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d ids", c->info->max_length);
    wb_status status = WB_OK;
    for (int i = 0; !status && i < c->n_texts; i++) {
        int n_ids = 0;
        if (count_ids(c, i) < most) continue;
        status = wb_tokenize(c->model, &c->texts[i], 0, ids, c->info->max_length, &n_ids, err);
        c->n_cut += n_ids > most;
    }
    wb_free(ids);
    return status;
}

// ---- Results ----------------------------------------------------------------

static int argmax(const float *logits, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

// Softmax of the label; its sigmoid where labels do not exclude each other; the logit of a
// regression.
static double score_of(const wb_model_info *info, const float *logits, int label) {
    if (info->is_multi_label) return 1.0 / (1.0 + exp(-(double)logits[label]));
    if (info->n_labels == 1) return logits[0];
    double sum = 0.0;
    for (int i = 0; i < info->n_labels; i++) sum += exp((double)logits[i] - (double)logits[label]);
    return 1.0 / sum;
}

// JSON has no word for a number that is none.
static void print_number(double value) {
    if (isfinite(value))
        printf("%.9g", value);
    else
        fputs("null", stdout);
}

static double joules_of(const classifier *c, int text) {
    const double share = (double)count_ids(c, text) / (double)wb_inputs_tokens(c->inputs);
    return c->window.joules_per_pass * share;
}

static void print_json(const classifier *c, int text, const float *logits) {
    const int n_labels = c->info->n_labels, label = argmax(logits, n_labels);
    printf("{\"label\": %s, \"score\": ", c->json_labels[label]);
    print_number(score_of(c->info, logits, label));
    fputs(", \"logits\": [", stdout);
    for (int i = 0; i < n_labels; i++) {
        if (i > 0) fputs(", ", stdout);
        print_number((double)logits[i]);
    }
    putchar(']');
    if (c->info->is_multi_label) {
        fputs(", \"scores\": [", stdout);
        for (int i = 0; i < n_labels; i++) {
            if (i > 0) fputs(", ", stdout);
            print_number(score_of(c->info, logits, i));
        }
        putchar(']');
    }
    if (c->meter) {
        fputs(", \"joules\": ", stdout);
        print_number(joules_of(c, text));
        printf(", \"energy_source\": \"%s\", \"energy_method\": \"%s\"",
               wb_meter_source(c->meter)->name, c->window.method);
    }
    puts("}");
}

// A tab or line end inside a text would break the row.
static void print_one_line(const char *bytes, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) {
        const bool is_break = bytes[i] == '\t' || bytes[i] == '\n' || bytes[i] == '\r';
        putchar(is_break ? ' ' : bytes[i]);
    }
}

static void print_row(const classifier *c, int text, const float *logits) {
    const wb_text *t = &c->texts[text];
    const int n_labels = c->info->n_labels, label = argmax(logits, n_labels);
    const double score = score_of(c->info, logits, label);
    const char *separator = c->options->is_tsv ? "\t" : "  ";
    if (c->options->is_tsv)
        printf("%s\t%.6f\t", c->info->labels[label], score);
    else
        printf("%-12s %6.4f  ", c->info->labels[label], score);
    if (c->meter)
        printf("%.6g%s%s%s", joules_of(c, text), c->options->is_tsv ? "\t" : " J ",
               c->window.method, separator);
    print_one_line(t->text, t->n_bytes);
    if (t->pair) {
        fputs(separator, stdout);
        print_one_line(t->pair, t->pair_bytes);
    }
    putchar('\n');
}

static wb_status run_chunk(classifier *c, const wb_text *texts, int n_texts, wb_error *err) {
    c->texts = texts;
    c->n_texts = n_texts;
    wb_status status = measure_chunk(c, err);
    if (!status) status = count_cut(c, err);
    for (int i = 0; !status && i < n_texts; i++) {
        const float *logits = c->logits + (size_t)i * (size_t)c->info->n_labels;
        if (c->options->is_jsonl)
            print_json(c, i, logits);
        else
            print_row(c, i, logits);
    }
    fflush(stdout);
    return status;
}

// ---- The command ------------------------------------------------------------

static wb_status open_labels(classifier *c, wb_error *err) {
    const int n = c->info->n_labels;
    c->json_labels = wb_alloc_array((size_t)n, sizeof *c->json_labels);
    c->logits = wb_alloc_array((size_t)CHUNK_TEXTS * (size_t)n, sizeof *c->logits);
    if (!c->json_labels || !c->logits)
        return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d labels", n);
    for (int i = 0; i < n; i++) {
        json_t *label = json_string(c->info->labels[i]);
        c->json_labels[i] = label ? json_dumps(label, JSON_ENCODE_ANY) : NULL;
        json_decref(label);
        if (!c->json_labels[i])
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: label %d is no UTF-8", c->info->path, i);
    }
    return WB_OK;
}

static wb_status open_classifier(classifier *c, const char *dir, wb_error *err) {
    wb_options options = wb_default_options();
    if (c->options->technique) options.technique = c->options->technique;
    options.n_threads = c->options->n_threads;
    options.padded_length = c->options->padded_length;
    options.device = c->options->device;
    options.scales = c->options->scales;
    options.cache = c->options->cache;
    options.pin = c->options->is_pinned;
    wb_status status = models_open(&c->model, dir, err);
    if (status) return status;
    c->info = wb_model_describe(c->model);
    status = open_labels(c, err);
    if (!status) status = wb_engine_open(&c->engine, c->model, &options, err);
    if (status) return status;
    const wb_plan_info *plan = wb_engine_plan(c->engine);
    device_note(plan);
    if (c->options->has_energy) status = device_meter_open(&c->meter, NULL, plan->device_uuid, err);
    return status;
}

static void close_classifier(classifier *c) {
    for (int i = 0; c->json_labels && i < c->info->n_labels; i++) free(c->json_labels[i]);
    wb_free(c->json_labels);
    wb_free(c->logits);
    wb_inputs_close(c->inputs);
    wb_meter_close(c->meter);
    wb_engine_close(c->engine);
    wb_model_close(c->model);
}

static wb_status run_arguments(classifier *c, char **words, int n_words, wb_error *err) {
    wb_status status = WB_OK;
    for (int first = 0; !status && first < n_words; first += CHUNK_TEXTS) {
        const int left = n_words - first, n = left < CHUNK_TEXTS ? left : CHUNK_TEXTS;
        wb_text texts[CHUNK_TEXTS];
        for (int i = 0; i < n; i++) {
            const char *word = words[first + i];
            texts[i] = (wb_text){.text = word, .n_bytes = strlen(word)};
        }
        status = run_chunk(c, texts, n, err);
    }
    return status;
}

static wb_status run_stream(classifier *c, wb_error *err) {
    const classify_options *o = c->options;
    const text_form form = o->is_jsonl ? TEXT_JSONL : o->is_pairs ? TEXT_PAIRS : TEXT_LINES;
    text_stream *stream;
    const text_chunk *chunk;
    wb_status status = texts_open(&stream, o->file, form, err);
    while (!status) {
        status = texts_next(stream, &chunk, err);
        if (status || chunk->n_texts == 0) break;
        status = run_chunk(c, chunk->texts, chunk->n_texts, err);
    }
    texts_close(stream);
    return status;
}

int command_classify(int argc, char **argv) {
    classify_options o = {.padded_length = wb_default_options().padded_length};
    char **words;
    int n_words;
    const int code = parse_options(&o, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    classifier c = {.options = &o};
    wb_error err;
    wb_status status = open_classifier(&c, words[0], &err);
    if (!status && n_words > 1) status = run_arguments(&c, words + 1, n_words - 1, &err);
    if (!status && n_words == 1) status = run_stream(&c, &err);
    if (c.n_cut > 0)
        fprintf(stderr, "wattbert: note: %d texts were cut to %d tokens, see --padded-length\n",
                c.n_cut, o.padded_length);
    close_classifier(&c);
    return status ? app_fail_error(&err, NULL) : EXIT_OK;
}
