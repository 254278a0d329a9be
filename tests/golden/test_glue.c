// SPDX-License-Identifier: Apache-2.0
// The trained checkpoints of the shared data folder on their GLUE dev files, through the public
// API: f32 logits within 1e-4 of transformers' for every example, scores to four decimals, and
// what int8 keeps of them.
//
//     test_glue MODELS_DIR SHARED_DIR [--full]      without --full MNLI is cut to its first
//     examples
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "wattbert/wattbert.h"

enum { MAX_EXAMPLES = 10000, MAX_LABELS = 3, QUICK_EXAMPLES = 500, SKIPPED = 77 };

#define LOGITS_TOLERANCE 1e-4
#define KEPT_BY_INT8 0.99

typedef struct task {
    const char *name, *model, *file;
    bool has_header;
    int text_column, pair_column, label_column;  // pair_column -1: single texts
} task;

static const task tasks[] = {
    {"sst2", "sst2", "SST-2/dev.tsv", true, 0, -1, 1},
    {"cola", "cola", "CoLA/dev.tsv", false, 3, -1, 1},
    {"mrpc", "mrpc", "MRPC/dev.tsv", true, 3, 4, 0},
    {"mnli", "mnli", "MNLI/dev_matched.tsv", true, 0, 1, 2},
    {"mnli-mm", "mnli", "MNLI/dev_mismatched.tsv", true, 0, 1, 2},
};

// One dev file and what is expected of it; texts point into file.
typedef struct data {
    wb_file file, npy;
    int n;
    wb_text texts[MAX_EXAMPLES];
    int labels[MAX_EXAMPLES];
    const char *logits;  // [n, n_labels] f32, unaligned
    int n_labels;
    double score;
    int label_order[MAX_LABELS];
} data;

static void check(bool condition, const char *what, const char *detail) {
    if (condition) return;
    fprintf(stderr, "test_glue: %s %s\n", what, detail);
    exit(1);
}

static void map(wb_file *file, const char *dir, const char *name) {
    char path[1024];
    wb_error err;
    check(wb_path_join(path, sizeof path, dir, name), "path too long:", name);
    check(!wb_file_map(file, path, &err), err.message, "");
}

// ---- Reading ----

static int label_of(const char *text, size_t n) {
    static const char *const names[] = {"entailment", "neutral", "contradiction"};
    for (int i = 0; i < 3; i++)
        if (n == strlen(names[i]) && memcmp(text, names[i], n) == 0) return i;
    return text[0] - '0';
}

static void read_row(data *d, const task *t, const char *row, size_t n) {
    wb_text *text = &d->texts[d->n];
    *text = (wb_text){.text = NULL};
    int column = 0;
    for (size_t at = 0; at <= n; column++) {
        const char *tab = memchr(row + at, '\t', n - at);
        const size_t length = tab ? (size_t)(tab - row) - at : n - at;
        if (column == t->text_column) text->text = row + at, text->n_bytes = length;
        if (column == t->pair_column) text->pair = row + at, text->pair_bytes = length;
        if (column == t->label_column) d->labels[d->n] = label_of(row + at, length);
        at += length + 1;
    }
    check(text->text != NULL, "a row has too few columns in", t->file);
    d->n++;
}

static void read_rows(data *d, const task *t, const char *shared, int most) {
    char dir[1024];
    check(wb_path_join(dir, sizeof dir, shared, "glue"), "path too long", "");
    map(&d->file, dir, t->file);
    const char *text = (const char *)d->file.data;
    const size_t n = d->file.n_bytes;
    bool is_header = t->has_header;
    for (size_t at = 0; at < n && d->n < most;) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - text) - at : n - at;
        if (!is_header && length > 0) read_row(d, t, text + at, length);
        is_header = false;
        at += length + 1;
    }
}

// An .npy of version 1: magic, version, two bytes of header length, header, data.
static void read_logits(data *d, const task *t, const char *shared) {
    char dir[1024], name[64];
    check(wb_path_join(dir, sizeof dir, shared, "models/logits"), "path too long", "");
    snprintf(name, sizeof name, "%s.npy", t->name);
    map(&d->npy, dir, name);
    const uint8_t *bytes = d->npy.data;
    check(d->npy.n_bytes > 10 && memcmp(bytes, "\x93NUMPY\x01", 7) == 0, "not an .npy:", name);
    const size_t header = 10 + (size_t)bytes[8] + 256 * (size_t)bytes[9];
    d->n_labels = strncmp(t->model, "mnli", 4) == 0 ? 3 : 2;
    const size_t row = (size_t)d->n_labels * sizeof(float);
    check((d->npy.n_bytes - header) / row >= (size_t)d->n, "too few rows in", name);
    d->logits = (const char *)bytes + header;
}

static void read_expected(data *d, const task *t, const char *shared) {
    char path[1024];
    json_error_t error;
    check(wb_path_join(path, sizeof path, shared, "models/expected.json"), "path too long", "");
    json_t *root = json_load_file(path, 0, &error);
    const json_t *of_task = json_object_get(json_object_get(root, "scores"), t->name);
    check(of_task != NULL, "no expected score of", t->name);
    d->score = json_number_value(json_object_get(of_task, "value"));
    for (int i = 0; i < d->n_labels; i++)
        d->label_order[i] = (int)json_integer_value(
            json_array_get(json_object_get(of_task, "label_order"), (size_t)i));
    json_decref(root);
}

// ---- Scores: accuracy, Matthews (cola), mean of accuracy and F1 (mrpc) ----

static double score_of(const data *d, const task *t, const float *logits) {
    double counts[2][2] = {{0}}, right = 0.0;
    for (int i = 0; i < d->n; i++) {
        const float *row = logits + i * d->n_labels;
        int best = 0;
        for (int j = 1; j < d->n_labels; j++)
            if (row[j] > row[best]) best = j;
        const int guess = d->label_order[best];
        right += guess == d->labels[i];
        counts[guess == 1][d->labels[i] == 1] += 1.0;
    }
    const double tp = counts[1][1], fp = counts[1][0], fn = counts[0][1], tn = counts[0][0];
    const double product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
    if (strcmp(t->name, "cola") == 0)
        return product > 0.0 ? (tp * tn - fp * fn) / sqrt(product) : 0.0;
    if (strcmp(t->name, "mrpc") == 0) return (right / d->n + 2 * tp / (2 * tp + fp + fn)) / 2.0;
    return right / d->n;
}

static double largest_difference(const data *d, const float *logits) {
    double largest = 0.0;
    for (int i = 0; i < d->n * d->n_labels; i++) {
        float want;
        memcpy(&want, d->logits + (size_t)i * sizeof want, sizeof want);
        const double difference = fabs((double)logits[i] - (double)want);
        if (!(difference <= largest)) largest = difference;
    }
    return largest;
}

// ---- Running ----

static void run(float *logits, const data *d, const wb_model *model, const char *technique) {
    wb_options options = wb_default_options();
    options.technique = technique;
    wb_engine *engine;
    wb_error err;
    check(!wb_engine_open(&engine, model, &options, &err), err.message, technique);
    check(!wb_classify(engine, d->texts, d->n, logits, &err), err.message, technique);
    wb_engine_close(engine);
}

static int judge(const data *d, const task *t, const wb_model *model, bool is_cut) {
    static float f32[MAX_EXAMPLES * MAX_LABELS], i8[MAX_EXAMPLES * MAX_LABELS];
    run(f32, d, model, "f32-flash+packed");
    run(i8, d, model, "i8-dynamic+packed");
    const double difference = largest_difference(d, f32);
    const double score = score_of(d, t, f32), kept = score_of(d, t, i8) / score;
    int n_bad = !(difference <= LOGITS_TOLERANCE);
    printf("%-8s %5d examples: f32 logits within %.1e of the reference, allowed %.0e  %s\n",
           t->name, d->n, difference, LOGITS_TOLERANCE, n_bad ? "NOT OK" : "OK");
    if (is_cut) return n_bad;  // the expected score is of the whole file
    const bool is_score = fabs(score - d->score) < 5e-5, is_kept = kept >= KEPT_BY_INT8;
    printf("%-8s f32 score %.4f, expected %.4f  %s; int8 keeps %.2f %%  %s\n", t->name, score,
           d->score, is_score ? "OK" : "NOT OK", 100.0 * kept, is_kept ? "OK" : "NOT OK");
    return n_bad + !is_score + !is_kept;
}

static int run_task(const task *t, const char *models, const char *shared, bool is_full) {
    static data d;
    d = (data){.n = 0};
    char dir[1024];
    snprintf(dir, sizeof dir, "%s/distilbert-%s", models, t->model);
    const bool is_cut = !is_full && strcmp(t->model, "mnli") == 0;
    read_rows(&d, t, shared, is_cut ? QUICK_EXAMPLES : MAX_EXAMPLES);
    read_logits(&d, t, shared);
    read_expected(&d, t, shared);
    wb_model *model;
    wb_error err;
    check(!wb_model_open(&model, dir, &err), err.message, "");
    check(wb_model_describe(model)->n_labels == d.n_labels, "wrong number of labels:", dir);
    const int n_bad = judge(&d, t, model, is_cut);
    wb_model_close(model);
    wb_file_close(&d.file);
    wb_file_close(&d.npy);
    return n_bad;
}

static bool has_file(const char *dir, const char *name) {
    char path[1024];
    return wb_path_join(path, sizeof path, dir, name) && wb_file_exists(path);
}

int main(int argc, char **argv) {
    const char *models = getenv("WATTBERT_MODELS"), *shared = getenv("WATTBERT_SHARED");
    const bool is_full = argc > 1 && strcmp(argv[1], "--full") == 0;
    if (!shared) shared = WB_SOURCE_DIR "/../shared";
    if (!models || !has_file(models, "distilbert-sst2/config.json") ||
        !has_file(shared, "models/expected.json")) {
        printf(
            "skipped: needs WATTBERT_MODELS, a folder of the assembled checkpoints, and the "
            "shared data folder beside the checkout\n");
        return SKIPPED;
    }
    int n_bad = 0;
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        n_bad += run_task(&tasks[i], models, shared, is_full);
    printf("%s\n", n_bad ? "NOT OK" : "OK");
    return n_bad ? 1 : 0;
}
