// SPDX-License-Identifier: Apache-2.0
// Components run alone, for measuring: the first batches are run once with every flow in memory
// of its own, and a replay runs one component of every layer from those flows. What is replayed is
// one graph a component, as small batches are in a forward.
#include <cuda_runtime_api.h>

#include "cuda/run.h"

static int count_flows(const wb_cuda *cuda) {
    return 2 * cuda->gpu.plan->shape.n_layers + 1;
}

// A pruned last layer has one row a text.
static size_t flow_rows(const wb_cuda *cuda, const wb_input_layout *l, int i) {
    const bool is_last = i > 2 * (cuda->gpu.plan->shape.n_layers - 1);
    return (size_t)(cuda->gpu.plan->is_last_layer_pruned && is_last ? l->n_texts : l->m);
}

static size_t capture_bytes(const wb_cuda *cuda, const wb_input_layout *l) {
    const wb_plan *plan = cuda->gpu.plan;
    size_t n = l->n_bytes + (size_t)l->n_texts * (size_t)plan->shape.n_labels * sizeof(float);
    for (int i = 0; i < count_flows(cuda); i++)
        n += wb_flow_bytes(&cuda->gpu.weights, plan, flow_rows(cuda, l, i));
    return n;
}

static void close_one(wb_gpu_capture *c, int n_flows) {
    for (int i = 0; c->flows && i < n_flows; i++) wb_flow_close(&c->flows[i]);
    wb_free(c->flows);
    wb_device_free(c->block);
    wb_device_free(c->logits);
}

void wb_cuda_capture_close(wb_cuda *cuda) {
    for (int i = 0; i <= WB_WHOLE; i++) {
        if (cuda->components[i]) (void)cudaGraphExecDestroy(cuda->components[i]);
        cuda->components[i] = NULL;
    }
    for (int i = 0; i < cuda->n_captures; i++) close_one(&cuda->captures[i], count_flows(cuda));
    wb_free(cuda->captures);
    cuda->captures = NULL;
    cuda->n_captures = 0;
}

// ---- Capturing ----

// *c <- room for one batch, its ids already there.
static wb_status open_one(wb_gpu_capture *c, wb_cuda *cuda, const wb_slot *slot, wb_error *err) {
    const wb_plan *plan = cuda->gpu.plan;
    const wb_input_layout *l = &slot->on_gpu.layout;
    const int n_flows = count_flows(cuda);
    c->flows = wb_alloc_array((size_t)n_flows, sizeof *c->flows);
    if (!c->flows) return wb_fail(err, WB_ERR_MEMORY, 0, "captured activations");
    wb_status status = wb_device_alloc(&c->block, l->n_bytes, "captured ids", NULL, err);
    void *logits = NULL;
    if (!status)
        status = wb_device_alloc(&logits,
                                 (size_t)l->n_texts * (size_t)plan->shape.n_labels * sizeof(float),
                                 "logits", NULL, err);
    c->logits = logits;
    for (int i = 0; i < n_flows && !status; i++)
        status =
            wb_flow_open(&c->flows[i], &cuda->gpu.weights, plan, flow_rows(cuda, l, i), NULL, err);
    if (!status)
        status =
            wb_device_check(cudaMemcpy(c->block, slot->block, l->n_bytes, cudaMemcpyHostToDevice),
                            "copying ids", err);
    c->batch = (wb_gpu_batch){
        .layout = *l, .block = c->block, .classes = slot->on_gpu.classes, .logits = logits};
    return status;
}

// The forward with each step's result in a flow of its own.
static wb_status run_captured(wb_gpu *gpu, const wb_gpu_capture *c, wb_error *err) {
    wb_status status = wb_gpu_embed(gpu, &c->batch, &c->flows[0], err);
    const int n_layers = gpu->plan->shape.n_layers;
    for (int layer = 0; layer < n_layers && !status; layer++) {
        const wb_flow *flows = &c->flows[2 * layer];
        status = wb_gpu_attention(gpu, &c->batch, layer, &flows[0], &flows[1], err);
        if (!status) status = wb_gpu_ffn(gpu, &c->batch, layer, &flows[1], &flows[2], err);
    }
    if (!status) status = wb_gpu_head(gpu, &c->batch, &c->flows[2 * n_layers], err);
    if (!status)
        status = wb_device_check(cudaStreamSynchronize(gpu->stream), "capturing a batch", err);
    return status;
}

static wb_status capture_batch(wb_cuda *cuda, const wb_slot *slot, wb_cuda_job *job,
                               wb_error *err) {
    wb_gpu_capture *grown = wb_realloc_array(cuda->captures, (size_t)cuda->n_captures,
                                             (size_t)cuda->n_captures + 1, sizeof *grown);
    if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "list of captured batches");
    cuda->captures = grown;
    wb_gpu_capture *c = &grown[cuda->n_captures++];
    *c = (wb_gpu_capture){.block = NULL};
    wb_status status = open_one(c, cuda, slot, err);
    if (!status) status = run_captured(&cuda->gpu, c, err);
    job->n_tokens += slot->batch.n_valid;
    job->n_texts += slot->batch.n_texts;
    return status;
}

wb_status wb_cuda_capture(wb_cuda *cuda, wb_cuda_job *job, wb_error *err) {
    wb_cuda_capture_close(cuda);
    job->n_tokens = 0;
    job->n_texts = 0;
    wb_slot *slot = &cuda->slots[0];
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, cuda->gpu.plan, job->lists);
    wb_status status = WB_OK;
    size_t used = 0;
    while (!status && wb_batch_next(&slot->batch, &cursor)) {
        wb_gpu_batch *batch = &slot->on_gpu;
        batch->layout = wb_input_layout_of(slot->batch.n_rows, slot->batch.n_texts);
        batch->classes = wb_input_fill(slot->block, &batch->layout, cuda->gpu.plan, &slot->batch);
        used += capture_bytes(cuda, &batch->layout);
        if (cuda->n_captures > 0 && used > job->max_bytes) break;
        status = capture_batch(cuda, slot, job, err);
    }
    if (!status && cuda->n_captures == 0)
        status = wb_fail(err, WB_ERR_ARGUMENT, 0, "a replay needs at least one text");
    if (status) wb_cuda_capture_close(cuda);
    return status;
}

// ---- Replaying ----

// Captured flows are only read; results go where a forward has them.
static wb_status replay_layers(wb_gpu *gpu, const wb_gpu_capture *c, bool is_attention,
                               wb_error *err) {
    wb_status status = WB_OK;
    for (int layer = 0; layer < gpu->plan->shape.n_layers && !status; layer++) {
        const wb_flow *flows = &c->flows[2 * layer];
        const wb_flow *out =
            wb_gpu_is_pruned(gpu, layer) ? &gpu->workspace.pooled : &gpu->workspace.x;
        status = is_attention ? wb_gpu_attention(gpu, &c->batch, layer, &flows[0], out, err)
                              : wb_gpu_ffn(gpu, &c->batch, layer, &flows[1], out, err);
    }
    return status;
}

static wb_status replay_one(wb_gpu *gpu, const wb_gpu_capture *c, wb_component component,
                            wb_error *err) {
    switch (component) {
        case WB_EMBEDDINGS: return wb_gpu_embed(gpu, &c->batch, &gpu->workspace.x, err);
        case WB_ATTENTION: return replay_layers(gpu, c, true, err);
        case WB_FFN: return replay_layers(gpu, c, false, err);
        case WB_HEAD:
            return wb_gpu_head(gpu, &c->batch, &c->flows[2 * gpu->plan->shape.n_layers], err);
        default: return wb_gpu_forward(gpu, &c->batch, err);
    }
}

static wb_status replay_all(wb_cuda *cuda, const void *context, wb_error *err) {
    const wb_component *component = context;
    wb_status status = WB_OK;
    for (int i = 0; i < cuda->n_captures && !status; i++)
        status = replay_one(&cuda->gpu, &cuda->captures[i], *component, err);
    return status;
}

wb_status wb_cuda_replay(wb_cuda *cuda, const wb_cuda_job *job, wb_error *err) {
    const wb_component component = job->component;
    if ((int)component < WB_EMBEDDINGS || (int)component > WB_WHOLE)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "no component has the number %d", (int)component);
    if (cuda->n_captures == 0)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "nothing has been captured to replay");
    wb_status status = WB_OK;
    if (!cuda->components[component])
        status = wb_cuda_record(cuda, &cuda->components[component], replay_all, &component, err);
    if (!status)
        status = wb_device_check(cudaGraphLaunch(cuda->components[component], cuda->gpu.stream),
                                 "launching a graph", err);
    if (!status)
        status =
            wb_device_check(cudaStreamSynchronize(cuda->gpu.stream), "replaying a component", err);
    return status;
}
