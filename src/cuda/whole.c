// SPDX-License-Identifier: Apache-2.0
// Which plans and batches the kernel of whole forwards takes, and what it is told of them: rows
// and their texts travel in the kernel's arguments, so there is nothing to copy before it.
#include <cuda_runtime_api.h>

#include "cuda/state.h"

// All in one 16-bit cell, attention without scores in memory.
bool wb_gpu_whole_suits(wb_gpu *gpu) {
    const wb_plan *plan = gpu->plan;
    const wb_shape *shape = &plan->shape;
    const wb_precision precision = plan->matrices[0].precision;
    if ((precision != WB_F16 && precision != WB_BF16) || plan->attention != WB_ATTENTION_FLASH ||
        shape->n_layers > WB_WHOLE_LAYERS)
        return false;
    for (int i = 0; i < wb_plan_classifier(plan); i++)
        if (plan->matrices[i].precision != precision || plan->matrices[i].is_autocast) return false;
    gpu->whole = (wb_whole_args){.n_layers = shape->n_layers,
                                 .d = shape->d_model,
                                 .d_ff = shape->d_ff,
                                 .n_heads = shape->n_heads,
                                 .d_head = shape->d_head,
                                 .n_labels = shape->n_labels,
                                 .cell = precision == WB_F16 ? WB_CELL_F16 : WB_CELL_BF16,
                                 .activation = shape->activation};
    return wb_whole_prepare(&gpu->whole);
}

// Two sets of results: one is emptied while the other fills.
static wb_status open_results(wb_gpu *gpu, size_t *total, wb_error *err) {
    const size_t n_bytes = 2 * (size_t)gpu->whole.results_bytes;
    wb_status status =
        wb_device_alloc(&gpu->whole_results, n_bytes, "results of few rows", total, err);
    if (!status)
        status = wb_device_check(cudaMemset(gpu->whole_results, 0xff, n_bytes),
                                 "emptying results of few rows", err);
    gpu->whole.results = gpu->whole_results;
    gpu->whole.spent = gpu->whole.results + gpu->whole.results_bytes;
    return status;
}

wb_status wb_gpu_whole_open(wb_gpu *gpu, size_t *total, wb_error *err) {
    const wb_gpu_weights *w = &gpu->weights;
    const wb_gpu_matrix *last = &w->matrices[wb_plan_classifier(gpu->plan)];
    wb_whole_args *args = &gpu->whole;
    args->words = w->words;
    args->positions = w->positions;
    args->classifier_w = last->w;
    args->classifier_bias = last->bias;
    for (int i = 0; i < wb_plan_classifier(gpu->plan); i++) {
        const wb_gpu_matrix *m = &w->matrices[i];
        args->products[i] =
            (wb_whole_product){m->units, m->sums ? m->folded_bias : m->bias, m->sums};
    }
    // The last norm is in the head's product alone.
    args->norms[0] = (wb_whole_norm){w->embedding_norm.gamma, w->embedding_norm.beta};
    for (int i = 0; i < 2 * gpu->plan->shape.n_layers - 1; i++)
        args->norms[i + 1] = (wb_whole_norm){w->norms[i].gamma, w->norms[i].beta};
    return open_results(gpu, total, err);
}

void wb_gpu_whole_close(wb_gpu *gpu) {
    wb_device_free(gpu->whole_results);
    gpu->whole_results = NULL;
}

bool wb_gpu_whole_takes(const wb_gpu *gpu, const wb_batch *batch) {
    if (!gpu->has_whole || batch->n_rows > WB_WHOLE_ROWS || batch->n_texts > WB_WHOLE_ROWS)
        return false;
    for (int i = 0; i < batch->n_texts; i++)
        if (batch->texts[i].n_valid < 1) return false;
    return batch->n_rows > 0;
}

void wb_gpu_whole_fill(wb_whole_args *args, const wb_batch *batch) {
    int32_t position[WB_WHOLE_ROWS];
    args->m = batch->n_rows;
    args->n_texts = batch->n_texts;
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
}

wb_status wb_gpu_whole_forward(wb_gpu *gpu, const wb_batch *batch, float *logits, wb_error *err) {
    wb_whole_args *args = &gpu->whole;
    wb_gpu_whole_fill(args, batch);
    args->logits = logits;
    unsigned char *const spent = args->results;
    args->results = args->spent;
    args->spent = spent;
    return wb_device_check(wb_launch_whole(args, gpu->stream), "a forward of few rows", err);
}
