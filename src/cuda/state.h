// SPDX-License-Identifier: Apache-2.0
// A model on a GPU: weights, what a forward writes to, and the steps it consists of. Every step
// puts its kernels on one stream and returns; nothing on the path allocates once each shape of
// batch has been seen.
//
//   ids ──► embed ──► flow ──► attention ──► flow ──► ffn ──► flow ── .. ──► head ──► logits
//
// Two cells run through a forward. y is what products write: f32, f16 or bf16. x is what flows
// from layer to layer: the same, or f32 under autocast. Beside x every flow holds narrow, the same
// rows as the next product reads them; where that is the cell of x, they are one array.
#ifndef WB_CUDA_STATE_H
#define WB_CUDA_STATE_H

#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/product.h"

// ---- weights.c ----

typedef struct wb_gpu_matrix {
    int n, k;
    wb_precision precision;
    bool is_autocast;  // w is f32 and cast at each use
    wb_cell cell;      // that x and w are multiplied in
    void *w;           // [n, k]
    float *w_scale;    // int8 and dynamic fp8: [n]; static fp8: [1]
    float *bias;       // [n]
    void *y_bias;      // [n] in the cell of y, for the library's epilogue
    // Where whole forwards of few rows run as one kernel, as that reads it; bias and sums only
    // where this matrix follows a norm.
    void *units;                // [n, k] in cell
    float *folded_bias, *sums;  // [n]
    // Static precisions only.
    float x_scale;              // x = quantized * x_scale, and times smooth[k]
    float *x_scale_there;       // [1] on the GPU
    float *x_multiplier_there;  // [1] on the GPU: 1 / x_scale
    float *column_multiplier;   // [k]: 1 / (x_scale smooth), or NULL
} wb_gpu_matrix;

typedef struct wb_gpu_norm {
    float *gamma, *beta;  // [d_model]
} wb_gpu_norm;

typedef struct wb_gpu_weights {
    wb_cell x_cell, y_cell;
    void *words, *positions;  // in x_cell
    wb_gpu_norm embedding_norm;
    wb_gpu_norm *norms;       // [2 n_layers]: after attention, after the feed-forward block
    wb_gpu_matrix *matrices;  // [plan->n_matrices]
    size_t n_bytes;
} wb_gpu_weights;

// has_units: as whole forwards of few rows read them, too.
wb_status wb_gpu_weights_open(wb_gpu_weights *weights, const wb_cuda_setup *setup, bool has_units,
                              wb_stream stream, wb_error *err);
void wb_gpu_weights_close(wb_gpu_weights *weights, const wb_plan *plan);

// ---- input.c: a batch as the kernels see it ----

// Where things lie in a batch's one block of memory, the same on the host and on the GPU. All
// numbers of a batch are rounded up to a bucket's, so that one graph serves many batches.
typedef struct wb_input_layout {
    int m, n_texts;  // of the bucket
    int most_items[WB_N_ITEM_CLASSES];
    size_t counts, ids, position, texts, items[WB_N_ITEM_CLASSES];  // offsets in bytes
    size_t n_bytes;
} wb_input_layout;

// The bucket of a batch; never more than that of plan->max_rows and plan->max_texts.
wb_input_layout wb_input_layout_of(int n_rows, int n_texts);
// Fills a block; returns which classes of items it has, one bit each.
int wb_input_fill(void *block, const wb_input_layout *layout, const wb_plan *plan,
                  const wb_batch *batch);

// ids[n_rows], position[n_rows] <- a text's rows, padding included.
void wb_input_fill_rows(int32_t *ids, int32_t *position, const wb_batch_text *text);

// A batch on the GPU.
typedef struct wb_gpu_batch {
    wb_input_layout layout;
    const void *block;  // on the GPU
    int classes;        // bits of wb_input_fill
    float *logits;      // [n_texts, n_labels], where the GPU can write
} wb_gpu_batch;

// ---- workspace.c ----

typedef struct wb_flow {
    void *x;       // [rows, d_model] in x_cell
    void *narrow;  // the same as the next product reads it; may be x
    float *scale;  // [rows] of narrow, dynamic precisions only
} wb_flow;

typedef struct wb_gpu_workspace {
    wb_flow x, pooled;     // of max_rows, of max_texts
    void *wide;            // [max_rows, max(3 d_model, d_ff)] in y_cell
    void *wide_narrow;     // [max_rows, d_ff]
    void *context;         // [max_rows, d_model] in y_cell
    void *context_narrow;  // [max_rows, d_model]
    float *row_scale;      // [max_rows] of wide_narrow or context_narrow
    void *sums;            // [max_rows, d_model] in y_cell
    void *query;           // [max_texts, d_model] in y_cell
    int32_t *integers;     // [max_rows, max(3 d_model, d_ff)]; int8 only
    void *cast;            // the largest matrix in 16 bits; autocast only
    void *scores;          // materialised attention only
    float *pre_logits;     // [max_texts, d_model]
} wb_gpu_workspace;

// A flow's two arrays for some rows; whether narrow needs its own depends on the plan.
wb_status wb_flow_open(wb_flow *flow, const wb_gpu_weights *weights, const wb_plan *plan,
                       size_t n_rows, size_t *total, wb_error *err);
void wb_flow_close(wb_flow *flow);
size_t wb_flow_bytes(const wb_gpu_weights *weights, const wb_plan *plan, size_t n_rows);

wb_status wb_gpu_workspace_open(wb_gpu_workspace *workspace, const wb_gpu_weights *weights,
                                const wb_plan *plan, size_t *total, wb_error *err);
void wb_gpu_workspace_close(wb_gpu_workspace *workspace);

// ---- linear.c: one product, with what the library cannot do in its epilogue done after it ----

// What the steps of a forward need to know.
typedef struct wb_gpu {
    const wb_plan *plan;
    wb_gpu_weights weights;
    wb_gpu_workspace workspace;
    wb_products *products;
    wb_stream stream;
    int n_multiprocessors;
    bool has_whole;       // whether small batches are one kernel, and
    wb_whole_args whole;  // what it is told but for the batch
    void *whole_results;  // and what it writes to
} wb_gpu;

typedef struct wb_gpu_linear {
    const wb_gpu_matrix *matrix;
    int first, n;          // columns of the result
    const void *x;         // [m, k] in matrix->cell
    const float *x_scale;  // [m]; dynamic precisions only
    int m;
    void *y;  // [m, ld_y] in y_cell; scratch where narrow.rows is set
    wb_cell y_cell;
    int ld_y;
    const void *residual;  // [m, ld_y] in y_cell to add where that costs nothing, or NULL
    wb_activation activation;
    wb_narrow narrow;         // where the result goes instead of y, if set
    const float *multiplier;  // narrow.multiplier on the GPU, or NULL
} wb_gpu_linear;

// *is_added says whether the residual has been added; may be NULL where there is none.
wb_status wb_gpu_linear_forward(wb_gpu *gpu, const wb_gpu_linear *linear, bool *is_added,
                                wb_error *err);

// How rows are written for a matrix to read: rows.. NULL where it reads x as it is.
wb_narrow wb_narrow_for(const wb_gpu_matrix *matrix, wb_cell x_cell, void *rows, float *scale,
                        int width);

// ---- forward.c: the steps; each leaves its result in *out, which may be the flow it reads
// unless a pruned last layer changes the number of rows ----

wb_status wb_gpu_embed(wb_gpu *gpu, const wb_gpu_batch *batch, const wb_flow *out, wb_error *err);
wb_status wb_gpu_attention(wb_gpu *gpu, const wb_gpu_batch *batch, int layer, const wb_flow *in,
                           const wb_flow *out, wb_error *err);
wb_status wb_gpu_ffn(wb_gpu *gpu, const wb_gpu_batch *batch, int layer, const wb_flow *in,
                     const wb_flow *out, wb_error *err);
wb_status wb_gpu_head(wb_gpu *gpu, const wb_gpu_batch *batch, const wb_flow *in, wb_error *err);
// All of them.
wb_status wb_gpu_forward(wb_gpu *gpu, const wb_gpu_batch *batch, wb_error *err);

// ---- whole.c: the same for few rows, as one kernel where the plan and the GPU allow it ----

// Whether the plan can, on the current GPU; before anything else is open.
bool wb_gpu_whole_suits(wb_gpu *gpu);
// What every launch is told, and room for results; once weights are open. Adds to *total.
wb_status wb_gpu_whole_open(wb_gpu *gpu, size_t *total, wb_error *err);
void wb_gpu_whole_close(wb_gpu *gpu);
bool wb_gpu_whole_takes(const wb_gpu *gpu, const wb_batch *batch);
// The batch's rows in the arguments of a launch.
void wb_gpu_whole_fill(wb_whole_args *args, const wb_batch *batch);
wb_status wb_gpu_whole_forward(wb_gpu *gpu, const wb_batch *batch, float *logits, wb_error *err);

static inline bool wb_gpu_is_pruned(const wb_gpu *gpu, int layer) {
    return gpu->plan->is_last_layer_pruned && layer == gpu->plan->shape.n_layers - 1;
}

#endif
