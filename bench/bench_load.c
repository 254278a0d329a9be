// SPDX-License-Identifier: Apache-2.0
// What opening costs: milliseconds to a model, to an engine and to the first label, and the memory
// that is resident then and after batches of many tokens. Every round is a process of its own, as a
// user's first text is; the median of the rounds counts. Public API only.
//
//     ninja -C build/check bench_load
//     bench_load MODEL_DIR LINES.txt TECHNIQUE [THREADS [TOKENS [ROUNDS [CACHE_DIR [SCALES]]]]]
//
// TOKENS is the budget of a batch; as many batches are run as there are threads, so that each has
// one. CACHE_DIR "" is none. A line of CSV per call, after a line of names where LINES.txt is "-".
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { MAX_ROUNDS = 99 };

typedef enum figure {
    MODEL_MS,
    ENGINE_MS,
    FIRST_LABEL_MS,  // of a text of 25 tokens or so, after opening
    SUM_MS,
    OPEN_CPU_MS,  // of all threads, until the first label
    WEIGHTS_MIB,  // as the plan says
    OPEN_MIB,     // resident: when the engine is open,
    BATCH_MIB,    // at most, until the batches are done,
    ANON_MIB,     // and of that what belongs to no file
    OVER_MIB,     // BATCH - WEIGHTS
    N_FIGURES
} figure;

static const char *const names[N_FIGURES] = {
    "model_ms",    "engine_ms", "first_label_ms", "sum_ms",   "cpu_ms",
    "weights_mib", "open_mib",  "batch_mib",      "anon_mib", "over_mib"};

typedef struct setup {
    const char *dir, *lines;
    wb_options options;
} setup;

static double now_ms(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

// A figure of /proc/self/status in MiB.
static double status_mib(const char *key) {
    char line[256];
    double kib = -1024.0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) kib = strtod(line + strlen(key), NULL);
    if (file) fclose(file);
    return kib / 1024.0;
}

static int fail(const char *what) {
    fprintf(stderr, "bench_load: %s\n", what);
    return 1;
}

// Texts of n_tokens together, or all that there are.
static int count_texts(const wb_model *model, const wb_text *texts, int n_texts,
                       uint64_t n_tokens) {
    int32_t ids[512];
    int n_ids, n = 0;
    for (uint64_t sum = 0; n < n_texts && sum < n_tokens; n++) {
        if (wb_tokenize(model, &texts[n], 512, ids, 512, &n_ids, NULL)) return n;
        sum += (uint64_t)n_ids;
    }
    return n;
}

// figures <- one process's life.
static int run_round(double figures[N_FIGURES], const setup *s) {
    enum { MAX_TEXTS = 20000 };
    static wb_text texts[MAX_TEXTS];
    static float logits[MAX_TEXTS * 8];
    char *bytes = bench_read(s->lines);
    const int n_lines = bytes ? bench_list_lines(texts, MAX_TEXTS, bytes) : 0;
    if (n_lines < 1) return fail("cannot read the lines");
    wb_model *model;
    wb_engine *engine;
    wb_error err;
    const double start = now_ms(CLOCK_MONOTONIC);
    if (wb_model_open(&model, s->dir, &err)) return fail(err.message);
    const double has_model = now_ms(CLOCK_MONOTONIC);
    if (wb_engine_open(&engine, model, &s->options, &err)) return fail(err.message);
    const double has_engine = now_ms(CLOCK_MONOTONIC);
    figures[OPEN_MIB] = status_mib("VmRSS:");
    const double opened = now_ms(CLOCK_MONOTONIC);
    if (wb_model_describe(model)->n_labels > 8) return fail("more than 8 labels");
    if (wb_classify(engine, texts, 1, logits, &err)) return fail(err.message);
    const double has_label = now_ms(CLOCK_MONOTONIC);
    figures[OPEN_CPU_MS] = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    const wb_plan_info *plan = wb_engine_plan(engine);
    const uint64_t n_tokens = (uint64_t)s->options.token_budget * (uint64_t)plan->n_threads;
    const int n_texts = count_texts(model, texts, n_lines, n_tokens);
    if (wb_classify(engine, texts, n_texts, logits, &err)) return fail(err.message);
    figures[MODEL_MS] = has_model - start;
    figures[ENGINE_MS] = has_engine - has_model;
    figures[FIRST_LABEL_MS] = has_label - opened;
    figures[SUM_MS] = has_engine - start + has_label - opened;
    figures[WEIGHTS_MIB] = (double)plan->weights_bytes / 1048576.0;
    figures[BATCH_MIB] = status_mib("VmHWM:");
    figures[ANON_MIB] = status_mib("RssAnon:");
    figures[OVER_MIB] = figures[BATCH_MIB] - figures[WEIGHTS_MIB];
    wb_engine_close(engine);
    wb_model_close(model);
    free(bytes);
    return 0;
}

static int run_child(double figures[N_FIGURES], const setup *s) {
    int ends[2];
    if (pipe(ends)) return fail("no pipe");
    const pid_t child = fork();
    if (child == 0) {
        double own[N_FIGURES];
        const int code = run_round(own, s);
        const int is_told = code || write(ends[1], own, sizeof own) == (ssize_t)sizeof own;
        _exit(code || !is_told);
    }
    close(ends[1]);
    const int is_read = read(ends[0], figures, N_FIGURES * sizeof *figures) > 0;
    close(ends[0]);
    int status = 1;
    waitpid(child, &status, 0);
    return !is_read || status;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return fail("MODEL_DIR LINES TECHNIQUE [THREADS [TOKENS [ROUNDS [CACHE [SCALES]]]]]");
    setup s = {.dir = argv[1], .lines = argv[2], .options = wb_default_options()};
    s.options.technique = argv[3];
    s.options.n_threads = argc > 4 ? atoi(argv[4]) : 2;
    s.options.token_budget = argc > 5 ? atoi(argv[5]) : 4096;
    const int n_rounds = argc > 6 ? atoi(argv[6]) : 7;
    const char *cache = argc > 7 ? argv[7] : "";
    s.options.scales = argc > 8 ? argv[8] : NULL;
    s.options.cache = cache[0] ? cache : NULL;
    if (n_rounds < 1 || n_rounds > MAX_ROUNDS) return fail("give 1 to 99 rounds");
    static double figures[N_FIGURES][MAX_ROUNDS];
    for (int round = 0; round < n_rounds; round++) {
        double own[N_FIGURES];
        if (run_child(own, &s)) return 1;
        for (int i = 0; i < N_FIGURES; i++) figures[i][round] = own[i];
    }
    printf("technique,threads,tokens,cache");
    for (int i = 0; i < N_FIGURES; i++) printf(",%s", names[i]);
    printf("\n%s,%d,%d,%s", argv[3], s.options.n_threads, s.options.token_budget,
           cache[0] ? "yes" : "no");
    for (int i = 0; i < N_FIGURES; i++) {
        qsort(figures[i], (size_t)n_rounds, sizeof *figures[i], bench_compare);
        printf(",%.1f", figures[i][n_rounds / 2]);
    }
    printf("\n");
    return 0;
}
