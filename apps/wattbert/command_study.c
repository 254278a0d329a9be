// SPDX-License-Identifier: Apache-2.0
// `wattbert study`: every technique on every task, joules, throughput, carbon and score, into
// results.csv, then the report. One model and task after the other; what is finished is on
// disk, and Ctrl-C with --resume loses no more than one task's windows.
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/base.h"
#include "device.h"
#include "models.h"
#include "report/report.h"
#include "study/interrupt.h"
#include "study/study.h"

// The command line; numbers below 0 were not given.
typedef struct study_arguments {
    study_options options;
    carbon_options carbon;
    wb_meter_options meter;
    app_list tasks, techniques, protocols;
    const char *out;
    double carbon_intensity;
    const char *device;  // as asked for
    char device_name[24];
    int seed, memory_mb;
    bool is_resumed, is_quick;
} study_arguments;

static const char usage_text[] =
    "Measures every technique on every task and writes OUT/results.csv, OUT/power.csv,\n"
    "OUT/report.html and its figures; the table also goes to standard output.\n"
    "\n"
    "A MODEL is a Hugging Face folder. It runs the tasks that its name says\n"
    "(distilbert-base-uncased-finetuned-sst-2: sst2; mnli: mnli and mnli-mm), those of --task\n"
    "only; TASK=MODEL says it where the name does not.\n"
    "\n"
    "Protocols: padded is the study's own, batches of 16 padded to 128 tokens; sorted pads each\n"
    "batch of 16 to its longest; packed has no padding. Rows of the last two are called\n"
    "TECHNIQUE+sorted and TECHNIQUE+packed. `all` techniques run under padded and packed unless\n"
    "--protocol says otherwise. What a machine cannot run is a row with the reason.\n"
    "\n"
    "With --device cuda all techniques run on a GPU, whose own counter (NVML) is read; rows of\n"
    "the CPU and of GPUs go into one results.csv with --resume, and into one report.\n"
    "i8-static and fp8 take their scales from --scales; without, they are made from 256 examples\n"
    "of the task's training file below DIR and kept in OUT/scales.\n"
    "\n"
    "Energy is of a sample of --examples texts, the same for all techniques, in --windows\n"
    "windows each, interleaved in random order; the score is of all examples and carries a\n"
    "95 % interval. Scores that differ from the baseline's in a paired bootstrap are flagged.\n"
    "\n"
    "Ctrl-C writes what was measured, flagged as interrupted; --resume goes on from there and\n"
    "repeats finished rows only where --examples or --windows differ. Without --resume an\n"
    "older results.csv is renamed to results.csv.old. --time-limit ends by itself: rows say how\n"
    "many windows they have, and what was not reached is left to --resume.\n"
    "\n"
    "  wattbert study distilbert-sst2 distilbert-mnli --data glue --out study\n"
    "  wattbert study rte=my-model --data glue --technique baseline,i8-dynamic+packed\n"
    "  wattbert study demo/model --task sst2 --file demo/reviews.tsv --quick\n";

enum {
    DEFAULT_EXAMPLES = 256,
    QUICK_EXAMPLES = 64,
    QUICK_SCORE_EXAMPLES = 1000,
    GPU_TOKENS = 1 << 18,
    QUICK_GPU_TOKENS = 1 << 16,
};

static int parse(study_arguments *a, int argc, char **argv, char ***words, int *n_words) {
    study_options *o = &a->options;
    const app_option table[] = {
        {"task", "T,..", "only these tasks: cola sst2 mrpc qqp stsb mnli mnli-mm qnli rte wnli",
         APP_LIST, &a->tasks, 0, 0},
        {"data", "DIR", "the folder of GLUE's folders", APP_STRING, &o->data, 0, 0},
        {"file", "FILE", "the examples of the only task", APP_STRING, &o->file, 0, 0},
        {"split", "NAME", "dev (default) or train", APP_STRING, &o->split, 0, 0},
        {"technique", "T,..", "all (default) or names; wattbert plan MODEL lists them", APP_LIST,
         &a->techniques, 0, 0},
        {"scales", "FILE", "of wattbert quantize, for i8-static and fp8; default: made here",
         APP_STRING, &o->scales, 0, 0},
        {"protocol", "P,..", "padded, sorted, packed; default padded and packed", APP_LIST,
         &a->protocols, 0, 0},
        {"out", "DIR", "where to write, default wattbert-study", APP_STRING, &a->out, 0, 0},
        {"resume", NULL, "go on from DIR/results.csv", APP_FLAG, &a->is_resumed, 0, 0},
        {"quick", NULL, "64 examples, 3 windows of 0.3 s, score on 1000 examples", APP_FLAG,
         &a->is_quick, 0, 0},
        {"examples", "N", "texts measured, default 256; 0: all", APP_INT, &o->n_examples, 0, 1e9},
        {"score-examples", "N", "scored, default 0: all", APP_INT, &o->n_score_examples, 0, 1e9},
        {"windows", "N", "of each technique, default 5", APP_INT, &o->n_windows, 1, 1000},
        {"min-seconds", "S", "of a window, default 2", APP_DOUBLE, &o->min_s, 0.01, 3600},
        {"component-seconds", "S", "of each component's replay, default 0.3; 0: no components",
         APP_DOUBLE, &o->component_s, 0, 3600},
        {"idle-seconds", "S", "rest before a task, default 2", APP_DOUBLE, &o->idle_s, 0.01, 3600},
        {"time-limit", "S", "fewer windows, then no components, where more would take longer",
         APP_DOUBLE, &o->limit_s, 1, 1e7},
        {"min-tokens", "N", "repeat the texts until a pass has N tokens; default 0, a GPU's 262144",
         APP_INT, &o->min_tokens, 0, 1e8},
        {"device", "NAME", DEVICE_HELP, APP_STRING, &a->device, 0, 0},
        {"threads", "N", "default: one per core", APP_INT, &o->n_threads, 1, 4096},
        {"pin", NULL, PIN_HELP, APP_FLAG, &o->is_pinned, 0, 0},
        {"cache", "DIR", CACHE_HELP, APP_STRING, &o->cache, 0, 0},
        {"batch-size", "N", "texts a padded batch, default 16", APP_INT, &o->batch_size, 1, 65536},
        {"padded-length", "N", "tokens a padded text (128)", APP_INT, &o->padded_length, 3, 1e6},
        {"memory", "MB", "of engines kept open, default a quarter of the host's, half of a GPU's",
         APP_INT, &a->memory_mb, 1, 1e8},
        {"label-order", "I,J,..", "GLUE's label of each output; default: by name, or found",
         APP_STRING, &o->label_order, 0, 0},
        {"seed", "N", "of samples, windows, bootstrap; default 1", APP_INT, &a->seed, 0, 1e9},
        {"energy-source", "NAME", "nvml, rapl, perf, hwmon, replay or modelled; default: the best",
         APP_STRING, &a->meter.source, 0, 0},
        {"replay", "FILE", "the trace of the replay source", APP_STRING, &a->meter.replay, 0, 0},
        {"watts-per-core", "W", "of the modelled source", APP_DOUBLE, &a->meter.watts_per_core,
         0.001, 1000},
        {"carbon-intensity", "G", "grams of CO2e per kWh", APP_DOUBLE, &a->carbon_intensity, 0,
         10000},
        {"carbon-zone", "ZONE", "yearly mean of a country, DEU or Germany", APP_STRING,
         &a->carbon.zone, 0, 0},
        {"carbon-live", "ZONE", "Electricity Maps' value now; token in ELECTRICITYMAPS_TOKEN",
         APP_STRING, &a->carbon.live_zone, 0, 0},
        {"carbon-url", "URL", "of another service with Electricity Maps' interface", APP_STRING,
         &a->carbon.url, 0, 0},
        {"pue", "X", "the building's power usage effectiveness, default 1", APP_DOUBLE,
         &a->carbon.pue, 1, 10},
    };
    const int n_options = sizeof table / sizeof *table;
    const app_usage usage = {"study [TASK=]MODEL... --data DIR", usage_text, table, n_options};
    return app_parse(&usage, argc, argv, words, n_words);
}

// The device that will run, settled once: rows must not differ in it, and a GPU that is missing is
// told before anything is measured.
static wb_status choose_device(study_arguments *a, wb_error *err) {
    study_options *o = &a->options;
    wb_error problem = {0};
    o->device = "cpu";
    if (!a->device || strcmp(a->device, "cpu") == 0) return WB_OK;
    const wb_status status = wb_gpu_describe(&o->gpu, a->device, &problem);
    if (status && strcmp(a->device, "auto") != 0)
        return wb_fail(err, status, problem.offset, "%s", problem.message);
    if (status) {
        fprintf(stderr, "wattbert: note: runs on the CPU: %s\n", problem.message);
        return WB_OK;
    }
    snprintf(a->device_name, sizeof a->device_name, "cuda:%d", o->gpu.ordinal);
    o->device = a->device_name;
    return WB_OK;
}

// What neither the command line nor --quick says.
static void complete(study_arguments *a) {
    study_options *o = &a->options;
    const bool q = a->is_quick, is_gpu = o->gpu.name[0] != 0;
    if (o->min_tokens < 0) o->min_tokens = !is_gpu ? 0 : q ? QUICK_GPU_TOKENS : GPU_TOKENS;
    if (o->n_examples < 0) o->n_examples = q ? QUICK_EXAMPLES : DEFAULT_EXAMPLES;
    if (o->n_score_examples < 0) o->n_score_examples = q ? QUICK_SCORE_EXAMPLES : 0;
    if (o->n_windows < 0) o->n_windows = q ? 3 : 5;
    if (o->min_s < 0.0) o->min_s = q ? 0.3 : 2.0;
    if (o->component_s < 0.0) o->component_s = q ? 0.05 : 0.3;
    if (o->idle_s < 0.0) o->idle_s = q ? 0.5 : 2.0;
    o->seed = (uint64_t)a->seed;
    const size_t host = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    // The other half of a GPU's is for the engine being opened, captured activations and the
    // driver.
    const size_t most = is_gpu ? o->gpu.memory_bytes / 2 : host / 4;
    o->engine_bytes = a->memory_mb > 0 ? (size_t)a->memory_mb << 20 : most;
    a->carbon.g_per_kwh = a->carbon_intensity;
}

static int check(const study_arguments *a, int n_words, int n_pairs) {
    const study_options *o = &a->options;
    if (n_words < 1) return app_fail(EXIT_USAGE, "study: give MODEL folders, see --help");
    if (!o->data && !o->file)
        return app_fail(EXIT_USAGE, "study: give --data or --file, see --help");
    if (o->file && n_pairs != 1)
        return app_fail(EXIT_USAGE, "study: --file is for one model and one task, here are %d",
                        n_pairs);
    if (o->scales && n_words != 1)
        return app_fail(EXIT_USAGE, "study: --scales is for one model, here are %d", n_words);
    if (strcmp(o->split, "dev") != 0 && strcmp(o->split, "train") != 0)
        return app_fail(EXIT_USAGE, "study: --split is dev or train, not \"%s\"", o->split);
    return -1;
}

// ---- Running ----------------------------------------------------------------

// The study while it runs.
typedef struct study {
    const study_arguments *arguments;
    study_pair pairs[STUDY_MAX_PAIRS];
    study_choice choices[STUDY_MAX_CELLS];
    int n_pairs, n_choices;
    int n_failed;  // rows
    wb_meter *meter;
    study_store store;
    progress progress;
    uint64_t started_ns;
} study;

// Finds what is missing before anything is measured: a task late in the list must not fail after
// an hour.
static wb_status check_pair(const study_arguments *a, const study_pair *pair, wb_error *err) {
    char path[4096];
    wb_model *model;
    wb_status status = WB_OK;
    const study_options *o = &a->options;
    if (!o->file) status = glue_data_find(path, sizeof path, pair->task, o->data, o->split, err);
    if (!status) status = models_open(&model, pair->dir, err);
    if (status) return status;
    status = glue_check_model(pair->task, wb_model_describe(model), err);
    wb_model_close(model);
    return status;
}

// Marks the cells whose rows an earlier run has finished; false where some are left.
static bool find_done(study_group *g, const study_store *store) {
    bool is_all_done = true;
    for (int i = 0; i < g->n_cells; i++) {
        result_row like;
        study_cell *cell = &g->cells[i];
        cell_row(&like, g, cell);
        like.windows = g->options->n_windows;
        cell->is_done = store_find(store, &like) != NULL;
        is_all_done &= cell->is_done;
    }
    return is_all_done;
}

static void tell_order(study *s, const study_group *g) {
    char order[256];
    if (strncmp(g->order.source, "found", 5) != 0 && !g->order.warning[0]) return;
    glue_order_print(order, sizeof order, &g->order);
    progress_wipe(&s->progress);
    if (g->order.warning[0]) fprintf(stderr, "wattbert: note: %s\n", g->order.warning);
    fprintf(stderr, "wattbert: note: label order of %s on %s: %s\n", g->info->path,
            g->pair->task->name, order);
}

// Each task has an equal part of the time that is left.
static double group_deadline_s(const study *s, int n_left) {
    const double limit_s = s->arguments->options.limit_s;
    const double now_s = (double)(wb_clock_ns() - s->started_ns) / 1e9;
    return limit_s > 0.0 ? now_s + (limit_s - now_s) / n_left : INFINITY;
}

static void tell_failed(study *s, const study_group *g) {
    int n = 0;
    for (int i = 0; i < g->n_cells; i++) n += g->cells[i].is_failed;
    if (n == 0) return;
    s->n_failed += n;
    progress_wipe(&s->progress);
    fprintf(stderr,
            "wattbert: note: %d of %d techniques of %s found no memory, their rows say for what, "
            "--resume tries again\n",
            n, g->n_cells, g->pair->task->name);
}

static void tell_unmeasured(study *s, const study_group *g) {
    int n = 0;
    for (int i = 0; i < g->n_cells; i++) n += !g->cells[i].is_done;
    if (n == 0) return;
    progress_wipe(&s->progress);
    fprintf(stderr,
            "wattbert: note: the time was up before %d techniques of %s, --resume measures them\n",
            n, g->pair->task->name);
}

static wb_status run_group(study *s, int pair, wb_error *err) {
    study_group g = {
        .options = &s->arguments->options,
        .pair = &s->pairs[pair],
        .meter = s->meter,
        .store = &s->store,
        .progress = &s->progress,
        .n_groups_left = s->n_pairs - pair - 1,
        .started_ns = s->started_ns,
        .deadline_s = group_deadline_s(s, s->n_pairs - pair),
    };
    wb_status status = group_open(&g, s->choices, s->n_choices, err);
    if (!status && !find_done(&g, &s->store)) {
        status = group_score(&g, err);
        if (!status) tell_order(s, &g);
        if (!status) status = group_measure(&g, err);
        if (!status) tell_failed(s, &g);
        if (!status) tell_unmeasured(s, &g);
        // What was measured before a failure is kept; the failure is what is told.
        if (status) (void)group_put_unfinished(&g, NULL);
    }
    group_close(&g);
    return status;
}

static int finish(study *s) {
    const char *const paths[] = {s->store.path};
    progress_wipe(&s->progress);
    if (s->store.table.n_rows == 0)
        return app_fail(EXIT_MACHINE,
                        "study: nothing was measured in %g s, give a longer --time-limit",
                        s->arguments->options.limit_s);
    fflush(s->store.power);
    table_print(&s->store.table);
    printf("\n%s\n", s->store.path);
    fflush(stdout);
    return report_write(paths, 1, s->store.dir);
}

static int run(study *s) {
    const study_arguments *a = s->arguments;
    wb_error err;
    wb_status status = WB_OK;
    for (int i = 0; !status && i < s->n_pairs; i++) status = check_pair(a, &s->pairs[i], &err);
    // Before the store: without a meter an older study must not be set aside.
    if (!status) status = device_meter_open(&s->meter, &a->meter, a->options.gpu.uuid, &err);
    if (!status) status = store_open(&s->store, a->out, a->is_resumed, &err);
    interrupt_listen();
    progress_open(&s->progress);
    s->started_ns = wb_clock_ns();
    for (int i = 0; !status && i < s->n_pairs; i++) status = run_group(s, i, &err);
    int code = EXIT_OK;
    // A failure late in a long study leaves the report of what came before it.
    if (!status || (status != WB_ERR_CANCELLED && s->store.table.n_rows > 0)) code = finish(s);
    progress_wipe(&s->progress);
    if (status == WB_ERR_CANCELLED)
        code = app_fail(EXIT_MACHINE, "study: interrupted, %s has %d rows, go on with --resume",
                        s->store.path, s->store.table.n_rows);
    else if (status)
        code = app_fail_error(&err, NULL);
    else if (code == EXIT_OK && s->n_failed > 0)
        code = EXIT_MACHINE;
    wb_meter_close(s->meter);
    store_close(&s->store);
    return code;
}

static int prepare_and_run(study_arguments *a, char **words, int n_words) {
    study s = {.arguments = a};
    wb_error err;
    int code = device_check("study", a->device);
    if (code < 0) code = study_select_pairs(s.pairs, &s.n_pairs, words, n_words, &a->tasks);
    if (code < 0) code = check(a, n_words, s.n_pairs);
    if (code < 0)
        code = study_select_choices(s.choices, &s.n_choices, &a->techniques, &a->protocols);
    if (code >= 0) return code;
    if (choose_device(a, &err)) return app_fail_error(&err, NULL);
    complete(a);
    if (carbon_resolve(&a->options.carbon, &a->carbon, &err)) return app_fail_error(&err, NULL);
    return run(&s);
}

int command_study(int argc, char **argv) {
    const wb_options defaults = wb_default_options();
    study_arguments a = {
        .options = {.split = "dev",
                    .n_examples = -1,
                    .n_score_examples = -1,
                    .n_windows = -1,
                    .min_tokens = -1,
                    .min_s = -1.0,
                    .component_s = -1.0,
                    .idle_s = -1.0,
                    .batch_size = defaults.batch_size,
                    .padded_length = defaults.padded_length},
        .carbon = carbon_default_options(),
        .meter = wb_default_meter_options(),
        .out = "wattbert-study",
        .carbon_intensity = -1.0,
        .seed = 1,
    };
    char **words;
    int n_words;
    int code = parse(&a, argc, argv, &words, &n_words);
    if (code < 0) code = prepare_and_run(&a, words, n_words);
    app_list_free(&a.tasks);
    app_list_free(&a.techniques);
    app_list_free(&a.protocols);
    return code;
}
