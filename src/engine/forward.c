// SPDX-License-Identifier: Apache-2.0
// Inputs to logits: batches are formed as threads ask for them, and each batch's logits go
// to its texts' places in the caller's order.
#include <pthread.h>
#include <string.h>

#include "engine/engine.h"

// One call of wb_forward, as its tasks see it.
typedef struct forward_run {
    wb_engine *engine;
    float *logits;  // [n_texts, n_labels] of the caller
    bool is_split;
    // What follows is shared by the workers and changed under the lock.
    pthread_mutex_t lock;
    wb_batch_cursor cursor;
    wb_run totals;
} forward_run;

wb_team wb_engine_team(wb_engine *engine, bool is_split, int worker) {
    return (wb_team){.plan = &engine->plan,
                     .kernels = &engine->kernels,
                     .weights = engine->weights,
                     .workspaces = engine->workspaces,
                     .pool = is_split && engine->plan.n_threads > 1 ? engine->pool : NULL,
                     .worker = worker};
}

// Of 7 batches on 2 threads the first 6 go whole. The last would leave a thread idle for the length
// of a batch, so both work on it; so they do where there is only one.
int wb_count_whole_batches(const wb_plan *plan, int n_batches) {
    return n_batches / plan->n_threads * plan->n_threads;
}

// *batch <- the next batch; its index, or -1 at the end. Under a lock for a few hundred
// nanoseconds: forming a batch is a walk over its texts' lengths.
static int take_batch(wb_batch *batch, forward_run *run) {
    pthread_mutex_lock(&run->lock);
    const int index = run->cursor.next_batch;
    const bool is_there = wb_batch_next(batch, &run->cursor);
    run->totals.n_batches += is_there;
    run->totals.real_tokens += batch->n_valid;
    run->totals.computed_tokens += (uint64_t)batch->n_rows;
    pthread_mutex_unlock(&run->lock);
    return is_there ? index : -1;
}

// logits[n_texts, n_labels] of all <- of_batch[batch.n_texts, n_labels]. No two batches share a
// text, so workers need no lock here.
static void scatter(float *logits, const wb_batch *batch, const float *of_batch, int n_labels) {
    const size_t n = (size_t)n_labels;
    for (int i = 0; i < batch->n_texts; i++)
        memcpy(logits + (size_t)batch->texts[i].index * n, of_batch + (size_t)i * n,
               n * sizeof *logits);
}

static void forward_next(void *context, int task, int worker) {
    (void)task;  // tasks are alike: each takes the next batch there is
    forward_run *run = context;
    wb_workspace *workspace = &run->engine->workspaces[worker];
    const int index = take_batch(&workspace->batch, run);
    if (index < 0) return;
    // A batch's duration is what its caller waits for: from its first id to its last logit.
    const uint64_t start_ns = wb_clock_ns();
    const wb_team team = wb_engine_team(run->engine, run->is_split, worker);
    wb_forward_batch(&team, &workspace->batch, workspace->logits, NULL);
    scatter(run->logits, &workspace->batch, workspace->logits, run->engine->plan.shape.n_labels);
    if (index < run->totals.batch_capacity && run->totals.batch_ns)
        run->totals.batch_ns[index] = wb_clock_ns() - start_ns;
}

static wb_status forward_on_gpu(wb_engine *engine, const wb_inputs *inputs, float *logits,
                                wb_run *out, wb_error *err) {
    wb_run run = {0};
    if (out) run = (wb_run){.batch_ns = out->batch_ns, .batch_capacity = out->batch_capacity};
    wb_cuda_job job = {.task = WB_CUDA_FORWARD,
                       .lists = &inputs->lists,
                       .logits = logits,
                       .run = out ? &run : NULL};
    const wb_status status =
        inputs->lists.n_texts > 0 ? wb_board_run(&engine->board, &job, err) : WB_OK;
    if (!status && out) *out = run;
    return status;
}

wb_status wb_forward(wb_engine *engine, const wb_inputs *inputs, float *logits, wb_run *out,
                     wb_error *err) {
    if (inputs->model != engine->model)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "inputs were encoded for model %.200s, the engine runs %.200s",
                       inputs->model->info.path, engine->model->info.path);
    if (engine->board.cuda) return forward_on_gpu(engine, inputs, logits, out, err);
    const bool is_held = wb_binding_hold(engine->binding);
    wb_pool_wake(engine->pool);
    forward_run run = {.engine = engine, .logits = logits};
    if (out)
        run.totals = (wb_run){.batch_ns = out->batch_ns, .batch_capacity = out->batch_capacity};
    pthread_mutex_init(&run.lock, NULL);
    wb_batch_cursor_init(&run.cursor, &engine->plan, &inputs->lists);
    const int n_batches = run.cursor.n_batches;
    const int n_whole = wb_count_whole_batches(&engine->plan, n_batches);
    wb_pool_run(engine->pool, forward_next, &run, n_whole);
    // From here on the caller is alone and hands the pool to each batch in turn.
    run.is_split = true;
    for (int i = n_whole; i < n_batches; i++) forward_next(&run, i, 0);
    pthread_mutex_destroy(&run.lock);
    if (out) *out = run.totals;
    if (is_held) wb_binding_release(engine->binding);
    return WB_OK;
}

// Texts for which starting a thread pays: it costs what tokenizing a few hundred tokens does.
static bool are_many(const wb_text *texts, int n_texts) {
    const size_t many_bytes = 64 << 10;
    size_t n_bytes = 0;
    for (int i = 0; i < n_texts && n_bytes < many_bytes; i++)
        n_bytes += texts[i].n_bytes + texts[i].pair_bytes;
    return n_bytes >= many_bytes;
}

// Few texts, or a plan that sorts or pads all of them: encoded by all threads, then run.
static wb_status classify_at_once(wb_engine *engine, const wb_text *texts, int n_texts,
                                  int max_length, float *logits, wb_error *err) {
    wb_inputs *inputs = NULL;
    const bool is_held = wb_binding_hold(engine->binding);
    if (!engine->board.cuda) wb_pool_wake(engine->pool);
    wb_status status =
        wb_inputs_encode(&inputs, engine->model, texts, n_texts, max_length, engine->pool, err);
    if (!status) status = wb_forward(engine, inputs, logits, NULL, err);
    wb_inputs_close(inputs);
    if (is_held) wb_binding_release(engine->binding);
    return status;
}

// On the CPU encoding and computing would only take each other's cores.
wb_status wb_classify(wb_engine *engine, const wb_text *texts, int n_texts, float *logits,
                      wb_error *err) {
    // Cut by the tokenizer rather than by the batch, which cannot see where a pair's first text
    // ends.
    const wb_plan *plan = &engine->plan;
    const int max_length = plan->packing == WB_PADDED ? plan->padded_length : 0;
    if (engine->board.cuda && plan->packing == WB_PACKED && are_many(texts, n_texts))
        return wb_stream_classify(engine, texts, n_texts, logits, err);
    return classify_at_once(engine, texts, n_texts, max_length, logits, err);
}
