// SPDX-License-Identifier: Apache-2.0
// Reads GLUE's files. They are split on tabs with no quoting (many texts hold a single "), and
// every row must have as many fields as the header: a row that does not is an error with its
// line, since a silently dropped row changes a score.
#include "glue/dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "glue/jsonl.h"

// GLUE's widest file, MNLI train, has 16 columns.
enum { MAX_FIELDS = 64 };

typedef struct field {
    const char *data;
    size_t n_bytes;
} field;

// A file on its way into a glue_data.
typedef struct reader {
    const char *name;
    const char *at, *end;
    size_t line;                      // of the text before `at`, from 1
    int n_fields, text, pair, label;  // columns; pair is -1 for single sentences
    int capacity;                     // of the data's arrays
} reader;

static const char *const pair_columns[][2] = {
    {"sentence1", "sentence2"}, {"question1", "question2"}, {"question", "sentence"},
    {"premise", "hypothesis"},  {"#1 String", "#2 String"}, {"text", "pair"},
};
static const char *const text_columns[] = {"sentence", "text"};
// MNLI's own files have five annotators' label1 .. label5 before the gold label.
static const char *const label_columns[] = {"gold_label", "label", "is_duplicate", "score",
                                            "Quality"};
enum {
    N_PAIR_COLUMNS = sizeof pair_columns / sizeof *pair_columns,
    N_TEXT_COLUMNS = sizeof text_columns / sizeof *text_columns,
    N_LABEL_COLUMNS = sizeof label_columns / sizeof *label_columns,
};

static wb_status fail_line(const reader *r, const char *problem, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, r->line, "%s: line %zu: %s", r->name, r->line, problem);
}

// Next line without its end; false at the end of the file.
static bool next_line(reader *r, field *line) {
    if (r->at >= r->end) return false;
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *last = stop ? stop : r->end;
    *line = (field){r->at, (size_t)(last - r->at)};
    if (line->n_bytes > 0 && line->data[line->n_bytes - 1] == '\r') line->n_bytes--;
    r->at = stop ? stop + 1 : r->end;
    r->line++;
    return true;
}

// The number of fields, at most MAX_FIELDS + 1.
static int split(field *fields, field line) {
    int n = 0;
    for (const char *at = line.data, *end = line.data + line.n_bytes;; at++) {
        const char *stop = memchr(at, '\t', (size_t)(end - at));
        if (n == MAX_FIELDS) return n + 1;
        fields[n++] = (field){at, (size_t)((stop ? stop : end) - at)};
        if (!stop) return n;
        at = stop;
    }
}

// ---- Examples ---------------------------------------------------------------

static wb_status add_example(glue_data *data, reader *r, const wb_text *text, double label,
                             wb_error *err) {
    if (data->n_examples == r->capacity) {
        const size_t n = (size_t)r->capacity, grown = n ? 2 * n : 1024;
        wb_text *texts = wb_realloc_array(data->texts, n, grown, sizeof *texts);
        if (texts) data->texts = texts;
        double *labels = texts ? wb_realloc_array(data->labels, n, grown, sizeof *labels) : NULL;
        if (!labels)
            return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its examples", r->name);
        data->labels = labels;
        r->capacity = (int)grown;
    }
    data->texts[data->n_examples] = *text;
    data->labels[data->n_examples++] = label;
    return WB_OK;
}

static wb_status fail_label(const glue_task *task, const reader *r, field cell, wb_error *err) {
    char problem[256];
    const int n_bytes = cell.n_bytes > 40 ? 40 : (int)cell.n_bytes;
    if (task->n_labels == 1)
        snprintf(problem, sizeof problem, "score \"%.*s\" is not a number", n_bytes, cell.data);
    else
        snprintf(problem, sizeof problem, "label \"%.*s\" is none of %s's: %s, %s%s%s", n_bytes,
                 cell.data, task->name, task->labels[0], task->labels[1],
                 task->n_labels > 2 ? ", " : "", task->n_labels > 2 ? task->labels[2] : "");
    return fail_line(r, problem, err);
}

static wb_status parse_label(double *out, const glue_task *task, const reader *r, field cell,
                             wb_error *err) {
    if (task->n_labels > 1) {
        *out = glue_label_parse(task, cell.data, cell.n_bytes);
        return *out >= 0.0 ? WB_OK : fail_label(task, r, cell, err);
    }
    char text[32] = "", *end = text;
    if (cell.n_bytes > 0 && cell.n_bytes < sizeof text) {
        memcpy(text, cell.data, cell.n_bytes);
        *out = strtod(text, &end);
    }
    if (end == text || *end || !isfinite(*out)) return fail_label(task, r, cell, err);
    return WB_OK;
}

// ---- Tab-separated ----------------------------------------------------------

static int find_column(const field *fields, int n_fields, const char *name) {
    for (int i = 0; i < n_fields; i++)
        if (fields[i].n_bytes == strlen(name) && memcmp(fields[i].data, name, strlen(name)) == 0)
            return i;
    return -1;
}

static void find_texts(reader *r, const glue_task *task, const field *fields) {
    for (int i = 0; task->has_pairs && r->pair < 0 && i < N_PAIR_COLUMNS; i++) {
        r->text = find_column(fields, r->n_fields, pair_columns[i][0]);
        r->pair = find_column(fields, r->n_fields, pair_columns[i][1]);
        if (r->text < 0) r->pair = -1;
    }
    for (int i = 0; !task->has_pairs && r->text < 0 && i < N_TEXT_COLUMNS; i++)
        r->text = find_column(fields, r->n_fields, text_columns[i]);
}

// Finds the columns by the header line. CoLA has none: source, label, original mark, sentence.
static wb_status read_header(reader *r, const glue_task *task, wb_error *err) {
    const reader start = *r;
    field line, fields[MAX_FIELDS];
    r->text = r->pair = r->label = -1;
    if (!next_line(r, &line))
        return wb_fail(err, WB_ERR_FORMAT, 0, "%s: empty, expected examples", r->name);
    r->n_fields = split(fields, line);
    if (r->n_fields > MAX_FIELDS) return fail_line(r, "more than 64 columns", err);
    find_texts(r, task, fields);
    for (int i = 0; r->label < 0 && i < N_LABEL_COLUMNS; i++)
        r->label = find_column(fields, r->n_fields, label_columns[i]);
    if (r->text >= 0 && r->label >= 0 && (r->pair >= 0) == task->has_pairs) return WB_OK;
    if (!task->has_pairs && r->n_fields == 4 &&
        glue_label_parse(task, fields[1].data, fields[1].n_bytes) >= 0) {
        *r = start;
        r->n_fields = 4, r->label = 1, r->text = 3, r->pair = -1;
        return WB_OK;
    }
    return fail_line(r,
                     task->has_pairs ? "no header with sentence1, sentence2 and label"
                                     : "no header with sentence and label",
                     err);
}

static wb_status read_tsv(glue_data *data, reader *r, wb_error *err) {
    wb_status status = read_header(r, data->task, err);
    field line, fields[MAX_FIELDS];
    while (!status && next_line(r, &line)) {
        if (line.n_bytes == 0 && r->at >= r->end) break;
        const int n_fields = split(fields, line);
        if (n_fields != r->n_fields) {
            char problem[96];
            snprintf(problem, sizeof problem, "%d fields, the other rows have %d, mend the row",
                     n_fields, r->n_fields);
            return fail_line(r, problem, err);
        }
        wb_text text = {.text = fields[r->text].data, .n_bytes = fields[r->text].n_bytes};
        if (r->pair >= 0) {
            text.pair = fields[r->pair].data;
            text.pair_bytes = fields[r->pair].n_bytes;
        }
        double label;
        status = parse_label(&label, data->task, r, fields[r->label], err);
        if (!status) status = add_example(data, r, &text, label, err);
    }
    return status;
}

// ---- JSON lines -------------------------------------------------------------

static wb_status read_json_label(double *out, const glue_task *task, const reader *r,
                                 const json_t *object, wb_error *err) {
    const json_t *label = NULL;
    for (int i = 0; !label && i < N_LABEL_COLUMNS; i++)
        label = json_object_get(object, label_columns[i]);
    char digits[32];
    field cell = {"", 0};
    if (json_is_string(label)) {
        cell = (field){json_string_value(label), json_string_length(label)};
    } else if (json_is_number(label)) {
        cell.n_bytes = (size_t)snprintf(digits, sizeof digits, "%.9g", json_number_value(label));
        cell.data = digits;
    } else {
        return fail_line(r, "no \"label\"", err);
    }
    return parse_label(out, task, r, cell, err);
}

static wb_status read_json_text(wb_text *out, const glue_task *task, const reader *r,
                                const json_t *object, wb_error *err) {
    for (int i = 0; task->has_pairs && i < N_PAIR_COLUMNS; i++)
        if (json_object_get(object, pair_columns[i][0]) &&
            json_object_get(object, pair_columns[i][1]))
            return jsonl_text(out, object, pair_columns[i][0], pair_columns[i][1], r->name, r->line,
                              err);
    for (int i = 0; !task->has_pairs && i < N_TEXT_COLUMNS; i++)
        if (json_object_get(object, text_columns[i]))
            return jsonl_text(out, object, text_columns[i], NULL, r->name, r->line, err);
    return fail_line(r, task->has_pairs ? "no \"sentence1\" and \"sentence2\"" : "no \"sentence\"",
                     err);
}

static wb_status read_object(glue_data *data, reader *r, const json_t *object, wb_error *err) {
    wb_text text;
    double label;
    wb_status status = read_json_text(&text, data->task, r, object, err);
    if (!status) status = read_json_label(&label, data->task, r, object, err);
    if (status) return status;
    // The object goes; its strings stay.
    char *const copy = wb_string_copy(text.text, text.n_bytes);
    char *const pair = text.pair ? wb_string_copy(text.pair, text.pair_bytes) : NULL;
    text.text = copy;
    if (text.pair) text.pair = pair;
    if (!copy || (data->task->has_pairs && !pair))
        status = wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its texts", r->name);
    if (!status) status = add_example(data, r, &text, label, err);
    if (status) {
        wb_free(copy);
        wb_free(pair);
    }
    return status;
}

static wb_status read_jsonl(glue_data *data, reader *r, wb_error *err) {
    wb_status status = WB_OK;
    for (field line; !status && next_line(r, &line);) {
        if (line.n_bytes == 0) continue;
        json_t *object;
        status = jsonl_parse(&object, line.data, line.n_bytes, r->name, r->line, err);
        if (!status) status = read_object(data, r, object, err);
        json_decref(object);
    }
    return status;
}

// ---- Opening ----------------------------------------------------------------

wb_status glue_data_parse(glue_data **out, const glue_task *task, const char *bytes, size_t n_bytes,
                          const char *name, wb_error *err) {
    *out = NULL;
    glue_data *data = wb_alloc_zeroed(sizeof *data);
    if (!data) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory", name);
    data->task = task;
    reader r = {.name = name, .at = bytes, .end = bytes + n_bytes};
    if (n_bytes >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) r.at += 3;
    const bool is_json = r.at < r.end && *r.at == '{';
    wb_status status = is_json ? read_jsonl(data, &r, err) : read_tsv(data, &r, err);
    if (is_json) data->n_owned = data->n_examples;
    if (!status && data->n_examples == 0)
        status = wb_fail(err, WB_ERR_FORMAT, 0, "%s: no examples after the header", name);
    if (status) {
        glue_data_close(data);
        return status;
    }
    *out = data;
    return WB_OK;
}

wb_status glue_data_open(glue_data **out, const glue_task *task, const char *path, wb_error *err) {
    *out = NULL;
    wb_file file;
    wb_status status = wb_file_map(&file, path, err);
    if (status) return app_advise_file(status, err);
    const char *bytes = file.data ? (const char *)file.data : "";
    status = glue_data_parse(out, task, bytes, file.n_bytes, path, err);
    if (status)
        wb_file_close(&file);
    else
        (*out)->file = file;
    return status;
}

void glue_data_close(glue_data *data) {
    if (!data) return;
    for (int i = 0; i < data->n_owned; i++) {
        wb_free((void *)(uintptr_t)data->texts[i].text);
        wb_free((void *)(uintptr_t)data->texts[i].pair);
    }
    wb_free(data->texts);
    wb_free(data->labels);
    wb_file_close(&data->file);
    wb_free(data);
}

wb_status glue_data_find(char *path, size_t capacity, const glue_task *task, const char *dir,
                         const char *split_name, wb_error *err) {
    const bool is_train = strcmp(split_name, "train") == 0;
    const char *const *files = is_train ? task->train_files : task->dev_files;
    const char *const folders[] = {task->folder, task->family};
    for (int folder = 0; folder < 2; folder++) {
        char below[4096];
        if (!wb_path_join(below, sizeof below, dir, folders[folder])) continue;
        for (int i = 0; i < GLUE_MAX_FILES && files[i]; i++)
            if (wb_path_join(path, capacity, below, files[i]) && wb_file_exists(path)) return WB_OK;
    }
    return wb_fail(err, WB_ERR_IO, 0, "%s/%s: no %s for task %s", dir, task->folder, files[0],
                   task->name);
}

void glue_sample(int *chosen, int n, int n_all, uint64_t seed) {
    // Knuth's selection sampling (TAOCP 2, 3.4.2 S): one pass, the order is kept.
    wb_random random = {seed};
    for (int i = 0, n_chosen = 0; n_chosen < n; i++)
        if (wb_random_below(&random, (uint64_t)(n_all - i)) < (uint64_t)(n - n_chosen))
            chosen[n_chosen++] = i;
}
