// SPDX-License-Identifier: Apache-2.0
// Which plans and batches the kernel of whole forwards takes, and what it is told of them: rows
// and their texts travel in the kernel's arguments, so there is nothing to copy before it.
#include "cuda/state.h"

// All in one 16-bit cell, attention without scores in memory.
static bool is_suited(const wb_gpu *gpu) {
    const wb_plan *plan = gpu->plan;
    const wb_gpu_weights *w = &gpu->weights;
    if ((w->y_cell != WB_CELL_F16 && w->y_cell != WB_CELL_BF16) || w->x_cell != w->y_cell ||
        plan->attention != WB_ATTENTION_FLASH || plan->shape.n_layers > WB_WHOLE_LAYERS)
        return false;
    for (int i = 0; i < wb_plan_classifier(plan); i++)
        if (w->matrices[i].cell != w->y_cell || w->matrices[i].is_autocast) return false;
    return true;
}

static void describe(wb_whole_args *args, const wb_gpu *gpu) {
    const wb_shape *shape = &gpu->plan->shape;
    const wb_gpu_weights *w = &gpu->weights;
    const wb_gpu_workspace *room = &gpu->workspace;
    const wb_gpu_matrix *last = &w->matrices[wb_plan_classifier(gpu->plan)];
    *args = (wb_whole_args){.n_layers = shape->n_layers,
                            .d = shape->d_model,
                            .d_ff = shape->d_ff,
                            .n_heads = shape->n_heads,
                            .d_head = shape->d_head,
                            .n_labels = shape->n_labels,
                            .cell = w->y_cell,
                            .activation = shape->activation,
                            .words = w->words,
                            .positions = w->positions,
                            .classifier_w = last->w,
                            .classifier_bias = last->bias,
                            .sums = room->sums,
                            .pre_logits = room->pre_logits,
                            .arrivals = room->arrivals};
    // One is read before the other is written.
    args->qkv = args->wide = room->wide;
    for (int i = 0; i < wb_plan_classifier(gpu->plan); i++)
        args->products[i] = (wb_whole_product){w->matrices[i].w, w->matrices[i].bias};
    args->norms[0] = (wb_whole_norm){w->embedding_norm.gamma, w->embedding_norm.beta};
    for (int i = 0; i < 2 * shape->n_layers; i++)
        args->norms[i + 1] = (wb_whole_norm){w->norms[i].gamma, w->norms[i].beta};
}

void wb_gpu_whole_open(wb_gpu *gpu) {
    if (!is_suited(gpu)) return;
    describe(&gpu->whole, gpu);
    gpu->has_whole = wb_whole_prepare(&gpu->whole);
}

bool wb_gpu_whole_takes(const wb_gpu *gpu, const wb_batch *batch) {
    if (!gpu->has_whole || batch->n_rows > WB_WHOLE_ROWS || batch->n_texts > WB_WHOLE_ROWS)
        return false;
    for (int i = 0; i < batch->n_texts; i++)
        if (batch->texts[i].n_valid < 1) return false;
    return batch->n_rows > 0;
}

wb_status wb_gpu_whole_forward(wb_gpu *gpu, const wb_batch *batch, float *logits, wb_error *err) {
    wb_whole_args *args = &gpu->whole;
    int32_t position[WB_WHOLE_ROWS];
    args->m = batch->n_rows;
    args->n_texts = batch->n_texts;
    args->logits = logits;
    for (int i = 0; i < batch->n_texts; i++) {
        const wb_batch_text *text = &batch->texts[i];
        const int first = text->first_row;
        wb_input_fill_rows(args->ids + first, position + first, text);
        for (int row = first; row < first + text->n_rows; row++) {
            args->position[row] = (uint16_t)position[row];
            args->first_key[row] = (uint8_t)first;
            args->end_key[row] = (uint8_t)(first + text->n_valid);
            args->text[row] = (int8_t)(row == first ? i : -1);
        }
    }
    return wb_device_check(wb_launch_whole(args, gpu->stream), "a forward of few rows", err);
}
