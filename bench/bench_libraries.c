// SPDX-License-Identifier: Apache-2.0
// Before beside after: builds of the library in one process, forward by forward in turn. Machines
// are shared and noisy, so only what runs within the same second can be compared: a turn's rates
// are divided by the first library's, and the median of these ratios counts. Logits are compared,
// too. Public API only.
//
//     ninja -C build/release bench_libraries
//     bench_libraries MODEL_DIR LINES.txt TEXTS TECHNIQUE THREADS SECONDS LIBRARY..
//
// A library is a path with a slash in it to a copy of libwattbert.so.0; no two are the same file.
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

#include "bench.h"

enum { MAX_LIBRARIES = 16, MAX_TEXTS = 4096, MAX_TURNS = 10000 };

typedef struct functions {
    wb_status (*model_open)(wb_model **, const char *, wb_error *);
    const wb_model_info *(*model_describe)(const wb_model *);
    wb_status (*inputs_open)(wb_inputs **, const wb_model *, const wb_text *, int, int, wb_error *);
    wb_options (*default_options)(void);
    wb_status (*engine_open)(wb_engine **, const wb_model *, const wb_options *, wb_error *);
    wb_status (*forward)(wb_engine *, const wb_inputs *, float *, wb_run *, wb_error *);
} functions;

static const struct {
    const char *symbol;
    size_t offset;
} symbols[] = {
    {"wb_model_open", offsetof(functions, model_open)},
    {"wb_model_describe", offsetof(functions, model_describe)},
    {"wb_inputs_open", offsetof(functions, inputs_open)},
    {"wb_default_options", offsetof(functions, default_options)},
    {"wb_engine_open", offsetof(functions, engine_open)},
    {"wb_forward", offsetof(functions, forward)},
};

typedef struct library {
    const char *path;
    functions call;
    wb_model *model;
    wb_engine *engine;
    wb_inputs *inputs;
    float *logits;
    wb_run run;
    double rates[MAX_TURNS];   // tokens/s
    double ratios[MAX_TURNS];  // to the first library's in the same turn
} library;

static library libraries[MAX_LIBRARIES];
static int n_libraries, n_turns;
static wb_text texts[MAX_TEXTS];
static int n_texts;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "bench_libraries: %s: %s\n", what, why);
    exit(1);
}

static size_t logits_bytes(const library *l) {
    return (size_t)n_texts * (size_t)l->call.model_describe(l->model)->n_labels * sizeof(float);
}

static void forward(library *l) {
    wb_error err;
    if (l->call.forward(l->engine, l->inputs, l->logits, &l->run, &err)) fail(l->path, err.message);
}

static void open_library(library *l, const char *model, const char *technique, int n_threads) {
    void *handle = dlopen(l->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) fail(l->path, dlerror());
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(handle, symbols[i].symbol);
        if (!found) fail(l->path, "is no libwattbert");
        memcpy((char *)&l->call + symbols[i].offset, &found, sizeof found);
    }
    wb_error err;
    wb_options options = l->call.default_options();
    options.technique = technique;
    options.n_threads = n_threads;
    if (l->call.model_open(&l->model, model, &err) ||
        l->call.engine_open(&l->engine, l->model, &options, &err) ||
        l->call.inputs_open(&l->inputs, l->model, texts, n_texts, 0, &err))
        fail(l->path, err.message);
    l->logits = malloc(logits_bytes(l));
    if (!l->logits) fail(l->path, "no memory");
    forward(l);
}

// A turn begins with another library than the one before.
static void take_turns(double seconds) {
    for (const double end_s = bench_now_s() + seconds; n_turns < MAX_TURNS && bench_now_s() < end_s;
         n_turns++) {
        for (int i = 0; i < n_libraries; i++) {
            library *l = &libraries[(i + n_turns) % n_libraries];
            const double start_s = bench_now_s();
            forward(l);
            l->rates[n_turns] = (double)l->run.real_tokens / (bench_now_s() - start_s);
        }
        for (int i = 0; i < n_libraries; i++)
            libraries[i].ratios[n_turns] =
                libraries[i].rates[n_turns] / libraries[0].rates[n_turns];
    }
}

static void report(library *l) {
    qsort(l->rates, (size_t)n_turns, sizeof *l->rates, bench_compare);
    qsort(l->ratios, (size_t)n_turns, sizeof *l->ratios, bench_compare);
    const int middle = n_turns / 2, quarter = n_turns / 4, last = n_turns - 1;
    const bool is_same = !memcmp(l->logits, libraries[0].logits, logits_bytes(l));
    printf("  %-24s %9.0f (%.0f to %.0f) tokens/s, %.3f (quartiles %.3f to %.3f), %d batches%s\n",
           l->path, l->rates[middle], l->rates[0], l->rates[last], l->ratios[middle],
           l->ratios[quarter], l->ratios[last - quarter], l->run.n_batches,
           is_same ? "" : ", other bits");
}

int main(int argc, char **argv) {
    if (argc < 8 || argc > 7 + MAX_LIBRARIES)
        fail("usage", "MODEL_DIR LINES.txt TEXTS TECHNIQUE THREADS SECONDS LIBRARY..");
    char *bytes = bench_read(argv[2]);
    if (!bytes) fail(argv[2], "cannot be read, or is empty");
    const int most = atoi(argv[3]);
    n_texts = bench_list_lines(texts, most < MAX_TEXTS ? most : MAX_TEXTS, bytes);
    if (n_texts == 0) fail(argv[2], "no lines");
    n_libraries = argc - 7;
    for (int i = 0; i < n_libraries; i++) {
        libraries[i].path = argv[7 + i];
        open_library(&libraries[i], argv[1], argv[4], atoi(argv[5]));
    }
    take_turns(atof(argv[6]));
    if (n_turns == 0) fail("SECONDS", "no time for a turn");
    printf("%s, %s threads, %llu tokens in %d texts, %d turns\n", argv[4], argv[5],
           (unsigned long long)libraries[0].run.real_tokens, n_texts, n_turns);
    for (int i = 0; i < n_libraries; i++) report(&libraries[i]);
    free(bytes);
    return 0;
}
