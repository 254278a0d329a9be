// SPDX-License-Identifier: Apache-2.0
// What an engine holds, over a random model: a plan, weights, threads and workspaces, opened for
// any shape, technique and instruction set, and lists of random ids to run through it.
#ifndef MODEL_HARNESS_H
#define MODEL_HARNESS_H

#include "random_model.h"

typedef struct harness {
    wb_shape shape;
    wb_cpu cpu;
    wb_kernels kernels;
    wb_plan plan;
    wb_weights *weights;
    wb_pool *pool;
    wb_workspace *workspaces;
    int n_threads;
} harness;

typedef struct harness_options {
    const char *technique;
    const char *isa;  // highest set, NULL: all the machine has
    uint32_t lacks;   // WB_CPU_ flags that the machine is told not to have
    int n_threads;    // 0: 1
    int block_rows;   // 0: the plan's own
    int token_budget, batch_size, padded_length;
    bool is_sorted;
    bool is_emulated;  // bf16 and f16 products even where the CPU has none
    bool has_change;   // one matrix in another precision
    int changed_matrix;
    wb_precision changed_precision;
    const wb_tensor_source *source;  // NULL: a random model
    const wb_scales *scales;         // of i8-static
} harness_options;

static inline void require(bool condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "harness: %s\n", what);
    abort();
}

static inline harness *harness_open(const wb_shape *shape, const harness_options *o) {
    harness *h = calloc(1, sizeof *h);
    require(h != NULL, "memory");
    h->shape = *shape;
    h->n_threads = o->n_threads ? o->n_threads : 1;
    wb_cpu_detect(&h->cpu);
    wb_kernels_select(&h->kernels, wb_cpu_limit(h->cpu.flags, o->isa) & ~o->lacks);
    if (o->is_emulated) h->kernels.has_bf16 = h->kernels.has_f16 = true;
    const wb_options options = {.technique = o->technique,
                                .n_threads = h->n_threads,
                                .batch_size = o->batch_size ? o->batch_size : 4,
                                .padded_length = o->padded_length ? o->padded_length : 16,
                                .token_budget = o->token_budget,
                                .scales = o->scales ? "given" : NULL,
                                .sort_batches = o->is_sorted};
    wb_error err = {.message = ""};
    wb_status status = wb_plan_init(&h->plan, shape, &options, &h->kernels, &h->cpu, &err);
    require(!status, err.message);
    if (wb_plan_needs_scales(&h->plan)) wb_plan_use_scales(&h->plan, o->scales);
    if (o->block_rows) h->plan.block_rows = o->block_rows;
    if (o->has_change) h->plan.matrices[o->changed_matrix].precision = o->changed_precision;
    const wb_tensor_source source = o->source ? *o->source : random_source(&h->shape);
    require(!wb_pool_open(&h->pool, h->n_threads, &err), "threads");
    status = wb_weights_open(&h->weights, &h->plan, &h->kernels, &source, h->pool, &err);
    require(!status, err.message);
    h->workspaces = calloc((size_t)h->n_threads, sizeof *h->workspaces);
    require(h->workspaces != NULL, "memory");
    for (int i = 0; i < h->n_threads; i++)
        require(!wb_workspace_init(&h->workspaces[i], &h->plan, h->weights, &h->kernels, &err),
                err.message);
    return h;
}

static inline void harness_close(harness *h) {
    for (int i = 0; i < h->n_threads; i++) wb_workspace_free(&h->workspaces[i]);
    free(h->workspaces);
    wb_weights_close(h->weights);
    wb_pool_close(h->pool);
    wb_plan_free(&h->plan);
    free(h);
}

// All batches one after the other, each by all threads or by the caller alone.
static inline void harness_forward(harness *h, const wb_id_lists *lists, float *logits,
                                   const wb_tap *tap) {
    const wb_team team = {.plan = &h->plan,
                          .kernels = &h->kernels,
                          .weights = h->weights,
                          .workspaces = h->workspaces,
                          .pool = h->n_threads > 1 ? h->pool : NULL};
    wb_workspace *s = &h->workspaces[0];
    const size_t n_labels = (size_t)h->shape.n_labels;
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &h->plan, lists);
    while (wb_batch_next(&s->batch, &cursor)) {
        wb_forward_batch(&team, &s->batch, s->logits, tap);
        for (int i = 0; i < s->batch.n_texts; i++)
            memcpy(logits + (size_t)s->batch.texts[i].index * n_labels,
                   s->logits + (size_t)i * n_labels, n_labels * sizeof *logits);
    }
}

// ---- Random ids ----

enum { MAX_TEXTS = 256, MAX_IDS = 4096 };

typedef struct texts {
    wb_id_lists lists;
    int32_t ids[MAX_IDS];
    size_t offsets[MAX_TEXTS + 1];
    int by_length[MAX_TEXTS];
} texts;

static inline size_t text_length(const texts *t, int i) {
    return t->offsets[i + 1] - t->offsets[i];
}

static inline void texts_order(texts *t) {
    for (int i = 0; i < t->lists.n_texts; i++) {
        int at = i;
        for (; at > 0 && text_length(t, t->by_length[at - 1]) > text_length(t, i); at--)
            t->by_length[at] = t->by_length[at - 1];
        t->by_length[at] = i;
    }
}

// Room for n texts, whose ids and offsets are still to come.
static inline void texts_open(texts *t, int n) {
    t->lists = (wb_id_lists){
        .n_texts = n, .ids = t->ids, .offsets = t->offsets, .by_length = t->by_length};
    t->offsets[0] = 0;
}

// n texts of 2 to longest ids below vocab_size.
static inline void texts_fill(texts *t, int n, int longest, int vocab_size, uint64_t seed) {
    wb_random random = {.state = seed};
    texts_open(t, n);
    for (int i = 0; i < n; i++) {
        const size_t length = 2 + (size_t)wb_random_below(&random, (uint64_t)longest - 1);
        t->offsets[i + 1] = t->offsets[i] + length;
        for (size_t j = t->offsets[i]; j < t->offsets[i + 1]; j++)
            t->ids[j] = (int32_t)wb_random_below(&random, (uint64_t)vocab_size);
    }
    texts_order(t);
}

// n texts of these lengths, of id 0.
static inline void texts_of_lengths(texts *t, const int *lengths, int n) {
    texts_open(t, n);
    for (int i = 0; i < n; i++) t->offsets[i + 1] = t->offsets[i] + (size_t)lengths[i];
    memset(t->ids, 0, sizeof t->ids);
    texts_order(t);
}

// The same text alone.
static inline wb_id_lists texts_one(const texts *t, int i, size_t offsets[2], int order[1]) {
    offsets[0] = t->offsets[i];
    offsets[1] = t->offsets[i + 1];
    order[0] = 0;
    return (wb_id_lists){.n_texts = 1, .ids = t->ids, .offsets = offsets, .by_length = order};
}

#endif
