// SPDX-License-Identifier: Apache-2.0
// Whole forwards through the door, against the CPU's f32 forward of the same random model: every
// precision, both kinds of attention, all packings, pruned and not, autocast, mixed, static
// scales; kernel by kernel and as graphs, which must give the same bits; and captured components.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../support/model_harness.h"
#include "gpucheck.h"

const wb_cuda_door *wb_cuda_door_open(void);

// A plan to run, and how far its logits may be from f32's, relative to their norm: a few roundings
// a layer of the narrowest cell, over the layers' random walk.
typedef struct forward_case {
    const char *name;
    wb_precision precision;
    bool is_autocast;
    double most_error;
} forward_case;

static const forward_case cases[] = {
    {"f32", WB_F32, false, 2e-5},
    {"tf32", WB_TF32, false, 6e-3},
    {"f16", WB_F16, false, 6e-3},
    {"bf16", WB_BF16, false, 5e-2},
    {"autocast f16", WB_F16, true, 6e-3},
    {"autocast bf16", WB_BF16, true, 5e-2},
    {"i8-dynamic", WB_I8_DYNAMIC, false, 6e-2},
    {"i8-static", WB_I8_STATIC, false, 2e-1},
    {"fp8-dynamic", WB_FP8_DYNAMIC, false, 2e-1},
    {"fp8-static", WB_FP8_STATIC, false, 2e-1},
};

static const wb_shape shapes[] = {
    {.n_layers = 3,
     .d_model = 128,
     .n_heads = 2,
     .d_head = 64,
     .d_ff = 256,
     .vocab_size = 300,
     .max_positions = 160,
     .n_labels = 3,
     .max_length = 160,
     .activation = WB_GELU},
    {.n_layers = 2,
     .d_model = 192,
     .n_heads = 6,
     .d_head = 32,
     .d_ff = 768,
     .vocab_size = 300,
     .max_positions = 300,
     .n_labels = 2,
     .max_length = 300,
     .activation = WB_RELU},
    {.n_layers = 2,
     .d_model = 96,
     .n_heads = 2,
     .d_head = 48,
     .d_ff = 128,
     .vocab_size = 300,
     .max_positions = 64,
     .n_labels = 1,
     .max_length = 64,
     .activation = WB_SILU},
    {.n_layers = 2,
     .d_model = 768,
     .n_heads = 12,
     .d_head = 64,
     .d_ff = 3072,
     .vocab_size = 300,
     .max_positions = 160,
     .n_labels = 2,
     .max_length = 128,
     .activation = WB_GELU},
};

enum { N_CASES = sizeof cases / sizeof *cases, N_SHAPES = sizeof shapes / sizeof *shapes };

// A plan for the GPU: what wb_plan_init makes of a technique that every CPU runs, with the fields
// that matter here set.
static void open_plan(wb_plan *plan, check *c, const wb_shape *shape, const forward_case *now,
                      wb_packing packing, bool is_flash) {
    wb_cpu cpu;
    wb_kernels kernels;
    wb_error err;
    wb_cpu_detect(&cpu);
    wb_kernels_select(&kernels, cpu.flags);
    const wb_options options = {.technique = packing == WB_PACKED ? "baseline+packed" : "baseline",
                                .n_threads = 1,
                                .batch_size = 1 + check_below(c, 12),
                                .padded_length = 24 + check_below(c, 24),
                                .token_budget = shape->max_length + check_below(c, 900),
                                .sort_batches = packing == WB_SORTED};
    check_ok(wb_plan_init(plan, shape, &options, &kernels, &cpu, &err), &err);
    plan->device = WB_DEVICE_CUDA;
    plan->attention = is_flash ? WB_ATTENTION_FLASH : WB_ATTENTION_STANDARD;
    for (int i = 0; i < plan->n_matrices; i++) {
        const bool is_head = i >= wb_plan_pre_classifier(plan);
        const bool is_quantized = now->most_error > 5.5e-2;
        plan->matrices[i].precision = is_head && is_quantized ? WB_F16 : now->precision;
        plan->matrices[i].is_autocast = now->is_autocast;
    }
}

// Scales as calibration would find them for this kind of model: after a norm values stay below
// about 3.5, contexts and activated values below 6 and 9. Some matrices are smoothed.
static wb_scales open_scales(const wb_plan *plan, float *smooth, wb_matrix_scales *matrices) {
    static const float most[WB_MATRICES_PER_LAYER] = {3.6f, 3.0f, 3.6f, 6.0f};
    for (int i = 0; i < 3072; i++) smooth[i] = i % 2 ? 1.0f : 0.75f;
    for (int i = 0; i < plan->n_matrices; i++) {
        const int kind = i % WB_MATRICES_PER_LAYER;
        matrices[i] = (wb_matrix_scales){.x_max = most[kind] / 0.75f,
                                         .smooth = i / WB_MATRICES_PER_LAYER == 1 ? smooth : NULL,
                                         .fp8_x_max = most[kind]};
    }
    return (wb_scales){.n_matrices = plan->n_matrices, .matrices = matrices};
}

// logits[n_texts, n_labels] <- the CPU's f32 forward with the same packing.
static void run_cpu(const wb_shape *shape, const wb_plan *plan, const wb_id_lists *lists,
                    float *logits) {
    const harness_options options = {
        .technique = plan->packing == WB_PACKED ? "f32-flash+packed" : "f32-flash",
        .n_threads = 2,
        .token_budget = plan->token_budget,
        .batch_size = plan->batch_size,
        .padded_length = plan->padded_length,
        .is_sorted = plan->packing == WB_SORTED};
    harness *h = harness_open(shape, &options);
    harness_forward(h, lists, logits, NULL);
    harness_close(h);
}

// Runs three times: kernel by kernel, recorded, replayed.
static void run_gpu(check *c, const wb_cuda_door *door, wb_cuda *cuda, const wb_id_lists *lists,
                    float *logits, size_t n) {
    float *again = new_array(n, sizeof *again);
    for (int pass = 0; pass < 3; pass++) {
        wb_run totals = {.batch_capacity = 0};
        wb_cuda_job job = {.task = WB_CUDA_FORWARD,
                           .lists = lists,
                           .logits = pass ? again : logits,
                           .run = &totals};
        wb_error err;
        check_ok(door->run(cuda, &job, &err), &err);
        if (pass && memcmp(again, logits, n * sizeof *logits))
            check_fail(c, "pass %d gives other bits than the first", pass);
        if (totals.n_batches < 1 || totals.computed_tokens < totals.real_tokens)
            check_fail(c, "%d batches, %llu tokens", totals.n_batches,
                       (unsigned long long)totals.computed_tokens);
    }
    wb_free(again);
}

// Every component of a captured batch runs, twice; capturing changes no later forward; what was
// given back is gone.
static void run_components(check *c, const wb_cuda_door *door, wb_cuda *cuda,
                           const wb_id_lists *lists, const float *logits, size_t n) {
    wb_error err;
    wb_cuda_job job = {.task = WB_CUDA_CAPTURE, .lists = lists, .max_bytes = 64 << 20};
    check_ok(door->run(cuda, &job, &err), &err);
    if (job.n_texts < 1 || job.n_texts > lists->n_texts) check_fail(c, "%d texts", job.n_texts);
    job.task = WB_CUDA_REPLAY;
    for (int i = 0; i < 2 * (WB_WHOLE + 1); i++) {
        job.component = (wb_component)(i / 2);
        check_ok(door->run(cuda, &job, &err), &err);
    }
    float *again = new_array(n, sizeof *again);
    job = (wb_cuda_job){.task = WB_CUDA_FORWARD, .lists = lists, .logits = again};
    check_ok(door->run(cuda, &job, &err), &err);
    if (memcmp(again, logits, n * sizeof *logits)) check_fail(c, "logits differ after a replay");
    job = (wb_cuda_job){.task = WB_CUDA_RELEASE};
    check_ok(door->run(cuda, &job, &err), &err);
    job.task = WB_CUDA_REPLAY;
    if (door->run(cuda, &job, &err) != WB_ERR_ARGUMENT) check_fail(c, "a replay of nothing");
    wb_free(again);
}

static double relative_error(const float *got, const float *want, size_t n) {
    double error = 0.0, norm = 0.0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(error / norm);
}

// Texts of a few rows together, or of any number.
static void draw_texts(check *c, texts *t, const wb_shape *shape, bool is_few) {
    const int n_texts = is_few ? 1 + check_below(c, 5) : 1 + check_below(c, MAX_TEXTS - 1);
    const int most = (is_few ? WB_WHOLE_ROWS : 4096) / n_texts;
    const int longest = most < shape->max_length ? most : shape->max_length;
    texts_fill(t, n_texts, longest, shape->vocab_size, wb_random_next(&c->random));
}

static void check_case(check *c, const wb_shape *shape, const forward_case *now, wb_packing packing,
                       bool is_flash, bool is_few) {
    static texts t;
    static float smooth[3072];
    static wb_matrix_scales matrices[64];
    draw_texts(c, &t, shape, is_few);
    const int n_texts = t.lists.n_texts;
    check_begin(c, "%s, %s, %s, d %d, heads of %d, %d texts", now->name, wb_packing_name(packing),
                is_flash ? "flash" : "standard", shape->d_model, shape->d_head, n_texts);
    wb_plan plan;
    open_plan(&plan, c, shape, now, packing, is_flash);
    const wb_scales scales = open_scales(&plan, smooth, matrices);
    const size_t n = (size_t)n_texts * (size_t)shape->n_labels;
    float *want = new_array(n, 4), *got = new_array(n, 4);
    run_cpu(shape, &plan, &t.lists, want);

    const wb_cuda_door *door = wb_cuda_door_open();
    const wb_tensor_source source = random_source(shape);
    const wb_cuda_setup setup = {.plan = &plan, .source = &source, .scales = &scales};
    wb_cuda *cuda = NULL;
    wb_cuda_words words;
    wb_error err;
    check_ok(door->open(&cuda, &words, &setup, &err), &err);
    const bool has_whole = c->device.compute_major == 9 && shape->d_model % 64 == 0 && is_few;
    if (has_whole && !strstr(words.kernels, "whole_sm90"))
        check_fail(c, "few rows do not run as one kernel: %s", words.kernels);
    run_gpu(c, door, cuda, &t.lists, got, n);
    const double error = relative_error(got, want, n);
    check_near(c, 0, 0, 0.0, error, now->most_error);
    if (!c->has_failed) run_components(c, door, cuda, &t.lists, got, n);
    door->close(cuda);
    printf("    %-60s error %.2e  %s\n", c->shape, error, words.kernels);
    wb_plan_free(&plan);
    wb_free(want), wb_free(got);
}

void check_forward(check *c) {
    for (int i = 0; i < N_CASES; i++) {
        const bool is_fp8 =
            cases[i].precision == WB_FP8_DYNAMIC || cases[i].precision == WB_FP8_STATIC;
        if (is_fp8 && !c->device.has_fp8) continue;
        // Each case on the full size packed with flash, and on others drawn.
        check_case(c, &shapes[N_SHAPES - 1], &cases[i], WB_PACKED, true, false);
        for (int round = 0; round < check_rounds(c, 3); round++)
            check_case(c, &shapes[(i + round) % (N_SHAPES - 1)], &cases[i],
                       (wb_packing)((i + round) % 3), check_below(c, 2), false);
        c->has_failed = false;
    }
}

// Batches of up to 32 rows in 16 bits, which Hopper has one kernel for.
void check_whole(check *c) {
    for (int i = 0; i < N_CASES; i++) {
        if ((cases[i].precision != WB_F16 && cases[i].precision != WB_BF16) || cases[i].is_autocast)
            continue;
        for (int round = 0; round < check_rounds(c, 12); round++)
            check_case(c, &shapes[round % N_SHAPES], &cases[i],
                       round % 5 == 4 ? WB_PADDED : WB_PACKED, true, true);
        c->has_failed = false;
    }
}

// What the door refuses, and how.
void check_door(check *c) {
    const wb_cuda_door *door = wb_cuda_door_open();
    const wb_tensor_source source = random_source(&shapes[0]);
    wb_cuda_device device;
    wb_error err;
    check_begin(c, "refusals");
    if (door->version != WB_CUDA_DOOR) check_fail(c, "version %d", door->version);
    if (door->probe(&device, 999, &err) != WB_ERR_UNSUPPORTED) check_fail(c, "GPU 999 exists");
    printf("    %s\n", err.message);
    wb_plan plan;
    wb_cuda *cuda = NULL;
    wb_cuda_words words;
    open_plan(&plan, c, &shapes[0], &cases[9], WB_PACKED, true);
    wb_cuda_setup setup = {.plan = &plan, .source = &source};
    if (door->open(&cuda, &words, &setup, &err) != WB_ERR_ARGUMENT || cuda)
        check_fail(c, "static scales are not asked for");
    printf("    %s\n", err.message);
    plan.max_rows = plan.max_texts = 2000000000;
    for (int i = 0; i < plan.n_matrices; i++) plan.matrices[i].precision = WB_F16;
    if (door->open(&cuda, &words, &setup, &err) != WB_ERR_MEMORY || cuda)
        check_fail(c, "endless memory: %s", err.message);
    printf("    %s\n", err.message);
    plan.shape.d_model = 100;
    if (door->open(&cuda, &words, &setup, &err) != WB_ERR_UNSUPPORTED || cuda)
        check_fail(c, "a width of 100 is not refused");
    printf("    %s\n", err.message);
    door->close(NULL);
    wb_plan_free(&plan);
}
