// SPDX-License-Identifier: Apache-2.0
// `wattbert quantize`: static scales for int8 and fp8 from a few hundred texts, written to a file
// that the other commands take with --scales.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "calibration.h"
#include "models.h"

typedef struct quantize_options {
    const char *texts, *out, *task;
    bool is_jsonl, is_pairs;
    int n_texts, seed, n_threads;
    double max_error;
} quantize_options;

static const char usage_text[] =
    "Finds the range that the inputs of each of the model's products have, by running it in f32\n"
    "over texts like those to come, and writes DIR/scales.json: what the techniques i8-static and\n"
    "i8-static+packed need (and fp8 on a GPU). Outliers are moved into the weights where that\n"
    "helps; matrices whose error would be too large run in a dearer precision, and the file says\n"
    "which. It names the model's and the texts' hashes and serves this model alone.\n"
    "\n"
    "FILE holds a text a line (with --pairs: text, tab, pair), JSON lines ({\"text\": \"...\",\n"
    "\"pair\": \"...\"}), or with --task examples in GLUE's layout. Of a longer file a sample is\n"
    "used, the same every time.\n"
    "\n"
    "--max-error bounds the change of the logits, all matrices together, as a share of their\n"
    "spread over the texts. Where a score falls too far, give a smaller one.\n"
    "\n"
    "  wattbert quantize distilbert-sst2 --calibrate glue/SST-2/train.tsv --task sst2 -o sst2\n"
    "  wattbert eval distilbert-sst2 --task sst2 --data glue --technique i8-static+packed \\\n"
    "      --scales sst2/scales.json\n";

// -o is what compilers call it.
static void spell_out(int argc, char **argv) {
    static char out[] = "--out";
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-o") == 0) argv[i] = out;
}

static int parse_options(quantize_options *o, int argc, char **argv, const char **model) {
    const app_option table[] = {
        {"calibrate", "FILE", "the texts", APP_STRING, &o->texts, 0, 0},
        {"out", "DIR", "or -o: where scales.json goes; made where it is missing", APP_STRING,
         &o->out, 0, 0},
        {"task", "TASK", "FILE has GLUE's layout of this task", APP_STRING, &o->task, 0, 0},
        {"jsonl", NULL, "FILE has JSON lines", APP_FLAG, &o->is_jsonl, 0, 0},
        {"pairs", NULL, "lines are text, tab, pair", APP_FLAG, &o->is_pairs, 0, 0},
        {"texts", "N", "use at most so many, default 256", APP_INT, &o->n_texts, 2, 100000},
        {"max-error", "X", "of the logits, default 0.05", APP_DOUBLE, &o->max_error, 1e-6, 1000},
        {"seed", "N", "of the sample, default 1", APP_INT, &o->seed, 0, 1e9},
        {"threads", "N", "default: one per core", APP_INT, &o->n_threads, 1, 4096},
    };
    const app_usage usage = {
        .synopsis = "quantize MODEL --calibrate FILE -o DIR",
        .text = usage_text,
        .options = table,
        .n_options = sizeof table / sizeof *table,
    };
    char **words;
    int n_words;
    spell_out(argc, argv);
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    if (n_words != 1) return app_fail(EXIT_USAGE, "quantize: give one MODEL folder, see --help");
    if (!o->texts || !o->out)
        return app_fail(EXIT_USAGE, "quantize: give --calibrate FILE and -o DIR, see --help");
    if ((o->task != NULL) + o->is_jsonl + o->is_pairs > 1)
        return app_fail(EXIT_USAGE, "quantize: --task, --jsonl and --pairs exclude each other");
    *model = words[0];
    return -1;
}

// ---- Output -----------------------------------------------------------------

static void show_progress(void *context, double share) {
    (void)context;
    fprintf(stderr, "\rcalibrating %3.0f %%", 100.0 * share);
}

static void print_count(const char *name, int n, const char *what) {
    if (n > 0) printf("%-12s %d %s\n", name, n, what);
}

static void print_result(const quantize_options *o, const calibration_texts *texts,
                         const wb_quantize_result *r, const char *file) {
    printf("%-12s %d of %d in %s, %llu tokens\n", "texts", r->n_texts, texts->n_all, o->texts,
           (unsigned long long)r->n_tokens);
    printf("%-12s %d inside the layers, outliers moved into the weights of %d\n", "matrices",
           r->n_matrices, r->n_smoothed);
    printf("%-12s %d matrices in int8 with fixed scales\n", "i8-static", r->n_i8_static);
    print_count("", r->n_i8_dynamic, "in int8 with a scale per token");
    print_count("", r->n_matrices - r->n_i8_static - r->n_i8_dynamic, "in f32");
    printf("%-12s logits move by %.2g of their spread\n", "", r->i8_error);
    printf("%-12s %d matrices in fp8 with fixed scales, simulated\n", "fp8", r->n_fp8_static);
    print_count("", r->n_matrices - r->n_fp8_static, "in f16");
    printf("%-12s logits move by %.2g\n", "", r->fp8_error);
    printf("\n%s\n", file);
}

// ---- The command ------------------------------------------------------------

// Where scales.json goes; the folder is made, its parents are not.
static int find_file(char *file, size_t capacity, const char *dir) {
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return app_fail(EXIT_INPUT, "%s: %s, give a folder that can be made", dir, strerror(errno));
    if (!wb_path_join(file, capacity, dir, "scales.json"))
        return app_fail(EXIT_INPUT, "%.64s..: the path is too long", dir);
    return -1;
}

static wb_status run(const quantize_options *o, const glue_task *task, const char *dir,
                     const char *file, wb_error *err) {
    const text_form form = o->is_jsonl ? TEXT_JSONL : o->is_pairs ? TEXT_PAIRS : TEXT_LINES;
    const bool has_terminal = isatty(STDERR_FILENO);
    wb_quantize_options options = wb_default_quantize_options();
    options.n_threads = o->n_threads;
    options.max_error = o->max_error;
    options.on_progress = has_terminal ? show_progress : NULL;
    calibration_texts texts;
    wb_quantize_result result;
    wb_model *model = NULL;
    wb_status status =
        calibration_open(&texts, o->texts, task, form, o->n_texts, (uint64_t)o->seed, err);
    if (!status) status = models_open(&model, dir, err);
    if (!status) status = calibration_run(&texts, model, o->texts, options, file, &result, err);
    if (has_terminal) fprintf(stderr, "\r%20s\r", "");
    if (!status) print_result(o, &texts, &result, file);
    wb_model_close(model);
    calibration_close(&texts);
    return status;
}

int command_quantize(int argc, char **argv) {
    quantize_options o = {.n_texts = CALIBRATION_TEXTS,
                          .seed = 1,
                          .max_error = wb_default_quantize_options().max_error};
    const char *model = NULL;
    int code = parse_options(&o, argc, argv, &model);
    if (code >= 0) return code;
    const glue_task *task = o.task ? glue_task_find(o.task) : NULL;
    if (o.task && !task)
        return app_fail(
            EXIT_USAGE,
            "quantize: no task \"%s\", give one of cola sst2 mrpc qqp stsb mnli mnli-mm "
            "qnli rte wnli",
            o.task);
    char file[4096];
    code = find_file(file, sizeof file, o.out);
    if (code >= 0) return code;
    wb_error err;
    return run(&o, task, model, file, &err) ? app_fail_error(&err, NULL) : EXIT_OK;
}
