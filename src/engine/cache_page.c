// SPDX-License-Identifier: Apache-2.0
// The first page of a cache: marks of everything that packed weights depend on. That the packers
// have changed is not left to somebody's memory: a known matrix is packed at every open, and its
// bytes are part of what has to agree.
#include <string.h>

#include "engine/cache.h"

enum { FORMAT = 1 };  // of the page
static const char magic[32] = "wattbert packed weights\n";

static uint64_t mark_text(uint64_t before, const char *text) {
    return wb_fingerprint(before, text, strlen(text));
}

static uint64_t mark_numbers(uint64_t before, const int64_t *numbers, size_t n) {
    return wb_fingerprint(before, numbers, n * sizeof *numbers);
}

static uint64_t mark_kernels(const wb_kernels *kernels) {
    const int64_t numbers[] = {kernels->cpu_flags, kernels->tile_n};
    return mark_numbers(mark_text(0, kernels->isa), numbers, 2);
}

// ---- What packing does here ----

// Sizes that are no multiple of any tile, word or vector.
enum { PROBE_N = 83, PROBE_K = 151 };

// *mark <- what becomes of a matrix of known weights in one precision.
static wb_status mark_packing(uint64_t *mark, const wb_kernels *kernels, wb_precision precision,
                              bool is_autocast, wb_error *err) {
    float *w = wb_alloc(sizeof *w * PROBE_N * PROBE_K);
    if (!w) return wb_fail(err, WB_ERR_MEMORY, 0, "cache of packed weights");
    wb_random random = {.state = 1};
    float smooth[PROBE_K];
    for (int i = 0; i < PROBE_N * PROBE_K; i++) w[i] = (float)wb_random_unit(&random) - 0.5f;
    for (int i = 0; i < PROBE_K; i++) smooth[i] = wb_smooth_step(i % 9 - 4);
    const wb_matrix_scales scales = {.x_max = 1.0f, .smooth = smooth};
    wb_linear linear;
    const wb_status status = wb_linear_pack(&linear, kernels, precision, is_autocast, &scales, w, w,
                                            PROBE_N, PROBE_K, err);
    wb_linear nowhere;
    const size_t n_bytes =
        wb_linear_place(&nowhere, kernels, precision, is_autocast, &scales, PROBE_N, PROBE_K, NULL);
    if (!status) *mark = wb_fingerprint(*mark, linear.memory, n_bytes);
    if (!status) wb_linear_free(&linear);
    wb_free(w);
    return status;
}

// And where everything lies.
static wb_status mark_packings(uint64_t *mark, const wb_engine *engine, wb_error *err) {
    bool is_marked[WB_N_PRECISIONS] = {false};
    const wb_status layout = wb_weights_mark_layout(mark, &engine->plan, &engine->kernels, err);
    if (layout) return layout;
    for (int i = 0; i < engine->plan.n_matrices; i++) {
        const wb_matrix *m = &engine->plan.matrices[i];
        if (is_marked[m->precision]) continue;
        is_marked[m->precision] = true;
        const wb_status status =
            mark_packing(mark, &engine->kernels, m->precision, m->is_autocast, err);
        if (status) return status;
    }
    return WB_OK;
}

// ---- What is packed ----

static uint64_t mark_plan(const wb_plan *plan) {
    const wb_shape *s = &plan->shape;
    const int64_t shape[] = {s->n_layers,   s->d_model,       s->n_heads,  s->d_head,    s->d_ff,
                             s->vocab_size, s->max_positions, s->n_labels, s->activation};
    uint64_t mark = mark_numbers(0, shape, sizeof shape / sizeof *shape);
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_matrix *m = &plan->matrices[i];
        const int64_t matrix[] = {m->n, m->k, m->precision, m->is_autocast};
        mark = mark_numbers(mark, matrix, 4);
    }
    return mark;
}

static uint64_t mark_scales(const wb_plan *plan) {
    uint64_t mark = 0;
    for (int i = 0; plan->scales && i < plan->n_matrices; i++) {
        const wb_matrix_scales *scales = &plan->scales->matrices[i];
        mark = wb_fingerprint(mark, &scales->x_max, sizeof scales->x_max);
        if (scales->smooth)
            mark = wb_fingerprint(mark, scales->smooth,
                                  (size_t)plan->matrices[i].k * sizeof *scales->smooth);
    }
    return mark;
}

wb_status wb_cache_expect(wb_cache_page *page, const wb_engine *engine, size_t n_bytes,
                          wb_error *err) {
    *page = (wb_cache_page){.fields = {[WB_PAGE_FORMAT] = FORMAT,
                                       [WB_PAGE_LIBRARY] = mark_text(0, WATTBERT_VERSION),
                                       [WB_PAGE_KERNELS] = mark_kernels(&engine->kernels),
                                       [WB_PAGE_PLAN] = mark_plan(&engine->plan),
                                       [WB_PAGE_SCALES] = mark_scales(&engine->plan),
                                       [WB_PAGE_N_BYTES] = n_bytes}};
    memcpy(page->magic, magic, sizeof magic);
    page->fields[WB_PAGE_MODEL] = wb_checkpoint_identity(engine->model->checkpoint);
    return mark_packings(&page->fields[WB_PAGE_PACKING], engine, err);
}

// ---- Marks of the whole ----

enum { PIECE_BYTES = 1 << 20 };

typedef struct mark_run {
    const uint8_t *data;
    size_t n_bytes;
    uint64_t *marks;  // of each piece
} mark_run;

static void mark_piece(void *context, int task, int worker) {
    (void)worker;
    const mark_run *run = context;
    const size_t begin = (size_t)task * PIECE_BYTES, left = run->n_bytes - begin;
    run->marks[task] =
        wb_fingerprint(0, run->data + begin, left < PIECE_BYTES ? left : PIECE_BYTES);
}

// *mark <- of data[n_bytes]: of the pieces' marks, which the threads find.
static wb_status mark_contents(uint64_t *mark, const void *data, size_t n_bytes, wb_pool *pool,
                               wb_error *err) {
    const size_t n = (n_bytes + PIECE_BYTES - 1) / PIECE_BYTES;
    uint64_t *marks = wb_alloc_array(n, sizeof *marks);
    if (!marks || n > INT32_MAX) {
        wb_free(marks);
        return wb_fail(err, WB_ERR_MEMORY, 0, "cache of %zu bytes", n_bytes);
    }
    mark_run run = {.data = data, .n_bytes = n_bytes, .marks = marks};
    wb_pool_run(pool, mark_piece, &run, (int)n);
    *mark = wb_fingerprint(n_bytes, marks, n * sizeof *marks);
    wb_free(marks);
    return WB_OK;
}

static uint64_t mark_header(const wb_cache_page *page) {
    wb_cache_page marked = *page;
    marked.fields[WB_PAGE_HEADER] = 0;
    return wb_fingerprint(0, &marked, sizeof marked);
}

wb_status wb_cache_seal(wb_cache_page *page, const void *weights, wb_pool *pool, wb_error *err) {
    const wb_status status = mark_contents(&page->fields[WB_PAGE_CONTENTS], weights,
                                           page->fields[WB_PAGE_N_BYTES], pool, err);
    page->fields[WB_PAGE_HEADER] = mark_header(page);
    return status;
}

// ---- Checking ----

// Why a file is of no use here, by the first word of its page that differs.
static wb_status compare_pages(const wb_cache_page *page, const wb_cache_page *expected,
                               wb_error *err) {
    static const char *const reasons[WB_PAGE_N_FIELDS] = {
        [WB_PAGE_FORMAT] = "written by another version of wattbert",
        [WB_PAGE_LIBRARY] = "written by another version of wattbert",
        [WB_PAGE_KERNELS] = "packed for another CPU",
        [WB_PAGE_PACKING] = "packed by other kernels",
        [WB_PAGE_PLAN] = "packed for another shape or other precisions",
        [WB_PAGE_SCALES] = "packed with other scales",
        [WB_PAGE_MODEL] = "packed from other weights, or their file was touched since",
        [WB_PAGE_N_BYTES] = "not as long as it says",
    };
    if (page->fields[WB_PAGE_FORMAT] == FORMAT && page->fields[WB_PAGE_HEADER] != mark_header(page))
        return wb_fail(err, WB_ERR_FORMAT, 0, "damaged in its first page");
    for (int i = 0; i < WB_PAGE_CONTENTS; i++)
        if (page->fields[i] != expected->fields[i])
            return wb_fail(err, i == WB_PAGE_N_BYTES ? WB_ERR_FORMAT : WB_ERR_MODEL,
                           sizeof page->magic + sizeof *page->fields * (size_t)i, "%s", reasons[i]);
    return WB_OK;
}

wb_status wb_cache_check(const void *data, size_t n_bytes, const wb_cache_page *expected,
                         wb_pool *pool, wb_error *err) {
    wb_cache_page page;
    if (n_bytes < sizeof page || memcmp(data, magic, sizeof magic) != 0)
        return wb_fail(err, WB_ERR_FORMAT, 0, "no packed weights");
    memcpy(&page, data, sizeof page);
    wb_status status = compare_pages(&page, expected, err);
    if (status) return status;
    if (page.fields[WB_PAGE_N_BYTES] != n_bytes - sizeof page)
        return wb_fail(err, WB_ERR_FORMAT, n_bytes, "not as long as it says");
    uint64_t mark = 0;
    status =
        mark_contents(&mark, (const uint8_t *)data + sizeof page, n_bytes - sizeof page, pool, err);
    if (!status && mark != page.fields[WB_PAGE_CONTENTS])
        return wb_fail(err, WB_ERR_FORMAT, sizeof page, "damaged in its weights");
    return status;
}
