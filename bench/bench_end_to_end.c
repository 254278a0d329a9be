// SPDX-License-Identifier: Apache-2.0
// How much of a device's rate is left when one starts from text: tokens per second of wb_forward
// over token ids, and of wb_classify over the texts that they came from, in turns. The median of
// several turns counts. Public API only.
//
//     ninja -C build/release bench_end_to_end
//     bench_end_to_end MODEL_DIR LINES.txt [DEVICE [TECHNIQUE [THREADS [TOKENS [TURNS]]]]]
//
// LINES repeat until there are TOKENS tokens, about.
#include "bench.h"

typedef struct work {
    wb_model *model;
    wb_engine *engine;
    wb_inputs *inputs;
    char *bytes;
    wb_text *texts;
    int n_texts;
    float *logits;
} work;

static int fail(const char *what) {
    fprintf(stderr, "bench_end_to_end: %s\n", what);
    return 1;
}

// w->texts <- the lines n_repeats times over.
static int list_texts(work *w, int n_repeats) {
    int n_lines = 0;
    for (const char *at = w->bytes; *at; at++) n_lines += *at == '\n';
    free(w->texts);
    w->texts = calloc((size_t)n_lines * (size_t)n_repeats, sizeof *w->texts);
    w->n_texts = 0;
    for (int i = 0; w->texts && i < n_repeats; i++)
        w->n_texts += bench_list_lines(w->texts + w->n_texts, n_lines, w->bytes);
    return w->texts && w->n_texts > 0;
}

static wb_status encode(work *w, wb_error *err) {
    wb_inputs_close(w->inputs);
    return wb_inputs_open(&w->inputs, w->model, w->texts, w->n_texts, 0, err);
}

// The lines, as often as n_tokens need.
static wb_status prepare(work *w, double n_tokens, wb_error *err) {
    wb_status status = list_texts(w, 1) ? encode(w, err) : WB_ERR_ARGUMENT;
    if (status) return status;
    const double once = (double)wb_inputs_tokens(w->inputs);
    status = list_texts(w, 1 + (int)(n_tokens / once)) ? encode(w, err) : WB_ERR_MEMORY;
    const int n_labels = wb_model_describe(w->model)->n_labels;
    w->logits = calloc((size_t)w->n_texts * (size_t)n_labels, sizeof *w->logits);
    return !status && !w->logits ? WB_ERR_MEMORY : status;
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, bench_compare);
    return values[n / 2];
}

enum { MAX_TURNS = 99 };

static wb_status measure(work *w, int n_turns, wb_error *err) {
    double device_s[MAX_TURNS], text_s[MAX_TURNS];
    wb_status status = wb_forward(w->engine, w->inputs, w->logits, NULL, err);
    for (int i = 0; !status && i < n_turns; i++) {
        const double start_s = bench_now_s();
        status = wb_forward(w->engine, w->inputs, w->logits, NULL, err);
        const double middle_s = bench_now_s();
        if (!status) status = wb_classify(w->engine, w->texts, w->n_texts, w->logits, err);
        device_s[i] = middle_s - start_s;
        text_s[i] = bench_now_s() - middle_s;
    }
    if (status) return status;
    const wb_plan_info *plan = wb_engine_plan(w->engine);
    const double n = (double)wb_inputs_tokens(w->inputs);
    const double device = n / median(device_s, n_turns), text = n / median(text_s, n_turns);
    printf("%s on %s, %d threads, %.0f tokens in %d texts, %d turns\n", plan->technique,
           plan->device_name, plan->n_threads, n, w->n_texts, n_turns);
    printf("from ids   %12.0f tokens/s\nfrom text  %12.0f tokens/s, %.1f %%\n", device, text,
           100.0 * text / device);
    return WB_OK;
}

int main(int argc, char **argv) {
    if (argc < 3) return fail("give MODEL_DIR and LINES.txt");
    const int n_turns = argc > 7 ? atoi(argv[7]) : 9;
    if (n_turns < 1 || n_turns > MAX_TURNS) return fail("TURNS are 1 to 99");
    work w = {0};
    wb_error err = {.message = "no memory"};
    wb_options options = wb_default_options();
    options.device = argc > 3 ? argv[3] : "cuda";
    options.technique = argc > 4 ? argv[4] : "f16-flash+packed";
    options.n_threads = argc > 5 ? atoi(argv[5]) : 0;
    w.bytes = bench_read(argv[2]);
    if (!w.bytes) return fail("LINES.txt cannot be read, or is empty");
    wb_status status = wb_model_open(&w.model, argv[1], &err);
    if (!status) status = prepare(&w, argc > 6 ? atof(argv[6]) : 4e6, &err);
    if (!status) status = wb_engine_open(&w.engine, w.model, &options, &err);
    if (!status) status = measure(&w, n_turns, &err);
    if (status) fail(err.message);
    wb_engine_close(w.engine);
    wb_inputs_close(w.inputs);
    wb_model_close(w.model);
    free(w.logits), free(w.texts), free(w.bytes);
    return status ? 1 : 0;
}
