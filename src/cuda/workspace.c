// SPDX-License-Identifier: Apache-2.0
// What a forward writes to on the GPU, sized once for the largest batch of the plan.
#include "cuda/state.h"

static bool is_quantized(wb_cell cell) {
    return cell == WB_CELL_FP8 || cell == WB_CELL_I8;
}

// Whether a matrix that reads from a flow cannot take x as it is.
static bool has_narrow(const wb_gpu_weights *weights, const wb_plan *plan) {
    bool has = false;
    for (int i = 0; i < wb_plan_pre_classifier(plan); i++)
        has |= weights->matrices[i].cell != weights->x_cell;
    return has || weights->matrices[wb_plan_pre_classifier(plan)].cell != weights->x_cell;
}

size_t wb_flow_bytes(const wb_gpu_weights *weights, const wb_plan *plan, size_t n_rows) {
    const size_t d = (size_t)plan->shape.d_model, x = wb_cell_bytes(weights->x_cell);
    return n_rows * d * (has_narrow(weights, plan) ? x + sizeof(float) : x) +
           n_rows * sizeof(float);
}

wb_status wb_flow_open(wb_flow *flow, const wb_gpu_weights *weights, const wb_plan *plan,
                       size_t n_rows, size_t *total, wb_error *err) {
    *flow = (wb_flow){0};
    const size_t d = (size_t)plan->shape.d_model;
    void *scale = NULL;
    wb_status status = wb_device_alloc(&flow->x, n_rows * d * wb_cell_bytes(weights->x_cell),
                                       "activations", total, err);
    // Whatever the next matrix reads fits in f32's bytes.
    if (!status && has_narrow(weights, plan))
        status = wb_device_alloc(&flow->narrow, n_rows * d * sizeof(float),
                                 "activations for the next product", total, err);
    else if (!status)
        flow->narrow = flow->x;
    if (!status)
        status = wb_device_alloc(&scale, n_rows * sizeof(float), "scales of rows", total, err);
    flow->scale = scale;
    if (status) wb_flow_close(flow);
    return status;
}

void wb_flow_close(wb_flow *flow) {
    if (flow->narrow != flow->x) wb_device_free(flow->narrow);
    wb_device_free(flow->x);
    wb_device_free(flow->scale);
    *flow = (wb_flow){0};
}

// Cells of all scores of a batch: at most as if every text were as long as one can be.
static size_t count_scores(const wb_plan *plan) {
    if (plan->attention == WB_ATTENTION_FLASH) return 0;
    const int longest = plan->packing == WB_PADDED ? plan->padded_length : plan->shape.max_length;
    const size_t ld = ((size_t)longest + 7) / 8 * 8;
    return (size_t)plan->max_rows * ld * (size_t)plan->shape.n_heads;
}

// One block, what it is for and where it goes.
typedef struct block {
    void **out;
    size_t n_bytes;
    const char *what;
} block;

wb_status wb_gpu_workspace_open(wb_gpu_workspace *w, const wb_gpu_weights *weights,
                                const wb_plan *plan, size_t *total, wb_error *err) {
    *w = (wb_gpu_workspace){0};
    const wb_input_layout most = wb_input_layout_of(plan->max_rows, plan->max_texts);
    const size_t m = (size_t)most.m, n_texts = (size_t)most.n_texts;
    const size_t d = (size_t)plan->shape.d_model, d_ff = (size_t)plan->shape.d_ff;
    const size_t y = wb_cell_bytes(weights->y_cell), widest = 3 * d > d_ff ? 3 * d : d_ff;
    bool has_i8 = false, has_narrow_ff = false, has_narrow_context = false, has_cast = false;
    size_t largest = 0;
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_gpu_matrix *matrix = &weights->matrices[i];
        const size_t area = (size_t)matrix->n * (size_t)matrix->k;
        has_i8 |= matrix->cell == WB_CELL_I8;
        has_cast |= matrix->is_autocast;
        has_narrow_ff |= matrix->cell != weights->y_cell;
        has_narrow_context |= is_quantized(matrix->cell);
        largest = area > largest ? area : largest;
    }
    has_narrow_context |= has_narrow_ff;
    void *row_scale = NULL, *integers = NULL, *pre_logits = NULL;
    const block blocks[] = {
        {&w->wide, m * widest * y, "activations between products"},
        {&w->wide_narrow, has_narrow_ff ? m * d_ff * 4 : 0,
         "activations of the feed-forward block"},
        {&w->context, m * d * y, "attention's results"},
        {&w->context_narrow, has_narrow_context ? m * d * 4 : 0, "attention's results, converted"},
        {&row_scale, m * sizeof(float), "scales of rows"},
        {&w->sums, m * d * y, "sums before a norm"},
        {&w->query, n_texts * d * y, "queries of the first rows"},
        {&integers, has_i8 ? m * widest * sizeof(int32_t) : 0, "integer products"},
        {&w->cast, has_cast ? largest * 2 : 0, "weights on their way through a cast"},
        {&w->scores, count_scores(plan) * y, "scores of materialised attention"},
        {&pre_logits, n_texts * d * sizeof(float), "the classifier's first layer"},
    };
    wb_status status = wb_flow_open(&w->x, weights, plan, m, total, err);
    if (!status) status = wb_flow_open(&w->pooled, weights, plan, n_texts, total, err);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && !status; i++)
        status = wb_device_alloc(blocks[i].out, blocks[i].n_bytes, blocks[i].what, total, err);
    w->row_scale = row_scale;
    w->integers = integers;
    w->pre_logits = pre_logits;
    if (status) wb_gpu_workspace_close(w);
    return status;
}

void wb_gpu_workspace_close(wb_gpu_workspace *w) {
    void *const blocks[] = {w->wide,      w->wide_narrow, w->context,   w->context_narrow,
                            w->row_scale, w->sums,        w->query,     w->integers,
                            w->cast,      w->scores,      w->pre_logits};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) wb_device_free(blocks[i]);
    wb_flow_close(&w->x);
    wb_flow_close(&w->pooled);
    *w = (wb_gpu_workspace){0};
}
