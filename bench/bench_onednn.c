// SPDX-License-Identifier: Apache-2.0
// Our products beside oneDNN's on one core, sample by sample in turn, at a model's shapes: the bar
// is 0.97 of its speed. oneDNN gets what a careful user gives it: matmul primitives made for the
// shape, weights reordered into the layout that it asks for, outside the timing.
//
//     ninja -C build/release bench_onednn
//     build/release/bench/bench_onednn [f32|bf16|i8] [repeat]
//
// i8 is u8 x s8 -> f32 with one scale for oneDNN; ours corrects for the zero point of 128 and
// scales each row and column.
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "cpu/cpu.h"
#include "kernels/kernels.h"

typedef enum precision { F32, BF16, I8, N_PRECISIONS } precision;

static const char *const names[N_PRECISIONS] = {"f32", "bf16", "i8"};

typedef struct product {
    precision precision;
    int m, n, k;
    void *x;   // [m, k]
    float *w;  // [n, k]
    float *y, *ones;
    void *packed;
    const wb_kernels *kernels;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t matmul;
    dnnl_memory_t source, weights, target;
} product;

static void must(dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return;
    fprintf(stderr, "bench_onednn: %s: oneDNN status %d\n", what, (int)status);
    exit(3);
}

static void *must_have(void *block) {
    if (block) return block;
    fputs("bench_onednn: out of memory\n", stderr);
    exit(3);
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void run_ours(const product *p) {
    const wb_epilogue plain = {.activation = WB_LINEAR};
    switch (p->precision) {
        case F32:
            p->kernels->gemm_f32(p->y, p->n, p->x, p->k, p->packed, p->m, p->n, p->k, &plain);
            break;
        case BF16:
            p->kernels->gemm_bf16(p->y, p->n, p->x, p->k, p->packed, p->m, p->n, p->k, &plain);
            break;
        default:
            p->kernels->gemm_i8(p->y, p->n, p->x, p->k, p->ones, p->packed, p->ones, p->m, p->n,
                                p->k, &plain);
    }
}

static void run_onednn(const product *p) {
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, p->source}, {DNNL_ARG_WEIGHTS, p->weights}, {DNNL_ARG_DST, p->target}};
    must(dnnl_primitive_execute(p->matmul, p->stream, 3, arguments), "execute");
    must(dnnl_stream_wait(p->stream), "wait");
}

// weights <- w[n, k] in the layout that the primitive asks for.
static void reorder_weights(product *p, const_dnnl_primitive_desc_t matmul, dnnl_data_type_t type,
                            const void *w) {
    const dnnl_dims_t shape = {p->k, p->n}, strides = {1, p->k};
    dnnl_memory_desc_t plain;
    must(dnnl_memory_desc_init_by_strides(&plain, 2, shape, type, strides), "plain weights");
    dnnl_memory_t from;
    must(dnnl_memory_create(&from, &plain, p->engine, (void *)(uintptr_t)w), "weights");
    const dnnl_memory_desc_t *packed =
        dnnl_primitive_desc_query_md(matmul, dnnl_query_weights_md, 0);
    must(dnnl_memory_create(&p->weights, packed, p->engine, DNNL_MEMORY_ALLOCATE), "weights");
    dnnl_primitive_desc_t description;
    must(dnnl_reorder_primitive_desc_create(&description, &plain, p->engine, packed, p->engine,
                                            NULL),
         "reorder");
    dnnl_primitive_t reorder;
    must(dnnl_primitive_create(&reorder, description), "reorder");
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, p->weights}};
    must(dnnl_primitive_execute(reorder, p->stream, 2, arguments), "reorder");
    must(dnnl_stream_wait(p->stream), "wait");
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(description);
    dnnl_memory_destroy(from);
}

static void open_onednn(product *p, const void *w) {
    static const dnnl_data_type_t types[][2] = {
        {dnnl_f32, dnnl_f32}, {dnnl_bf16, dnnl_bf16}, {dnnl_u8, dnnl_s8}};
    const dnnl_data_type_t source = types[p->precision][0], weights = types[p->precision][1];
    const dnnl_dims_t x_shape = {p->m, p->k}, w_shape = {p->k, p->n}, y_shape = {p->m, p->n};
    dnnl_memory_desc_t x, any, y;
    must(dnnl_memory_desc_init_by_tag(&x, 2, x_shape, source, dnnl_ab), "source");
    must(dnnl_memory_desc_init_by_tag(&any, 2, w_shape, weights, dnnl_format_tag_any), "weights");
    must(dnnl_memory_desc_init_by_tag(&y, 2, y_shape, dnnl_f32, dnnl_ab), "target");
    dnnl_matmul_desc_t operation;
    must(dnnl_matmul_desc_init(&operation, &x, &any, NULL, &y), "matmul");
    dnnl_primitive_desc_t description;
    must(dnnl_primitive_desc_create(&description, &operation, NULL, p->engine, NULL), "matmul");
    must(dnnl_primitive_create(&p->matmul, description), "matmul");
    reorder_weights(p, description, weights, w);
    must(dnnl_memory_create(&p->source, &x, p->engine, p->x), "source");
    must(dnnl_memory_create(&p->target, &y, p->engine, DNNL_MEMORY_ALLOCATE), "target");
    dnnl_primitive_desc_destroy(description);
}

static void open_product(product *p) {
    const wb_kernels *now = p->kernels;
    const size_t n_x = (size_t)p->m * (size_t)p->k, n_w = (size_t)p->n * (size_t)p->k;
    const size_t n_panels = (size_t)((p->n + now->tile_n - 1) / now->tile_n);
    wb_random random = {1};
    float *x = must_have(wb_alloc_array(n_x, sizeof *x));
    void *narrow = must_have(wb_alloc_array(n_w, 2));
    p->x = must_have(wb_alloc_array(n_x, sizeof(float)));
    p->w = must_have(wb_alloc_array(n_w, sizeof(float)));
    p->y = must_have(wb_alloc_array((size_t)p->m * (size_t)p->n, sizeof(float)));
    p->ones = must_have(wb_alloc_array((size_t)p->m + (size_t)p->n, sizeof(float)));
    p->packed = must_have(wb_alloc(n_panels * now->panel_bytes_f32(p->k)));  // the widest
    for (size_t i = 0; i < n_x; i++) x[i] = 2.0f * (float)wb_random_unit(&random) - 1.0f;
    for (size_t i = 0; i < n_w; i++) p->w[i] = 2.0f * (float)wb_random_unit(&random) - 1.0f;
    for (int i = 0; i < p->m + p->n; i++) p->ones[i] = 1.0f;
    if (p->precision == F32) {
        memcpy(p->x, x, n_x * sizeof *x);
        now->pack_f32(p->packed, p->w, p->n, p->k);
        open_onednn(p, p->w);
    } else if (p->precision == BF16) {
        now->cast_bf16(p->x, p->k, x, p->k, p->m, p->k);
        now->cast_bf16(narrow, p->k, p->w, p->k, p->n, p->k);
        now->pack_bf16(p->packed, p->w, p->n, p->k);
        open_onednn(p, narrow);
    } else {
        int8_t *w = narrow;
        now->quantize_i8(p->x, p->k, p->y, x, p->k, p->m, p->k);
        for (size_t i = 0; i < n_w; i++) w[i] = (int8_t)(127.0f * p->w[i]);
        now->pack_i8(p->packed, w, p->n, p->k);
        open_onednn(p, w);
    }
    wb_free(x);
    wb_free(narrow);
}

static void close_product(product *p) {
    dnnl_primitive_destroy(p->matmul);
    dnnl_memory_destroy(p->source);
    dnnl_memory_destroy(p->weights);
    dnnl_memory_destroy(p->target);
    void *blocks[] = {p->x, p->w, p->y, p->ones, p->packed};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) wb_free(blocks[i]);
}

static double time_calls(const product *p, void (*run)(const product *), int n_calls) {
    const double start = now_ns();
    for (int i = 0; i < n_calls; i++) run(p);
    return (now_ns() - start) / n_calls;
}

// Prints one line; returns our speed as a multiple of theirs.
static double compare(product *p, int repeat) {
    open_product(p);
    double ours = 1e30, theirs = 1e30;
    const int n_calls = 1 + (int)(1e6 / time_calls(p, run_ours, 1));
    time_calls(p, run_onednn, 1);
    for (int i = 0; i < repeat; i++) {
        const double a = time_calls(p, run_ours, n_calls);
        const double b = time_calls(p, run_onednn, n_calls);
        if (a < ours) ours = a;
        if (b < theirs) theirs = b;
    }
    const double operations = 2.0 * p->m * p->n * p->k;
    printf("%-4s m %-4d n %-4d k %-4d  ours %7.1f GFLOP/s  oneDNN %7.1f  ratio %.3f\n",
           names[p->precision], p->m, p->n, p->k, operations / ours, operations / theirs,
           theirs / ours);
    fflush(stdout);
    close_product(p);
    return theirs / ours;
}

int main(int argc, char **argv) {
    // OpenMP reads its number of threads when it is loaded, so it must be set before.
    const char *threads = getenv("OMP_NUM_THREADS");
    if (!threads || strcmp(threads, "1")) {
        setenv("OMP_NUM_THREADS", "1", 1);
        execv("/proc/self/exe", argv);
    }
    static const int layers[][2] = {{2304, 768}, {768, 768}, {3072, 768}, {768, 3072},
                                    {1152, 384}, {384, 384}, {1536, 384}, {384, 1536}};
    static const int row_counts[] = {1, 6, 16, 25, 128, 1024};
    const int repeat = argc > 2 ? atoi(argv[2]) : 15;
    wb_cpu cpu;
    wb_kernels kernels;
    wb_cpu_detect(&cpu);
    wb_kernels_select(&kernels, cpu.flags);
    product p = {.kernels = &kernels};
    must(dnnl_engine_create(&p.engine, dnnl_cpu, 0), "engine");
    must(dnnl_stream_create(&p.stream, p.engine, dnnl_stream_default_flags), "stream");
    const dnnl_version_t *version = dnnl_version();
    printf("oneDNN %d.%d.%d, %s, one core\n", version->major, version->minor, version->patch,
           cpu.name);
    for (p.precision = 0; p.precision < N_PRECISIONS; p.precision++) {
        if (argc > 1 && strcmp(argv[1], names[p.precision])) continue;
        double least = 1e30;
        for (size_t layer = 0; layer < sizeof layers / sizeof layers[0]; layer++)
            for (size_t row = 0; row < sizeof row_counts / sizeof row_counts[0]; row++) {
                p.m = row_counts[row];
                p.n = layers[layer][0];
                p.k = layers[layer][1];
                const double ratio = compare(&p, repeat);
                if (ratio < least) least = ratio;
            }
        printf("%s: at least %.3f of oneDNN\n", names[p.precision], least);
    }
    dnnl_stream_destroy(p.stream);
    dnnl_engine_destroy(p.engine);
    return 0;
}
