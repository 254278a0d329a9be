// SPDX-License-Identifier: Apache-2.0
// Whole forwards of a model of DistilBERT's size with random weights and GLUE-like lengths, through
// the door as the engine uses it, with energy from NVML's counter; each component by replay; single
// texts one at a time.
#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/random_model.h"
#include "bench.h"

const wb_cuda_door *wb_cuda_door_open(void);

enum { MOST_LENGTH = 128 };

static const wb_shape distilbert = {.n_layers = 6,
                                    .d_model = 768,
                                    .n_heads = 12,
                                    .d_head = 64,
                                    .d_ff = 3072,
                                    .vocab_size = 30522,
                                    .max_positions = 512,
                                    .n_labels = 2,
                                    .max_length = 512,
                                    .activation = WB_GELU};

// ---- Energy ----

// NVML, for as long as a measurement takes; handle is NULL where it is missing.
typedef struct nvml {
    void *library, *handle;
    int (*energy)(void *handle, unsigned long long *mj);
} nvml;

static nvml open_nvml(const wb_cuda_device *device) {
    nvml n = {.library = dlopen("libnvidia-ml.so.1", RTLD_NOW)};
    if (!n.library) return n;
    int (*init)(void), (*by_uuid)(const char *, void **);
    *(void **)&init = dlsym(n.library, "nvmlInit_v2");
    *(void **)&by_uuid = dlsym(n.library, "nvmlDeviceGetHandleByUUID");
    *(void **)&n.energy = dlsym(n.library, "nvmlDeviceGetTotalEnergyConsumption");
    if (!init || !by_uuid || !n.energy || init() || by_uuid(device->uuid, &n.handle))
        n.handle = NULL;
    return n;
}

// Millijoules since the driver was loaded.
static unsigned long long read_mj(const nvml *n) {
    unsigned long long mj = 0;
    if (n->handle) (void)n->energy(n->handle, &mj);
    return mj;
}

// The counter moves every 100 ms: a window begins and ends right after it did, with the work going
// on meanwhile.
static unsigned long long run_to_tick(check *c, const nvml *n, void (*work)(check *c, void *),
                                      void *context, int at_once, int *n_runs) {
    const unsigned long long before = read_mj(n);
    unsigned long long now = before;
    const uint64_t begin_ns = wb_clock_ns();
    while (now == before && wb_clock_ns() - begin_ns < 300000000) {
        for (int i = 0; i < at_once; i++) work(c, context);
        check_gpu(cudaDeviceSynchronize(), "measuring");
        *n_runs += at_once;
        now = read_mj(n);
    }
    return now;
}

bench_energy bench_measure(check *c, void (*work)(check *c, void *context), void *context,
                           double us_guess, double seconds) {
    const int at_once = us_guess > 4000.0 ? 1 : (int)(4000.0 / us_guess) + 1;
    nvml n = open_nvml(&c->device);
    int n_runs = 0;
    for (int i = 0; i < 3; i++) (void)run_to_tick(c, &n, work, context, at_once, &n_runs);
    const uint64_t begin_ns = wb_clock_ns();
    const unsigned long long begin_mj = read_mj(&n);
    unsigned long long end_mj = begin_mj;
    n_runs = 0;
    // The counter is not asked in between: the GPU would wait for the host.
    while ((double)(wb_clock_ns() - begin_ns) < (seconds - 0.05) * 1e9) {
        for (int i = 0; i < at_once; i++) work(c, context);
        check_gpu(cudaDeviceSynchronize(), "measuring");
        n_runs += at_once;
    }
    end_mj = run_to_tick(c, &n, work, context, at_once, &n_runs);
    const uint64_t end_ns = wb_clock_ns();
    if (n.library) dlclose(n.library);
    return (bench_energy){.us = (double)(end_ns - begin_ns) * 1e-3 / n_runs,
                          .joules = (double)(end_mj - begin_mj) * 1e-3 / n_runs};
}

// ---- Texts ----

typedef struct corpus {
    wb_id_lists lists;
    int32_t *ids;
    size_t *offsets;
    int *by_length;
    size_t n_tokens;
} corpus;

static double draw_normal(check *c) {
    const double u = wb_random_unit(&c->random) + 1e-12, v = wb_random_unit(&c->random);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

// Lengths as the peers' scripts draw them; length > 0: all of that length.
static corpus open_corpus(check *c, size_t n_tokens, bool is_mnli, int length) {
    const size_t most = n_tokens / 2 + 1;
    corpus t = {.ids = new_array(n_tokens + 512, 4),
                .offsets = new_array(most + 1, 8),
                .by_length = new_array(most, 4)};
    int n = 0;
    while (t.n_tokens < n_tokens) {
        const double mu = is_mnli ? 3.55 : 3.1, sigma = is_mnli ? 0.4 : 0.55;
        int now = length ? length : (int)exp(mu + sigma * draw_normal(c));
        const int least = is_mnli ? 8 : 4;
        if (!length) now = now < least ? least : now > MOST_LENGTH ? MOST_LENGTH : now;
        if (n > 0 && t.n_tokens + (size_t)now > n_tokens) break;
        for (int i = 0; i < now; i++) t.ids[t.n_tokens++] = 1000 + check_below(c, 29000);
        t.by_length[n] = n;
        t.offsets[++n] = t.n_tokens;
    }
    t.lists =
        (wb_id_lists){.n_texts = n, .ids = t.ids, .offsets = t.offsets, .by_length = t.by_length};
    return t;
}

static void close_corpus(corpus *t) {
    wb_free(t->ids), wb_free(t->offsets), wb_free(t->by_length);
}

// ---- Plans ----

typedef struct plan_kind {
    const char *name;
    wb_precision precision;
    bool is_autocast, is_packed, is_flash;
} plan_kind;

static const plan_kind kinds[] = {
    {"f16-flash+packed", WB_F16, false, true, true},
    {"fp8-static+packed", WB_FP8_STATIC, false, true, true},
    {"fp8-dynamic+packed", WB_FP8_DYNAMIC, false, true, true},
    {"bf16-flash+packed", WB_BF16, false, true, true},
    {"i8-dynamic+packed", WB_I8_DYNAMIC, false, true, true},
    {"i8-static+packed", WB_I8_STATIC, false, true, true},
    {"tf32-flash+packed", WB_TF32, false, true, true},
    {"f32-flash+packed", WB_F32, false, true, true},
    {"baseline, padded 16 x 128", WB_F32, false, false, false},
    {"autocast-f16, padded 16 x 128", WB_F16, true, false, false},
    {"f16-flash, padded 16 x 128", WB_F16, false, false, true},
};

static void open_plan(wb_plan *plan, wb_matrix *matrices, const plan_kind *kind, int budget) {
    const int d = 768, n[4] = {2304, 768, 3072, 768}, k[4] = {768, 768, 768, 3072};
    *plan = (wb_plan){.device = WB_DEVICE_CUDA,
                      .shape = distilbert,
                      .n_threads = 1,
                      .attention = kind->is_flash ? WB_ATTENTION_FLASH : WB_ATTENTION_STANDARD,
                      .packing = kind->is_packed ? WB_PACKED : WB_PADDED,
                      .is_last_layer_pruned = kind->is_packed,
                      .batch_size = 16,
                      .padded_length = MOST_LENGTH,
                      .token_budget = budget,
                      .max_rows = kind->is_packed ? budget : 16 * MOST_LENGTH,
                      .max_texts = kind->is_packed ? budget / 4 + 16 : 16,
                      .n_matrices = 26,
                      .matrices = matrices};
    const bool is_quantized = kind->precision != WB_F32 && kind->precision != WB_TF32 &&
                              kind->precision != WB_F16 && kind->precision != WB_BF16;
    for (int i = 0; i < 26; i++) {
        matrices[i] = (wb_matrix){.n = n[i % 4],
                                  .k = k[i % 4],
                                  .precision = kind->precision,
                                  .is_autocast = kind->is_autocast};
        if (i < 24) continue;
        matrices[i] = (wb_matrix){.n = i == 24 ? d : 2, .k = d, .is_autocast = kind->is_autocast};
        matrices[i].precision = is_quantized ? WB_F16 : kind->precision;
    }
}

// ---- Running ----

typedef struct running {
    const wb_cuda_door *door;
    wb_cuda *cuda;
    wb_cuda_job job;
} running;

static void run_job(check *c, void *context) {
    running *r = context;
    wb_error err;
    (void)c;
    check_ok(r->door->run(r->cuda, &r->job, &err), &err);
}

// Once more, seen by `ncu --profile-from-start off`.
static void run_profiled(check *c, running *r) {
    check_gpu(cudaProfilerStart(), "profiler");
    run_job(c, r);
    check_gpu(cudaProfilerStop(), "profiler");
}

static running open_running(const wb_plan *plan) {
    static const float most[WB_MATRICES_PER_LAYER] = {3.6f, 3.0f, 3.6f, 6.0f};
    static wb_matrix_scales matrices[26];
    for (int i = 0; i < 26; i++)
        matrices[i] = (wb_matrix_scales){.x_max = most[i % 4], .fp8_x_max = most[i % 4]};
    const wb_scales scales = {.n_matrices = 26, .matrices = matrices};
    const wb_tensor_source source = random_source(&distilbert);
    const wb_cuda_setup setup = {.plan = plan, .source = &source, .scales = &scales};
    running r = {.door = wb_cuda_door_open()};
    wb_cuda_words words;
    wb_error err;
    check_ok(r.door->open(&r.cuda, &words, &setup, &err), &err);
    return r;
}

// One line a plan: rate, energy, power, and what each component takes of it.
static void bench_plan(check *c, const bench_options *options, const plan_kind *kind) {
    static const char *const names[] = {"embeddings", "attention", "ffn", "head", "whole"};
    wb_plan plan;
    wb_matrix matrices[26];
    open_plan(&plan, matrices, kind, options->tokens);
    c->random.state = 7;
    corpus t =
        open_corpus(c, kind->is_packed ? 4 * (size_t)options->tokens : 65536, options->is_mnli, 0);
    float *logits = new_array((size_t)t.lists.n_texts * 2, 4);
    running r = open_running(&plan);
    r.job = (wb_cuda_job){.task = WB_CUDA_FORWARD, .lists = &t.lists, .logits = logits};
    run_job(c, &r);
    const uint64_t begin_ns = wb_clock_ns();
    run_job(c, &r);
    const double guess_us = (double)(wb_clock_ns() - begin_ns) * 1e-3;
    const bench_energy e = bench_measure(c, run_job, &r, guess_us, options->seconds);
    const double tokens = (double)t.n_tokens;
    printf("%-30s %9.0f tok/s  %8.1f uJ/token  %4.0f W  %6.0f texts/s\n", kind->name,
           tokens / e.us * 1e6, 1e6 * e.joules / tokens, e.joules / e.us * 1e6,
           t.lists.n_texts / e.us * 1e6);
    run_profiled(c, &r);
    r.job.task = WB_CUDA_CAPTURE;
    r.job.max_bytes = (size_t)8 << 30;
    run_job(c, &r);
    printf("    replay of %llu tokens, us:", (unsigned long long)r.job.n_tokens);
    for (int i = 0; i <= WB_WHOLE; i++) {
        r.job.task = WB_CUDA_REPLAY;
        r.job.component = (wb_component)i;
        run_job(c, &r);
        const uint64_t start_ns = wb_clock_ns();
        for (int k = 0; k < 5; k++) run_job(c, &r);
        printf("  %s %.0f", names[i], (double)(wb_clock_ns() - start_ns) * 1e-3 / 5.0);
    }
    printf("\n");
    fflush(stdout);
    r.door->close(r.cuda);
    wb_free(logits);
    close_corpus(&t);
}

static int compare_ns(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Texts one at a time: the time from the call to the logits, and energy a text.
static void bench_single(check *c, const bench_options *options, const plan_kind *kind,
                         int length) {
    enum { RUNS = 2000 };
    static uint64_t ns[RUNS];
    wb_plan plan;
    wb_matrix matrices[26];
    open_plan(&plan, matrices, kind, 512);
    corpus t = open_corpus(c, (size_t)length, false, length);
    float logits[2];
    running r = open_running(&plan);
    r.job = (wb_cuda_job){.task = WB_CUDA_FORWARD, .lists = &t.lists, .logits = logits};
    for (int i = 0; i < 20; i++) run_job(c, &r);
    for (int i = 0; i < RUNS; i++) {
        const uint64_t begin_ns = wb_clock_ns();
        run_job(c, &r);
        ns[i] = wb_clock_ns() - begin_ns;
    }
    qsort(ns, RUNS, sizeof *ns, compare_ns);
    const double p50_us = (double)ns[RUNS / 2] * 1e-3, p99_us = (double)ns[RUNS / 100 * 99] * 1e-3;
    const bench_energy e = bench_measure(c, run_job, &r, p50_us, options->seconds);
    run_profiled(c, &r);
    printf("single %-22s %3d tokens: p50 %7.1f us, p99 %7.1f us, %7.2f mJ, %4.0f W\n", kind->name,
           length, p50_us, p99_us, 1e3 * e.joules, e.joules / e.us * 1e6);
    fflush(stdout);
    r.door->close(r.cuda);
    close_corpus(&t);
}

void bench_forwards(check *c, const bench_options *options) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const bool is_fp8 =
            kinds[i].precision == WB_FP8_STATIC || kinds[i].precision == WB_FP8_DYNAMIC;
        if (is_fp8 && !c->device.has_fp8) continue;
        if (bench_wants(options, kinds[i].name)) bench_plan(c, options, &kinds[i]);
    }
    static const int singles[] = {0, 1, 3, 7};
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++) {
        char name[48];
        snprintf(name, sizeof name, "single %s", kinds[singles[i]].name);
        if (!bench_wants(options, name)) continue;
        bench_single(c, options, &kinds[singles[i]], 25);
        bench_single(c, options, &kinds[singles[i]], 155);
    }
}
