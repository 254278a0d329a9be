// SPDX-License-Identifier: Apache-2.0
// One block of memory a thread, cut into the arrays of a forward. It is not zeroed: pages
// that no batch is large enough to reach are never made.
#include "model/model.h"

// Hands out 64-byte aligned pieces; with memory NULL it only counts.
typedef struct carver {
    char *memory;
    size_t used;
} carver;

static void *carve(carver *c, size_t n, size_t element_bytes) {
    void *piece = c->memory ? c->memory + c->used : NULL;
    c->used += (n * element_bytes + 63) / 64 * 64;
    return piece;
}

// Scratch for the largest panel that autocast casts; 0 for other plans.
static size_t largest_cast(const wb_plan *plan, const wb_weights *weights,
                           const wb_kernels *kernels) {
    size_t largest = 0;
    for (int i = 0; i < plan->n_matrices; i++) {
        // The lookup gives a writable matrix to those who pack; here it is only read.
        const size_t n = wb_linear_cast_bytes(wb_weights_matrix((wb_weights *)weights, i), kernels);
        if (n > largest) largest = n;
    }
    return largest;
}

// What lives inside attention and inside the feed-forward block, never at once, has the same
// memory: lines that one has left in the cache need not be fetched to be overwritten by the other.
static void carve_inner(wb_workspace *w, carver *c, size_t n_qkv, size_t n_context, size_t n_wide) {
    carver attention = *c, ffn = *c;
    w->qkv = carve(&attention, n_qkv, sizeof *w->qkv);
    w->context = carve(&attention, n_context, sizeof *w->context);
    w->wide = carve(&ffn, n_wide, sizeof *w->wide);
    c->used = attention.used > ffn.used ? attention.used : ffn.used;
}

// Run twice: to count, and to cut. Attention takes whole texts, all else blocks of rows. At
// 768 wide, 1,020 tokens a batch and texts of up to 512: 15 MB.
static void carve_all(wb_workspace *w, carver *c, const wb_plan *plan, const wb_weights *weights,
                      const wb_kernels *kernels) {
    const wb_shape *shape = &plan->shape;
    const size_t rows = (size_t)plan->max_rows, texts = (size_t)plan->max_texts;
    const size_t d = (size_t)shape->d_model, d_ff = (size_t)shape->d_ff;
    const size_t longest = (size_t)shape->max_length, block = (size_t)plan->block_rows;
    const size_t text_block = block < longest ? longest : block;
    w->x = carve(c, rows * d, sizeof *w->x);
    w->pre_logits = carve(c, block * d, sizeof *w->pre_logits);
    w->hidden = carve(c, text_block * d, sizeof *w->hidden);
    carve_inner(w, c, text_block * 3 * d, text_block * d, block * d_ff);
    const size_t widest = text_block * d > block * d_ff ? text_block * d : block * d_ff;
    w->narrow = carve(c, widest, sizeof(uint16_t));
    w->x_scale = carve(c, text_block, sizeof *w->x_scale);
    const bool is_standard = plan->attention == WB_ATTENTION_STANDARD;
    const size_t stride = (size_t)wb_scores_stride(shape->max_length);
    w->scores = carve(c, is_standard ? longest * stride : 0, sizeof *w->scores);
    w->attention_scratch =
        carve(c, kernels->attention_scratch(shape->max_length, shape->d_head), sizeof(float));
    w->cast_panel = carve(c, largest_cast(plan, weights, kernels), 1);
    // Room for as many texts as rows, which nobody sends: last, where pages not reached stay out of
    // everybody's way.
    w->batch.texts = carve(c, texts, sizeof *w->batch.texts);
    w->logits = carve(c, texts * (size_t)shape->n_labels, sizeof *w->logits);
    w->pooled = carve(c, texts * d, sizeof *w->pooled);
}

wb_status wb_workspace_init(wb_workspace *workspace, const wb_plan *plan, const wb_weights *weights,
                            const wb_kernels *kernels, wb_error *err) {
    *workspace = (wb_workspace){0};
    carver counting = {0};
    carve_all(workspace, &counting, plan, weights, kernels);
    void *memory = wb_alloc(counting.used);
    if (!memory) {
        *workspace = (wb_workspace){0};
        return wb_fail(err, WB_ERR_MEMORY, 0, "workspace of %zu bytes, give a smaller batch",
                       counting.used);
    }
    carver cutting = {.memory = memory};
    carve_all(workspace, &cutting, plan, weights, kernels);
    workspace->memory = memory;
    return WB_OK;
}

void wb_workspace_free(wb_workspace *workspace) {
    wb_free(workspace->memory);
    *workspace = (wb_workspace){0};
}
