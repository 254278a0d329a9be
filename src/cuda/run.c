// SPDX-License-Identifier: Apache-2.0
// Lists of ids to logits, two batches at a time: the GPU works on one while the host fills the
// other's block. Batches of up to GRAPH_ROWS rows are replayed as one graph a bucket, because the
// launches of some fifty kernels would take longer than the kernels; larger ones keep the GPU busy
// while the host launches.
#include "cuda/run.h"

#include <cuda_runtime_api.h>
#include <string.h>

enum { GRAPH_ROWS = 16384, MOST_KERNEL_COPY = 16384, WATCHED_ROWS = 512 };

// Waiting asks the driver again and again for so long, then sleeps: a wake-up costs some 20 to 50
// us, which would double the time of a single text.
static const uint64_t SPIN_NS = 250000;

// What a logit of a batch of few rows is until the GPU has written it: the host watches them, and
// no event follows, because that is an interrupt, which takes 30 us of the next text's time where
// it meets the core that launches it. No NaN of the GPU has these bits.
static const uint32_t ABSENT = UINT32_MAX;

// ---- Slots ----

static wb_status open_slot(wb_slot *slot, const wb_plan *plan, const wb_input_layout *most,
                           size_t *total, wb_error *err) {
    const size_t logits_bytes =
        (size_t)most->n_texts * (size_t)plan->shape.n_labels * sizeof(float);
    slot->index = -1;
    slot->batch.texts = wb_alloc_array((size_t)plan->max_texts, sizeof *slot->batch.texts);
    if (!slot->batch.texts)
        return wb_fail(err, WB_ERR_MEMORY, 0, "batch of %d texts", plan->max_texts);
    void *block = NULL, *logits = NULL;
    wb_status status = wb_pinned_alloc(&slot->block, most->n_bytes, "ids of a batch", err);
    if (!status) status = wb_pinned_alloc(&logits, logits_bytes, "logits", err);
    slot->logits = slot->on_gpu.logits = logits;
    if (!status) status = wb_device_alloc(&block, most->n_bytes, "ids of a batch", total, err);
    slot->on_gpu.block = block;
    if (!status)
        status = wb_device_check(
            cudaEventCreateWithFlags(&slot->done, cudaEventBlockingSync | cudaEventDisableTiming),
            "making an event", err);
    return status;
}

wb_status wb_cuda_slots_open(wb_cuda *cuda, wb_error *err) {
    const wb_plan *plan = cuda->gpu.plan;
    const wb_input_layout most = wb_input_layout_of(plan->max_rows, plan->max_texts);
    wb_status status = WB_OK;
    for (int i = 0; i < WB_N_SLOTS && !status; i++)
        status = open_slot(&cuda->slots[i], plan, &most, &cuda->workspace_bytes, err);
    return status;
}

void wb_cuda_slots_close(wb_cuda *cuda) {
    for (int i = 0; i < cuda->n_graphs; i++)
        if (cuda->graphs[i].exec) (void)cudaGraphExecDestroy(cuda->graphs[i].exec);
    cuda->n_graphs = 0;
    for (int i = 0; i < WB_N_SLOTS; i++) {
        wb_slot *slot = &cuda->slots[i];
        if (slot->done) (void)cudaEventDestroy(slot->done);
        if (slot->block) wb_pinned_free(slot->block);
        if (slot->logits) wb_pinned_free(slot->logits);
        wb_device_free((void *)(uintptr_t)slot->on_gpu.block);
        wb_free(slot->batch.texts);
        *slot = (wb_slot){.index = -1};
    }
}

// ---- Launching ----

// Ids to the GPU, then the whole forward; the last kernel writes the logits to pinned memory.
static wb_status enqueue(wb_cuda *cuda, const void *context, wb_error *err) {
    const wb_slot *slot = context;
    const wb_gpu_batch *batch = &slot->on_gpu;
    wb_gpu *gpu = &cuda->gpu;
    void *there = (void *)(uintptr_t)batch->block;
    const size_t n_bytes = batch->layout.n_bytes;
    const unsigned code =
        n_bytes <= MOST_KERNEL_COPY
            ? wb_launch_copy(there, slot->block, n_bytes, gpu->stream)
            : cudaMemcpyAsync(there, slot->block, n_bytes, cudaMemcpyHostToDevice, gpu->stream);
    const wb_status status = wb_device_check(code, "copying ids", err);
    return status ? status : wb_gpu_forward(gpu, batch, err);
}

wb_status wb_cuda_record(wb_cuda *cuda, wb_graph *exec, wb_graph_step *step, const void *context,
                         wb_error *err) {
    static const char what[] = "recording a graph";
    *exec = NULL;
    cudaStream_t stream = cuda->gpu.stream;
    cudaGraph_t graph = NULL;
    wb_status status = wb_device_check(
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), what, err);
    if (status) return status;
    status = step(cuda, context, err);
    const cudaError_t code = cudaStreamEndCapture(stream, &graph);
    if (!status) status = wb_device_check(code, what, err);
    if (!status) status = wb_device_check(cudaGraphInstantiate(exec, graph, 0), what, err);
    if (graph) (void)cudaGraphDestroy(graph);
    return status;
}

// The bucket's entry, or a new one in place of the one that has waited longest.
static wb_batch_graph *find_graph(wb_cuda *cuda, int slot, const wb_gpu_batch *batch) {
    const wb_input_layout *l = &batch->layout;
    wb_batch_graph *oldest = &cuda->graphs[0];
    for (int i = 0; i < cuda->n_graphs; i++) {
        wb_batch_graph *g = &cuda->graphs[i];
        if (g->slot == slot && g->m == l->m && g->n_texts == l->n_texts &&
            g->classes == batch->classes)
            return g;
        if (g->last_used < oldest->last_used) oldest = g;
    }
    if (cuda->n_graphs < WB_MOST_GRAPHS) oldest = &cuda->graphs[cuda->n_graphs++];
    if (oldest->exec) (void)cudaGraphExecDestroy(oldest->exec);
    *oldest = (wb_batch_graph){
        .slot = slot, .m = l->m, .n_texts = l->n_texts, .classes = batch->classes, .last_used = 0};
    return oldest;
}

// A bucket's first batch is launched kernel by kernel, which also chooses the products'
// algorithms; its second is recorded.
static wb_status launch_graph(wb_cuda *cuda, int i, wb_error *err) {
    wb_slot *slot = &cuda->slots[i];
    wb_batch_graph *g = find_graph(cuda, i, &slot->on_gpu);
    const bool is_first = g->last_used == 0;
    g->last_used = ++cuda->n_launches;
    if (is_first) return enqueue(cuda, slot, err);
    const wb_status status = g->exec ? WB_OK : wb_cuda_record(cuda, &g->exec, enqueue, slot, err);
    if (status) return status;
    return wb_device_check(cudaGraphLaunch(g->exec, cuda->gpu.stream), "launching a graph", err);
}

static size_t count_logits(const wb_cuda *cuda, const wb_slot *slot) {
    return (size_t)slot->batch.n_texts * (size_t)cuda->gpu.plan->shape.n_labels;
}

static wb_status record_done(const wb_cuda *cuda, const wb_slot *slot, wb_error *err) {
    return wb_device_check(cudaEventRecord(slot->done, cuda->gpu.stream), "recording an event",
                           err);
}

static wb_status launch(wb_cuda *cuda, int i, wb_error *err) {
    wb_slot *slot = &cuda->slots[i];
    wb_gpu *gpu = &cuda->gpu;
    slot->is_watched = slot->batch.n_rows <= WATCHED_ROWS;
    if (slot->is_watched)
        memset(slot->logits, 0xff, count_logits(cuda, slot) * sizeof *slot->logits);
    if (wb_gpu_whole_takes(gpu, &slot->batch))
        return wb_gpu_whole_forward(gpu, &slot->batch, slot->logits, err);
    slot->on_gpu.layout = wb_input_layout_of(slot->batch.n_rows, slot->batch.n_texts);
    slot->on_gpu.classes =
        wb_input_fill(slot->block, &slot->on_gpu.layout, gpu->plan, &slot->batch);
    const wb_status status =
        slot->on_gpu.layout.m > GRAPH_ROWS ? enqueue(cuda, slot, err) : launch_graph(cuda, i, err);
    return status || slot->is_watched ? status : record_done(cuda, slot, err);
}

// Whether each of the logits is there, where they were absent before.
static bool has_logits(const wb_cuda *cuda, const wb_slot *slot) {
    const uint32_t *logits = (const uint32_t *)(const void *)slot->logits;
    const size_t n = count_logits(cuda, slot);
    for (size_t i = 0; i < n; i++)
        if (__atomic_load_n(logits + i, __ATOMIC_ACQUIRE) == ABSENT) return false;
    return true;
}

// Asks for SPIN_NS whether a slot's batch is done.
static cudaError_t watch(const wb_cuda *cuda, const wb_slot *slot) {
    const uint64_t begin_ns = wb_clock_ns();
    cudaError_t code = cudaErrorNotReady;
    while (code == cudaErrorNotReady && wb_clock_ns() - begin_ns < SPIN_NS)
        if (!slot->is_watched)
            code = cudaEventQuery(slot->done);
        else if (has_logits(cuda, slot))
            code = cudaSuccess;
    return code;
}

static wb_status wait(const wb_cuda *cuda, const wb_slot *slot, wb_error *err) {
    const cudaError_t code = watch(cuda, slot);
    if (code != cudaErrorNotReady) return wb_device_check(code, "running a batch", err);
    const wb_status status = slot->is_watched ? record_done(cuda, slot, err) : WB_OK;
    if (status) return status;
    return wb_device_check(cudaEventSynchronize(slot->done), "running a batch", err);
}

// ---- A whole run ----

typedef struct forward_run {
    wb_cuda *cuda;
    const wb_cuda_job *job;
    wb_run totals;
    uint64_t last_end_ns;  // when the batch before was done
} forward_run;

// Waits for a slot's batch and hands its logits out; nothing where the slot is free.
static wb_status finish(forward_run *run, int i, wb_error *err) {
    wb_slot *slot = &run->cuda->slots[i];
    if (slot->index < 0) return WB_OK;
    const wb_status status = wait(run->cuda, slot, err);
    if (status) return status;
    const size_t n_labels = (size_t)run->cuda->gpu.plan->shape.n_labels;
    for (int text = 0; text < slot->batch.n_texts; text++)
        memcpy(run->job->logits + (size_t)slot->batch.texts[text].index * n_labels,
               slot->logits + (size_t)text * n_labels, n_labels * sizeof(float));
    // Batches overlap: one that waited for another is not charged for that.
    const uint64_t now_ns = wb_clock_ns();
    const uint64_t begin_ns = slot->begin_ns > run->last_end_ns ? slot->begin_ns : run->last_end_ns;
    if (run->totals.batch_ns && slot->index < run->totals.batch_capacity)
        run->totals.batch_ns[slot->index] = now_ns - begin_ns;
    run->last_end_ns = now_ns;
    slot->index = -1;
    return WB_OK;
}

// The next batch into a slot that is free, and onto the GPU; false at the end.
static wb_status start(forward_run *run, int i, wb_batch_cursor *cursor, bool *is_started,
                       wb_error *err) {
    wb_slot *slot = &run->cuda->slots[i];
    slot->begin_ns = wb_clock_ns();
    *is_started = wb_batch_next(&slot->batch, cursor);
    if (!*is_started) return WB_OK;
    slot->index = run->totals.n_batches++;
    run->totals.real_tokens += slot->batch.n_valid;
    run->totals.computed_tokens += (uint64_t)slot->batch.n_rows;
    return launch(run->cuda, i, err);
}

wb_status wb_cuda_forward(wb_cuda *cuda, wb_cuda_job *job, wb_error *err) {
    forward_run run = {.cuda = cuda, .job = job};
    if (job->run)
        run.totals =
            (wb_run){.batch_ns = job->run->batch_ns, .batch_capacity = job->run->batch_capacity};
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, cuda->gpu.plan, job->lists);
    wb_status status = WB_OK;
    bool is_started = true;
    for (int i = 0; is_started && !status; i = (i + 1) % WB_N_SLOTS) {
        status = finish(&run, i, err);
        if (!status) status = start(&run, i, &cursor, &is_started, err);
        // The oldest is in the other slot when this one found no batch.
        if (!status && !is_started)
            for (int k = 1; k < WB_N_SLOTS && !status; k++)
                status = finish(&run, (i + k) % WB_N_SLOTS, err);
    }
    if (status) {
        (void)cudaStreamSynchronize(cuda->gpu.stream);
        for (int i = 0; i < WB_N_SLOTS; i++) cuda->slots[i].index = -1;
        return status;
    }
    if (job->run) *job->run = run.totals;
    return WB_OK;
}
