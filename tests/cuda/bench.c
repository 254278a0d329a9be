// SPDX-License-Identifier: Apache-2.0
// What the GPU reaches: bare matrix products at DistilBERT's shapes (the limit), each kernel's
// share of the memory's pace, whole forwards with their energy, and single texts.
#include "bench.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5 };

static const int product_n[4] = {2304, 768, 3072, 768}, product_k[4] = {768, 768, 768, 3072};

bool bench_wants(const bench_options *options, const char *name) {
    const char *pattern = options->pattern;
    if (pattern && *pattern == '=') return !strcmp(name, pattern + 1);
    return !pattern || strstr(name, pattern);
}

// Microseconds of one run of work, the median of some rounds of n runs each.
double bench_time(check *c, void (*work)(check *c, void *context), void *context, int n) {
    cudaEvent_t begin, end;
    double us[ROUNDS];
    check_gpu(cudaEventCreate(&begin), "event");
    check_gpu(cudaEventCreate(&end), "event");
    work(c, context);
    for (int round = 0; round < ROUNDS; round++) {
        float ms;
        check_gpu(cudaEventRecord(begin, c->stream), "event");
        for (int i = 0; i < n; i++) work(c, context);
        check_gpu(cudaEventRecord(end, c->stream), "event");
        check_gpu(cudaEventSynchronize(end), "running a benchmark");
        check_gpu(cudaEventElapsedTime(&ms, begin, end), "timing");
        us[round] = 1e3 * (double)ms / n;
    }
    for (int i = 0; i < ROUNDS; i++)
        for (int k = i + 1; k < ROUNDS; k++)
            if (us[k] < us[i]) {
                const double swapped = us[i];
                us[i] = us[k], us[k] = swapped;
            }
    check_gpu(cudaEventDestroy(begin), "event");
    check_gpu(cudaEventDestroy(end), "event");
    return us[ROUNDS / 2];
}

// n random cells on the GPU without a copy on the host for an oracle: a block, repeated.
void *bench_random(check *c, size_t n, wb_cell cell, float range) {
    const size_t block = n < 1 << 20 ? n : 1 << 20, size = wb_cell_bytes(cell);
    uint8_t *cells = new_array(block, size);
    uint8_t byte_of[256];
    for (int i = 0; i < 256; i++) cell_store(cell, byte_of, (size_t)(size == 1 ? i : 0), 0.0f);
    if (size == 1)
        for (size_t i = 0; i < 256; i++)
            cell_store(cell, byte_of, i, check_uniform(c, -range, range));
    for (size_t i = 0; i < block; i++) {
        if (size == 1)
            cells[i] = byte_of[check_below(c, 256)];
        else
            cell_store(cell, cells, i, check_uniform(c, -range, range));
    }
    uint8_t *there = check_poisoned(c, n * size);
    for (size_t at = 0; at < n; at += block) {
        const size_t now = n - at < block ? n - at : block;
        check_gpu(cudaMemcpy(there + at * size, cells, now * size, cudaMemcpyHostToDevice), "copy");
    }
    wb_free(cells);
    return there;
}

// ---- Bare products ----

typedef struct bare {
    wb_gpu_product products[4];
} bare;

static void run_bare(check *c, void *context) {
    const bare *b = context;
    wb_error err;
    for (int i = 0; i < 4; i++)
        check_ok(wb_products_run(c->products, &b->products[i], c->stream, &err), &err);
}

static void bench_bare(check *c, const bench_options *options) {
    static const struct {
        const char *name;
        wb_cell in, out;
        bool is_tf32;
    } kinds[] = {{"bare f16", WB_CELL_F16, WB_CELL_F16, false},
                 {"bare bf16", WB_CELL_BF16, WB_CELL_BF16, false},
                 {"bare fp8", WB_CELL_FP8, WB_CELL_F16, false},
                 {"bare i8", WB_CELL_I8, WB_CELL_I32, false},
                 {"bare tf32", WB_CELL_F32, WB_CELL_F32, true},
                 {"bare f32", WB_CELL_F32, WB_CELL_F32, false}};
    const int m = options->tokens;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!bench_wants(options, kinds[i].name)) continue;
        if (kinds[i].in == WB_CELL_FP8 && !c->device.has_fp8) continue;
        check_begin(c, "%s", kinds[i].name);
        const float one = 1.0f;
        const void *scale = check_upload(c, &one, sizeof one);
        const float range = kinds[i].in == WB_CELL_I8 ? 127.0f : 1.0f;
        bare b;
        double flops = 0.0;
        for (int p = 0; p < 4; p++) {
            const int n = product_n[p], k = product_k[p];
            b.products[p] = (wb_gpu_product){
                .m = m,
                .n = n,
                .k = k,
                .cell = kinds[i].in,
                .is_tf32 = kinds[i].is_tf32,
                .x = bench_random(c, (size_t)m * (size_t)k, kinds[i].in, range),
                .w = bench_random(c, (size_t)n * (size_t)k, kinds[i].in, range),
                .y = check_poisoned(c, (size_t)m * (size_t)n * wb_cell_bytes(kinds[i].out)),
                .y_cell = kinds[i].out,
                .ld_y = n,
                .side_cell = kinds[i].out,
                .x_scale = kinds[i].in == WB_CELL_FP8 ? scale : NULL,
                .w_scale = kinds[i].in == WB_CELL_FP8 ? scale : NULL};
            flops += 2.0 * m * n * k;
        }
        const double us = bench_time(c, run_bare, &b, 3);
        const bench_energy e = bench_measure(c, run_bare, &b, us, options->seconds);
        printf("%-28s m %6d  %7.1f TFLOP/s  6 layers: %9.0f tok/s  %7.1f uJ/token  %5.0f W\n",
               kinds[i].name, m, flops / us * 1e-6, m / us * 1e6 / 6.0 * (us / e.us),
               6e6 * e.joules / m, e.joules / e.us * 1e6);
        fflush(stdout);
    }
    check_begin(c, "end");
}

// ---- Kernels that should run at the memory's pace ----

typedef struct copy {
    void *to;
    const void *from;
    size_t n_bytes;
} copy;

static void run_copy(check *c, void *context) {
    const copy *y = context;
    check_gpu(cudaMemcpyAsync(y->to, y->from, y->n_bytes, cudaMemcpyDeviceToDevice, c->stream),
              "copy");
}

static void run_norm(check *c, void *context) {
    check_gpu(wb_launch_norm(context, c->stream), "norm");
}

static void run_finish(check *c, void *context) {
    check_gpu(wb_launch_finish(context, c->stream), "finish");
}

static void run_flash(check *c, void *context) {
    check_gpu(wb_launch_attention_flash(context, c->stream), "flash");
}

static void report(const char *name, double us, double n_bytes, double limit) {
    const double rate = n_bytes / us * 1e-3;
    printf("%-44s %8.1f us  %7.0f GB/s  %5.1f %% of the copy's pace\n", name, us, rate,
           limit > 0.0 ? 100.0 * rate / limit : 100.0);
    fflush(stdout);
}

static void bench_norms(check *c, const bench_options *options, double limit) {
    const int m = options->tokens, d = 768;
    const size_t n = (size_t)m * (size_t)d;
    check_begin(c, "norms");
    wb_norm_args args = {.a = bench_random(c, n, WB_CELL_F16, 1.0f),
                         .a_cell = WB_CELL_F16,
                         .gamma = bench_random(c, (size_t)d, WB_CELL_F32, 1.0f),
                         .beta = bench_random(c, (size_t)d, WB_CELL_F32, 1.0f),
                         .x = check_poisoned(c, 2 * n),
                         .x_cell = WB_CELL_F16,
                         .m = m,
                         .d = d};
    report("norm f16", bench_time(c, run_norm, &args, 10), 4.0 * (double)n, limit);
    args.b = bench_random(c, n, WB_CELL_F16, 1.0f);
    report("norm f16 + f16", bench_time(c, run_norm, &args, 10), 6.0 * (double)n, limit);
    args.b = NULL;
    args.narrow = (wb_narrow){
        .rows = check_poisoned(c, n), .cell = WB_CELL_FP8, .ld = d, .multiplier = 50.0f};
    report("norm f16, static fp8", bench_time(c, run_norm, &args, 10), 5.0 * (double)n, limit);
    args.narrow.row_scale = check_poisoned(c, (size_t)m * 4);
    report("norm f16, dynamic fp8", bench_time(c, run_norm, &args, 10), 5.0 * (double)n, limit);

    const size_t wide = (size_t)m * 3072;
    check_begin(c, "finish");
    wb_finish_args f = {.sums = bench_random(c, wide, WB_CELL_F16, 4.0f),
                        .cell = WB_CELL_F16,
                        .ld_sums = 3072,
                        .x_scale = 1.0f,
                        .bias = bench_random(c, 3072, WB_CELL_F32, 1.0f),
                        .activation = WB_GELU,
                        .m = m,
                        .n = 3072};
    f.narrow = (wb_narrow){.rows = check_poisoned(c, 2 * wide), .cell = WB_CELL_F16, .ld = 3072};
    report("gelu f16 to f16, 3072", bench_time(c, run_finish, &f, 5), 4.0 * (double)wide, limit);
    f.narrow.cell = WB_CELL_FP8;
    f.narrow.row_scale = check_poisoned(c, (size_t)m * 4);
    report("gelu f16 to dynamic fp8, 3072", bench_time(c, run_finish, &f, 5), 3.0 * (double)wide,
           limit);
    check_begin(c, "end");
}

// One length for all texts, so that one class of items has them all.
static void bench_attention(check *c, const bench_options *options, double limit) {
    static const int lengths[] = {16, 25, 32, 38, 64, 128, 256, 512};
    const int d = 768, n_heads = 12;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const int length = lengths[i], n_texts = options->tokens / length;
        const int per_text = length > 64 ? (length + 63) / 64 : 1, n_items = n_texts * per_text;
        const size_t m = (size_t)n_texts * (size_t)length;
        check_begin(c, "attention");
        wb_item *items = new_array((size_t)n_items, sizeof *items);
        for (int k = 0; k < n_items; k++)
            items[k] = (wb_item){.first_row = k / per_text * length,
                                 .n_rows = length,
                                 .n_valid = length,
                                 .first_query = k % per_text * 64,
                                 .text = k / per_text};
        const uint16_t *qkv = bench_random(c, m * 3 * (size_t)d, WB_CELL_F16, 2.0f);
        wb_attention_args args = {
            .query = qkv,
            .key = qkv + d,
            .value = qkv + 2 * d,
            .ld_query = 3 * d,
            .ld_key = 3 * d,
            .cell = WB_CELL_F16,
            .context = {.rows = check_poisoned(c, m * (size_t)d * 2), .cell = WB_CELL_F16, .ld = d},
            .items = check_upload(c, items, (size_t)n_items * sizeof *items),
            .n_items = check_upload(c, &n_items, 4),
            .most_items = n_items,
            .item_class = length <= 32   ? WB_ITEMS_32
                          : length <= 64 ? WB_ITEMS_64
                                         : WB_ITEMS_LONG,
            .n_heads = n_heads,
            .d_head = 64,
            .n_multiprocessors = c->n_multiprocessors};
        char name[64];
        snprintf(name, sizeof name, "attention f16, texts of %d (%.1f TFLOP/s)", length, 0.0);
        const double us = bench_time(c, run_flash, &args, 10);
        const double flops = 4.0 * (double)m * length * d;
        snprintf(name, sizeof name, "attention f16, %3d a text, %5.1f TFLOP/s", length,
                 flops / us * 1e-6);
        report(name, us, 8.0 * (double)m * d, limit);
        args.is_first_only = true;
        args.ld_query = d;
        snprintf(name, sizeof name, "one query a text, %3d a text", length);
        report(name, bench_time(c, run_flash, &args, 10), 4.0 * (double)m * d, limit);
        wb_free(items);
    }
    check_begin(c, "end");
}

int bench_run(check *c, const bench_options *options) {
    printf("# %s, %d rows a batch, %s lengths\n", c->device.name, options->tokens,
           options->is_mnli ? "MNLI" : "SST-2");
    bench_bare(c, options);
    bench_products(c, options);
    if (bench_wants(options, "kernels")) {
        check_begin(c, "copy");
        const size_t n_bytes = (size_t)1 << 30;
        copy y = {check_poisoned(c, n_bytes), bench_random(c, n_bytes / 4, WB_CELL_F32, 1.0f),
                  n_bytes};
        const double us = bench_time(c, run_copy, &y, 5), limit = 2.0 * (double)n_bytes / us * 1e-3;
        report("copy of 1 GiB", us, 2.0 * (double)n_bytes, limit);
        bench_norms(c, options, limit);
        bench_attention(c, options, limit);
    }
    bench_forwards(c, options);
    return 0;
}
