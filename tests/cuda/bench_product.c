// SPDX-License-Identifier: Apache-2.0
// Our own fp8 product beside the library's fastest at DistilBERT's shapes, with the epilogues of a
// forward, and beside the library's without an epilogue: in turns, each long enough to meet the
// board's limit of power.
#include <cuda_runtime_api.h>
#include <stdio.h>

#include "bench.h"

static const struct {
    const char *name;
    int n, k;
    wb_cell y_cell;
    wb_activation activation;
    bool has_residual;
} shapes[] = {
    {"qkv", 2304, 768, WB_CELL_F16, WB_LINEAR, false},
    {"out", 768, 768, WB_CELL_F16, WB_LINEAR, true},
    {"up", 3072, 768, WB_CELL_FP8, WB_GELU, false},
    {"down", 768, 3072, WB_CELL_F16, WB_LINEAR, true},
};

static void run_library(check *c, void *context) {
    const wb_gpu_product *p = context;
    wb_error err;
    check_ok(wb_products_run(c->products, p, c->stream, &err), &err);
}

static void run_own(check *c, void *context) {
    check_gpu(wb_launch_product_fp8(context, c->stream), "product-fp8");
}

typedef struct contestant {
    const char *name;
    void (*run)(check *c, void *context);
    wb_gpu_product product;
    bool is_possible;
    double us;
} contestant;

static wb_gpu_product make(check *c, size_t i, int m) {
    const size_t n = (size_t)shapes[i].n, k = (size_t)shapes[i].k, area = (size_t)m * n;
    const float x_scale = 1.0f, w_scale = 0.02f, y_scale = 50.0f;
    wb_gpu_product p = {.m = m,
                        .n = shapes[i].n,
                        .k = shapes[i].k,
                        .ld_y = shapes[i].n,
                        .cell = WB_CELL_FP8,
                        .y_cell = shapes[i].y_cell,
                        .side_cell = WB_CELL_F16,
                        .activation = shapes[i].activation,
                        .x = bench_random(c, (size_t)m * k, WB_CELL_FP8, 1.0f),
                        .w = bench_random(c, n * k, WB_CELL_FP8, 1.0f),
                        .bias = bench_random(c, n, WB_CELL_F16, 1.0f),
                        .x_scale = check_upload(c, &x_scale, sizeof x_scale),
                        .w_scale = check_upload(c, &w_scale, sizeof w_scale),
                        .y = check_poisoned(c, area * wb_cell_bytes(shapes[i].y_cell)),
                        .is_library_only = true};
    if (shapes[i].has_residual) p.residual = bench_random(c, area, WB_CELL_F16, 1.0f);
    if (p.y_cell == WB_CELL_FP8) p.y_scale = check_upload(c, &y_scale, sizeof y_scale);
    return p;
}

// Adds the time of one turn: runs without a gap, for as long as it takes to be as warm as this
// product makes the board.
static void take_turn(check *c, contestant *a, double seconds) {
    if (!a->is_possible) return;
    const int n = (int)(seconds * 1e6 / bench_time(c, a->run, &a->product, 10));
    cudaEvent_t begin, end;
    float ms;
    check_gpu(cudaEventCreate(&begin), "event");
    check_gpu(cudaEventCreate(&end), "event");
    for (int i = 0; i < n / 2; i++) a->run(c, &a->product);
    check_gpu(cudaEventRecord(begin, c->stream), "event");
    for (int i = 0; i < n; i++) a->run(c, &a->product);
    check_gpu(cudaEventRecord(end, c->stream), "event");
    check_gpu(cudaEventSynchronize(end), "running a benchmark");
    check_gpu(cudaEventElapsedTime(&ms, begin, end), "timing");
    check_gpu(cudaEventDestroy(begin), "event");
    check_gpu(cudaEventDestroy(end), "event");
    a->us += 1e3 * (double)ms / n;
}

static void bench_shape(check *c, size_t i, const bench_options *options) {
    enum { TURNS = 3, CONTESTANTS = 3 };
    check_begin(c, "%s", shapes[i].name);
    const wb_gpu_product whole = make(c, i, options->tokens);
    wb_gpu_product bare = whole;
    bare.bias = bare.residual = NULL;
    bare.activation = WB_LINEAR;
    contestant all[CONTESTANTS] = {
        {"ours", run_own, whole, c->device.compute_major == 9 && wb_product_fp8_takes(&whole), 0.0},
        {"library", run_library, whole, false, 0.0},
        {"library, bare", run_library, bare, false, 0.0}};
    wb_error err;
    for (int k = 1; k < CONTESTANTS; k++)
        check_ok(
            wb_products_prepare(c->products, &all[k].product, c->stream, &all[k].is_possible, &err),
            &err);
    for (int turn = 0; turn < TURNS; turn++)
        for (int k = 0; k < CONTESTANTS; k++) take_turn(c, &all[k], options->seconds);
    const double flops = 2.0 * whole.m * whole.n * whole.k;
    for (int k = 0; k < CONTESTANTS; k++) {
        const double us = all[k].us / TURNS;
        if (all[k].is_possible)
            printf("fp8 %-4s %-14s m %6d n %5d k %5d %9.1f us  %7.1f TFLOP/s\n", shapes[i].name,
                   all[k].name, whole.m, whole.n, whole.k, us, flops / us * 1e-6);
        fflush(stdout);
    }
}

void bench_products(check *c, const bench_options *options) {
    if (!bench_wants(options, "product-fp8") || !c->device.has_fp8) return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) bench_shape(c, i, options);
    check_begin(c, "end");
}
