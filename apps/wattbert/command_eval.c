// SPDX-License-Identifier: Apache-2.0
// `wattbert eval`: the score of a model on a GLUE task under one technique. A score must not
// depend on how a batch is padded, so a technique with padding pads to the longest text here
// and cuts none that the model can read; the study's fixed 128 tokens belong to `study`.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "device.h"
#include "glue/evaluate.h"
#include "models.h"

typedef struct eval_options {
    const char *task, *data, *file, *split, *technique, *label_order, *device, *scales, *cache;
    int n_threads, seed;
    bool is_json, is_pinned;
} eval_options;

// What one run needs, opened step by step and closed together.
typedef struct evaluation {
    const glue_task *task;
    char path[4096];
    wb_model *model;
    glue_data *data;
    wb_inputs *inputs;
    wb_engine *engine;
    float *logits;
    glue_label_order order;
    glue_result result;
} evaluation;

static const char usage_text[] =
    "Scores a model on a GLUE task: cola sst2 mrpc qqp stsb mnli mnli-mm qnli rte wnli.\n"
    "DIR holds GLUE's folders (CoLA, SST-2, ...) in their own layouts; sentence1 sentence2\n"
    "label with a header line and JSON lines are read too. The value is the task's headline\n"
    "(Matthews for cola; accuracy; mean of accuracy and F1 for mrpc and qqp; mean of Pearson\n"
    "and Spearman for stsb) with a 95 % interval from 1000 bootstrap resamples.\n"
    "\n"
    "Where config.json does not name the labels, their order is found on 300 training\n"
    "examples and reported.\n"
    "\n"
    "  wattbert eval distilbert-sst2 --task sst2 --data glue\n"
    "  wattbert eval distilbert-mnli --task mnli-mm --data glue --technique bf16 --json\n";

static int parse_options(eval_options *o, int argc, char **argv, const char **model) {
    const app_option table[] = {
        {"task", "TASK", "which task", APP_STRING, &o->task, 0, 0},
        {"data", "DIR", "the folder of GLUE's folders", APP_STRING, &o->data, 0, 0},
        {"split", "NAME", "dev (default) or train", APP_STRING, &o->split, 0, 0},
        {"file", "FILE", "score the examples of this file instead", APP_STRING, &o->file, 0, 0},
        {"technique", "NAME", "default f32-flash+packed", APP_STRING, &o->technique, 0, 0},
        {"device", "NAME", DEVICE_HELP, APP_STRING, &o->device, 0, 0},
        {"scales", "FILE", SCALES_HELP, APP_STRING, &o->scales, 0, 0},
        {"cache", "DIR", CACHE_HELP, APP_STRING, &o->cache, 0, 0},
        {"label-order", "I,J,..", "GLUE's label of each output, e.g. 2,0,1; default: found",
         APP_STRING, &o->label_order, 0, 0},
        {"threads", "N", "default: one per core", APP_INT, &o->n_threads, 1, 4096},
        {"pin", NULL, PIN_HELP, APP_FLAG, &o->is_pinned, 0, 0},
        {"seed", "N", "of the bootstrap, default 1", APP_INT, &o->seed, 0, 1e9},
        {"json", NULL, "print one JSON object", APP_FLAG, &o->is_json, 0, 0},
    };
    const app_usage usage = {
        .synopsis = "eval MODEL --task TASK --data DIR",
        .text = usage_text,
        .options = table,
        .n_options = sizeof table / sizeof *table,
    };
    char **words;
    int n_words;
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    if (n_words != 1) return app_fail(EXIT_USAGE, "eval: give one MODEL folder, see --help");
    if (!o->task) return app_fail(EXIT_USAGE, "eval: give --task, see --help");
    if (!o->data && !o->file)
        return app_fail(EXIT_USAGE, "eval: give --data or --file, see --help");
    if (strcmp(o->split, "dev") != 0 && strcmp(o->split, "train") != 0)
        return app_fail(EXIT_USAGE, "eval: --split is dev or train, not \"%s\"", o->split);
    *model = words[0];
    const int unknown = device_check("eval", o->device);
    return unknown >= 0 ? unknown : models_check_technique("eval", o->technique);
}

static wb_status open_data(evaluation *e, const eval_options *o, wb_error *err) {
    wb_status status = WB_OK;
    if (o->file)
        snprintf(e->path, sizeof e->path, "%s", o->file);
    else
        status = glue_data_find(e->path, sizeof e->path, e->task, o->data, o->split, err);
    if (!status) status = glue_data_open(&e->data, e->task, e->path, err);
    return status;
}

static int longest(const wb_inputs *inputs) {
    int most = 0;
    for (int i = 0; i < wb_inputs_count(inputs); i++) {
        int n_ids;
        (void)wb_inputs_ids(inputs, i, &n_ids);
        if (n_ids > most) most = n_ids;
    }
    return most;
}

static wb_status open_engine(evaluation *e, const eval_options *o, wb_error *err) {
    const int n_labels = wb_model_describe(e->model)->n_labels;
    wb_status status =
        wb_inputs_open(&e->inputs, e->model, e->data->texts, e->data->n_examples, 0, err);
    if (status) return status;
    wb_options options = wb_default_options();
    if (o->technique) options.technique = o->technique;
    options.n_threads = o->n_threads;
    options.padded_length = longest(e->inputs);
    options.device = o->device;
    options.scales = o->scales;
    options.cache = o->cache;
    options.pin = o->is_pinned;
    e->logits = wb_alloc_array((size_t)e->data->n_examples * (size_t)n_labels, sizeof *e->logits);
    if (!e->logits) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for the logits");
    return wb_engine_open(&e->engine, e->model, &options, err);
}

static wb_status run(evaluation *e, const eval_options *o, const char *model, wb_error *err) {
    wb_status status = open_data(e, o, err);
    if (!status) status = models_open(&e->model, model, err);
    if (!status) status = glue_check_model(e->task, wb_model_describe(e->model), err);
    if (!status) status = open_engine(e, o, err);
    if (!status)
        status = glue_order_decide(&e->order, e->task, e->model, e->engine, o->data, o->label_order,
                                   err);
    if (!status) status = wb_forward(e->engine, e->inputs, e->logits, NULL, err);
    if (!status)
        status =
            glue_result_open(&e->result, e->data, &e->order, e->logits, (uint64_t)o->seed, err);
    return status;
}

static void close_all(evaluation *e) {
    glue_result_close(&e->result);
    wb_free(e->logits);
    wb_engine_close(e->engine);
    wb_inputs_close(e->inputs);
    glue_data_close(e->data);
    wb_model_close(e->model);
}

// ---- Output -----------------------------------------------------------------

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *metrics_json(const glue_scores *scores) {
    const struct {
        const char *name;
        double value;
    } all[] = {
        {"accuracy", scores->accuracy}, {"f1", scores->f1},
        {"matthews", scores->matthews}, {"pearson", scores->pearson},
        {"spearman", scores->spearman},
    };
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!isnan(all[i].value)) json_object_set_new(object, all[i].name, json_real(all[i].value));
    return object;
}

static json_t *order_json(const glue_label_order *order) {
    json_t *array = json_array();
    for (int i = 0; i < order->n_labels; i++)
        json_array_append_new(array, json_integer(order->map[i]));
    return array;
}

static int print_json(const evaluation *e) {
    const glue_interval *h = &e->result.headline;
    json_t *root = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:i, s:o, s:s, s:s, s:s, s:s}", "task", e->task->name,
        "metric", glue_headline_name(e->task->headline), "value", number(h->value), "low",
        number(h->low), "high", number(h->high), "metrics", metrics_json(&e->result.scores),
        "examples", e->result.n_examples, "label_order", order_json(&e->order),
        "label_order_source", e->order.source, "technique", wb_engine_plan(e->engine)->technique,
        "device", wb_engine_plan(e->engine)->device_name, "file", e->path);
    char *text = root ? json_dumps(root, JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    if (!text) return app_fail(EXIT_INPUT, "eval: %s is no UTF-8 and cannot be printed", e->path);
    puts(text);
    free(text);
    return EXIT_OK;
}

static void print_text(const evaluation *e) {
    const glue_interval *h = &e->result.headline;
    const glue_scores *s = &e->result.scores;
    char order[256];
    glue_order_print(order, sizeof order, &e->order);
    printf("%-10s %s\n", "task", e->task->name);
    printf("%-10s %.4f  95 %% interval %.4f to %.4f  (%s)\n", "score", h->value, h->low, h->high,
           glue_headline_name(e->task->headline));
    if (!isnan(s->accuracy)) printf("%-10s %.4f\n", "accuracy", s->accuracy);
    if (!isnan(s->f1)) printf("%-10s %.4f\n", "f1", s->f1);
    if (!isnan(s->matthews)) printf("%-10s %.4f\n", "matthews", s->matthews);
    if (!isnan(s->pearson)) printf("%-10s %.4f\n", "pearson", s->pearson);
    if (!isnan(s->spearman)) printf("%-10s %.4f\n", "spearman", s->spearman);
    printf("%-10s %d of %s\n", "examples", e->result.n_examples, e->path);
    printf("%-10s %s\n", "labels", order);
    printf("%-10s %s\n", "technique", wb_engine_plan(e->engine)->technique);
    printf("%-10s %s\n", "device", wb_engine_plan(e->engine)->device_name);
}

static void print_notes(const evaluation *e) {
    device_note(wb_engine_plan(e->engine));
    if (e->order.warning[0]) fprintf(stderr, "wattbert: note: %s\n", e->order.warning);
    if (strncmp(e->order.source, "found", 5) == 0) {
        char order[256];
        glue_order_print(order, sizeof order, &e->order);
        fprintf(stderr, "wattbert: note: label order of %s: %s\n",
                wb_model_describe(e->model)->path, order);
    }
    if (e->result.n_bad > 0)
        fprintf(stderr, "wattbert: note: %d examples have logits that are no finite numbers\n",
                e->result.n_bad);
}

int command_eval(int argc, char **argv) {
    eval_options o = {.split = "dev", .seed = 1};
    const char *model = NULL;
    const int code = parse_options(&o, argc, argv, &model);
    if (code >= 0) return code;
    evaluation e = {.task = glue_task_find(o.task)};
    if (!e.task)
        return app_fail(EXIT_USAGE,
                        "eval: no task \"%s\", give one of cola sst2 mrpc qqp stsb mnli mnli-mm "
                        "qnli rte wnli",
                        o.task);
    wb_error err;
    int result;
    if (run(&e, &o, model, &err)) {
        const bool lacks_dev = !e.data && !o.file && err.status == WB_ERR_IO;
        result = app_fail_error(&err, lacks_dev ? "give --split train or --file FILE" : NULL);
    } else {
        print_notes(&e);
        result = EXIT_OK;
        if (o.is_json)
            result = print_json(&e);
        else
            print_text(&e);
    }
    close_all(&e);
    return result;
}
