// SPDX-License-Identifier: Apache-2.0
// The steps of a forward: the same as src/model's, each over the whole batch at once.
#include "cuda/state.h"

// What the kernels of attention are given of a batch.
static const void *in_block(const wb_gpu_batch *batch, size_t offset) {
    return (const char *)batch->block + offset;
}

static const wb_gpu_matrix *matrix_of(const wb_gpu *gpu, int layer, wb_layer_matrix kind) {
    return &gpu->weights.matrices[wb_plan_layer_matrix(layer, kind)];
}

// How a flow's narrow is written for the matrix that reads it.
static wb_narrow narrow_of(const wb_gpu *gpu, const wb_flow *flow, const wb_gpu_matrix *matrix) {
    return wb_narrow_for(matrix, gpu->weights.x_cell, flow->narrow, flow->scale,
                         gpu->plan->shape.d_model);
}

// What the matrix reads of a flow.
static const void *input_of(const wb_gpu *gpu, const wb_flow *flow, const wb_gpu_matrix *matrix) {
    return matrix->cell == gpu->weights.x_cell ? flow->x : flow->narrow;
}

wb_status wb_gpu_embed(wb_gpu *gpu, const wb_gpu_batch *batch, const wb_flow *out, wb_error *err) {
    const wb_gpu_weights *weights = &gpu->weights;
    const wb_embed_args args = {.ids = in_block(batch, batch->layout.ids),
                                .position = in_block(batch, batch->layout.position),
                                .words = weights->words,
                                .positions = weights->positions,
                                .gamma = weights->embedding_norm.gamma,
                                .beta = weights->embedding_norm.beta,
                                .x = out->x,
                                .cell = weights->x_cell,
                                .narrow = narrow_of(gpu, out, matrix_of(gpu, 0, WB_MATRIX_QKV)),
                                .m = batch->layout.m,
                                .d = gpu->plan->shape.d_model};
    return wb_device_check(wb_launch_embed(&args, gpu->stream), "embeddings", err);
}

// out <- norm(sums + x), x already in the sums where is_added; next is what reads it, or NULL.
static wb_status add_norm(wb_gpu *gpu, const wb_gpu_norm *norm, const void *x, bool is_added,
                          const wb_flow *out, const wb_gpu_matrix *next, int m, wb_error *err) {
    const wb_norm_args args = {.a = gpu->workspace.sums,
                               .a_cell = gpu->weights.y_cell,
                               .b = is_added ? NULL : x,
                               .gamma = norm->gamma,
                               .beta = norm->beta,
                               .x = out->x,
                               .x_cell = gpu->weights.x_cell,
                               .narrow = next ? narrow_of(gpu, out, next) : (wb_narrow){0},
                               .m = m,
                               .d = gpu->plan->shape.d_model};
    return wb_device_check(wb_launch_norm(&args, gpu->stream), "layer norm", err);
}

// ---- Attention ----

// Where attention writes for the output matrix to read: as that reads it, if no row's own scale has
// to be found first.
static wb_narrow context_of(const wb_gpu *gpu, const wb_gpu_matrix *out_matrix) {
    const wb_gpu_workspace *w = &gpu->workspace;
    const wb_cell y = gpu->weights.y_cell;
    const int d = gpu->plan->shape.d_model;
    const wb_narrow narrow = wb_narrow_for(out_matrix, y, w->context_narrow, w->row_scale, d);
    if (narrow.rows && !narrow.row_scale) return narrow;
    return (wb_narrow){.rows = w->context, .cell = y, .ld = d};
}

// All queries of a batch over qkv[m, 3 d_model]; or where query[n_texts, d_model] is given, that of
// each text's first row, always without scores in memory: there is one row of them.
static wb_status attend(wb_gpu *gpu, const wb_gpu_batch *batch, const void *query,
                        const wb_narrow *context, wb_error *err) {
    const wb_shape *shape = &gpu->plan->shape;
    const wb_input_layout *l = &batch->layout;
    const size_t d_bytes = (size_t)shape->d_model * wb_cell_bytes(gpu->weights.y_cell);
    const char *qkv = gpu->workspace.wide;
    for (int class = 0; class < WB_N_ITEM_CLASSES; class ++) {
        if (!(batch->classes >> class & 1)) continue;
        const wb_attention_args args = {
            .query = query ? query : qkv,
            .ld_query = query ? shape->d_model : 3 * shape->d_model,
            .key = qkv + d_bytes,
            .value = qkv + 2 * d_bytes,
            .ld_key = 3 * shape->d_model,
            .cell = gpu->weights.y_cell,
            .context = *context,
            .items = in_block(batch, l->items[class]),
            .n_items = (const int32_t *)in_block(batch, l->counts) + class,
            .most_items = l->most_items[class],
            .item_class = (wb_item_class) class,
            .n_heads = shape->n_heads,
            .d_head = shape->d_head,
            .n_multiprocessors = gpu->n_multiprocessors,
            .is_first_only = query != NULL,
            .scores = gpu->workspace.scores};
        const unsigned code = query || gpu->plan->attention == WB_ATTENTION_FLASH
                                  ? wb_launch_attention_flash(&args, gpu->stream)
                                  : wb_launch_attention_standard(&args, gpu->stream);
        const wb_status status = wb_device_check(code, "attention", err);
        if (status) return status;
    }
    return WB_OK;
}

// out <- norm(x + context . w_out), from the context as attention left it; m rows.
static wb_status project(wb_gpu *gpu, int layer, const wb_narrow *context, const void *x, int m,
                         const wb_flow *out, wb_error *err) {
    const wb_gpu_workspace *w = &gpu->workspace;
    const wb_gpu_weights *weights = &gpu->weights;
    const wb_gpu_matrix *matrix = matrix_of(gpu, layer, WB_MATRIX_ATTENTION_OUT);
    const int d = gpu->plan->shape.d_model;
    const void *input = context->rows;
    wb_narrow narrow = wb_narrow_for(matrix, weights->y_cell, w->context_narrow, w->row_scale, d);
    wb_status status = WB_OK;
    if (narrow.row_scale) {
        const wb_finish_args args = {.sums = w->context,
                                     .cell = weights->y_cell,
                                     .ld_sums = d,
                                     .x_scale = 1.0f,
                                     .narrow = narrow,
                                     .m = m,
                                     .n = d};
        status = wb_device_check(wb_launch_finish(&args, gpu->stream), "quantizing rows", err);
        input = narrow.rows;
    }
    bool is_added = false;
    const wb_gpu_linear linear = {.matrix = matrix,
                                  .n = d,
                                  .x = input,
                                  .x_scale = w->row_scale,
                                  .m = m,
                                  .y = w->sums,
                                  .y_cell = weights->y_cell,
                                  .ld_y = d,
                                  .residual = weights->x_cell == weights->y_cell ? x : NULL};
    if (!status) status = wb_gpu_linear_forward(gpu, &linear, &is_added, err);
    if (status) return status;
    return add_norm(gpu, &weights->norms[2 * layer], x, is_added, out,
                    matrix_of(gpu, layer, WB_MATRIX_FFN_UP), m, err);
}

// qkv's columns [first, + n) of m rows to y[m, ld].
static wb_status multiply_qkv(wb_gpu *gpu, int layer, const wb_flow *in, int m, int first, int n,
                              void *y, int ld, wb_error *err) {
    const wb_gpu_matrix *matrix = matrix_of(gpu, layer, WB_MATRIX_QKV);
    const wb_gpu_linear linear = {.matrix = matrix,
                                  .first = first,
                                  .n = n,
                                  .x = input_of(gpu, in, matrix),
                                  .x_scale = in->scale,
                                  .m = m,
                                  .y = y,
                                  .y_cell = gpu->weights.y_cell,
                                  .ld_y = ld};
    return wb_gpu_linear_forward(gpu, &linear, NULL, err);
}

// to <- the first row of each text of from.
static wb_status gather(wb_gpu *gpu, const wb_gpu_batch *batch, const wb_flow *from,
                        const wb_flow *to, const wb_gpu_matrix *reader, wb_error *err) {
    const int d = gpu->plan->shape.d_model;
    const bool has_narrow = reader && reader->cell != gpu->weights.x_cell;
    wb_gather_args args = {.texts = in_block(batch, batch->layout.texts),
                           .m = batch->layout.n_texts};
    args.parts[0] = (wb_gather_part){to->x, from->x, d * (int)wb_cell_bytes(gpu->weights.x_cell)};
    if (has_narrow) {
        args.parts[1] =
            (wb_gather_part){to->narrow, from->narrow, d * (int)wb_cell_bytes(reader->cell)};
        args.parts[2] = (wb_gather_part){to->scale, from->scale, (int)sizeof(float)};
    }
    return wb_device_check(wb_launch_gather(&args, gpu->stream), "gathering first rows", err);
}

// Keys and values of all rows, all else of one row a text.
static wb_status attend_pruned(wb_gpu *gpu, const wb_gpu_batch *batch, int layer, const wb_flow *in,
                               const wb_flow *out, wb_error *err) {
    const wb_shape *shape = &gpu->plan->shape;
    const wb_gpu_workspace *w = &gpu->workspace;
    const wb_flow *first = &gpu->workspace.pooled;
    const wb_cell y = gpu->weights.y_cell;
    const int d = shape->d_model, n_texts = batch->layout.n_texts;
    const size_t d_bytes = (size_t)d * wb_cell_bytes(y);
    char *qkv = w->wide;
    wb_status status =
        multiply_qkv(gpu, layer, in, batch->layout.m, d, 2 * d, qkv + d_bytes, 3 * d, err);
    if (!status) status = gather(gpu, batch, in, first, matrix_of(gpu, layer, WB_MATRIX_QKV), err);
    if (!status) status = multiply_qkv(gpu, layer, first, n_texts, 0, d, w->query, d, err);
    if (status) return status;
    const wb_narrow context = context_of(gpu, matrix_of(gpu, layer, WB_MATRIX_ATTENTION_OUT));
    status = attend(gpu, batch, w->query, &context, err);
    return status ? status : project(gpu, layer, &context, first->x, n_texts, out, err);
}

wb_status wb_gpu_attention(wb_gpu *gpu, const wb_gpu_batch *batch, int layer, const wb_flow *in,
                           const wb_flow *out, wb_error *err) {
    if (wb_gpu_is_pruned(gpu, layer)) return attend_pruned(gpu, batch, layer, in, out, err);
    const int d = gpu->plan->shape.d_model, m = batch->layout.m;
    const wb_narrow context = context_of(gpu, matrix_of(gpu, layer, WB_MATRIX_ATTENTION_OUT));
    wb_status status = multiply_qkv(gpu, layer, in, m, 0, 3 * d, gpu->workspace.wide, 3 * d, err);
    if (!status) status = attend(gpu, batch, NULL, &context, err);
    return status ? status : project(gpu, layer, &context, in->x, m, out, err);
}

// ---- Feed-forward block and head ----

wb_status wb_gpu_ffn(wb_gpu *gpu, const wb_gpu_batch *batch, int layer, const wb_flow *in,
                     const wb_flow *out, wb_error *err) {
    const wb_shape *shape = &gpu->plan->shape;
    const wb_gpu_workspace *w = &gpu->workspace;
    const wb_gpu_weights *weights = &gpu->weights;
    const wb_gpu_matrix *up = matrix_of(gpu, layer, WB_MATRIX_FFN_UP);
    const wb_gpu_matrix *down = matrix_of(gpu, layer, WB_MATRIX_FFN_DOWN);
    const int d = shape->d_model, d_ff = shape->d_ff;
    const int m = wb_gpu_is_pruned(gpu, layer) ? batch->layout.n_texts : batch->layout.m;
    const wb_gpu_linear wide = {
        .matrix = up,
        .n = d_ff,
        .x = input_of(gpu, in, up),
        .x_scale = in->scale,
        .m = m,
        .y = w->wide,
        .y_cell = weights->y_cell,
        .ld_y = d_ff,
        .activation = shape->activation,
        .narrow = wb_narrow_for(down, weights->y_cell, w->wide_narrow, w->row_scale, d_ff),
        .multiplier = down->x_multiplier_there};
    wb_status status = wb_gpu_linear_forward(gpu, &wide, NULL, err);
    bool is_added = false;
    const wb_gpu_linear narrow = {.matrix = down,
                                  .n = d,
                                  .x = down->cell == weights->y_cell ? w->wide : w->wide_narrow,
                                  .x_scale = w->row_scale,
                                  .m = m,
                                  .y = w->sums,
                                  .y_cell = weights->y_cell,
                                  .ld_y = d,
                                  .residual = weights->x_cell == weights->y_cell ? in->x : NULL};
    if (!status) status = wb_gpu_linear_forward(gpu, &narrow, &is_added, err);
    if (status) return status;
    const bool is_last = layer == shape->n_layers - 1;
    return add_norm(gpu, &weights->norms[2 * layer + 1], in->x, is_added, out,
                    is_last ? NULL : matrix_of(gpu, layer + 1, WB_MATRIX_QKV), m, err);
}

wb_status wb_gpu_head(wb_gpu *gpu, const wb_gpu_batch *batch, const wb_flow *in, wb_error *err) {
    const wb_plan *plan = gpu->plan;
    const wb_gpu_weights *weights = &gpu->weights;
    const wb_gpu_matrix *pre = &weights->matrices[wb_plan_pre_classifier(plan)];
    const wb_gpu_matrix *last = &weights->matrices[wb_plan_classifier(plan)];
    const int d = plan->shape.d_model, n_texts = batch->layout.n_texts;
    const wb_flow *pooled = plan->is_last_layer_pruned ? in : &gpu->workspace.pooled;
    wb_status status = WB_OK;
    if (!plan->is_last_layer_pruned) status = gather(gpu, batch, in, pooled, NULL, err);
    const void *x = pooled->x;
    if (!status && pre->cell != weights->x_cell) {
        const size_t n = (size_t)n_texts * (size_t)d;
        status = wb_device_check(
            wb_launch_cast(pooled->narrow, pre->cell, x, weights->x_cell, n, gpu->stream),
            "casting first rows", err);
        x = pooled->narrow;
    }
    const wb_gpu_linear linear = {.matrix = pre,
                                  .n = d,
                                  .x = x,
                                  .m = n_texts,
                                  .y = gpu->workspace.pre_logits,
                                  .y_cell = WB_CELL_F32,
                                  .ld_y = d,
                                  .activation = WB_RELU};
    if (!status) status = wb_gpu_linear_forward(gpu, &linear, NULL, err);
    const wb_classify_args args = {.x = gpu->workspace.pre_logits,
                                   .w = last->w,
                                   .bias = last->bias,
                                   .logits = batch->logits,
                                   .m = n_texts,
                                   .d = d,
                                   .n_labels = plan->shape.n_labels};
    return status ? status
                  : wb_device_check(wb_launch_classify(&args, gpu->stream), "classifier", err);
}

wb_status wb_gpu_forward(wb_gpu *gpu, const wb_gpu_batch *batch, wb_error *err) {
    const int n_layers = gpu->plan->shape.n_layers;
    const wb_flow *flow = &gpu->workspace.x;
    wb_status status = wb_gpu_embed(gpu, batch, flow, err);
    for (int layer = 0; layer < n_layers && !status; layer++) {
        const bool is_pruned = wb_gpu_is_pruned(gpu, layer);
        const wb_flow *out = is_pruned ? &gpu->workspace.pooled : flow;
        status = wb_gpu_attention(gpu, batch, layer, flow, out, err);
        flow = out;
        if (!status) status = wb_gpu_ffn(gpu, batch, layer, flow, flow, err);
    }
    return status ? status : wb_gpu_head(gpu, batch, flow, err);
}
