// SPDX-License-Identifier: Apache-2.0
// One component run alone on the activations it sees inside the forward pass, so that it can be
// measured for as long as a meter needs. The first batches are run once with a tap that
// copies what flows between components; a replay then reads the copies and writes to the
// workspaces, so that every run sees the same input. On a GPU the copies stay there.
#include <string.h>

#include "engine/engine.h"

// One captured batch. flows[0] is what leaves the embeddings, flows[2 l + 1] what leaves layer l's
// attention, flows[2 l + 2] what leaves layer l.
typedef struct capture {
    wb_batch batch;
    float **flows;  // [2 n_layers + 1]
} capture;

struct wb_replay {
    wb_engine *engine;
    capture *captures;  // [n_captures]
    int n_captures;
    int n_whole;  // captures that are replayed whole per thread, as wb_forward would
    uint64_t n_tokens;
    int n_texts;
    uint64_t capture_index;  // on a GPU: which of the engine's captures this is
};

static int count_flows(const wb_engine *engine) {
    return 2 * engine->plan.shape.n_layers + 1;
}

// Rows that leave component i; a pruned last layer has one a text.
static size_t flow_rows(const wb_engine *engine, const wb_batch *batch, int i) {
    const wb_plan *plan = &engine->plan;
    const bool is_last = i > 2 * (plan->shape.n_layers - 1);
    return (size_t)(plan->is_last_layer_pruned && is_last ? batch->n_texts : batch->n_rows);
}

// At 768 wide and six layers 13 arrays of 3 KB a token; pruned, the last two have a row a text.
static size_t capture_bytes(const wb_engine *engine, const wb_batch *batch) {
    size_t n = 0;
    for (int i = 0; i < count_flows(engine); i++)
        n += flow_rows(engine, batch, i) * (size_t)engine->plan.shape.d_model * sizeof(float);
    return n + (size_t)batch->n_texts * sizeof *batch->texts;
}

// ---- Capturing ----

static void close_capture(capture *c, int n_flows) {
    for (int i = 0; c->flows && i < n_flows; i++) wb_free(c->flows[i]);
    wb_free(c->flows);
    wb_free(c->batch.texts);
}

// *c <- room for what flows through one batch; the batch's texts are copied, because the cursor's
// belong to a workspace.
static wb_status open_capture(capture *c, const wb_engine *engine, const wb_batch *batch,
                              wb_error *err) {
    const int n_flows = count_flows(engine);
    c->batch = *batch;
    c->batch.texts = wb_alloc_array((size_t)batch->n_texts, sizeof *batch->texts);
    c->flows = wb_alloc_array((size_t)n_flows, sizeof *c->flows);
    bool is_complete = c->batch.texts && c->flows;
    for (int i = 0; i < n_flows && is_complete; i++) {
        const size_t n = flow_rows(engine, batch, i) * (size_t)engine->plan.shape.d_model;
        c->flows[i] = wb_alloc(n * sizeof **c->flows);
        is_complete = c->flows[i] != NULL;
    }
    if (!is_complete)
        return wb_fail(err, WB_ERR_MEMORY, 0, "activations of %d texts", batch->n_texts);
    memcpy(c->batch.texts, batch->texts, (size_t)batch->n_texts * sizeof *batch->texts);
    return WB_OK;
}

// The tap's context.
typedef struct recording {
    capture *to;
    int d_model;
} recording;

static void record(void *context, wb_tap_point point, int layer, const float *x, int n_rows) {
    const recording *r = context;
    const int i = point == WB_TAP_EMBEDDINGS ? 0 : 2 * layer + (point == WB_TAP_LAYER ? 2 : 1);
    memcpy(r->to->flows[i], x, (size_t)n_rows * (size_t)r->d_model * sizeof *x);
}

// Runs the batch in workspace 0 once with all threads: the split gives the same bits.
static wb_status capture_batch(wb_replay *replay, wb_error *err) {
    wb_engine *engine = replay->engine;
    wb_workspace *workspace = &engine->workspaces[0];
    capture *c = &replay->captures[replay->n_captures++];
    const wb_status status = open_capture(c, engine, &workspace->batch, err);
    if (status) return status;
    recording r = {.to = c, .d_model = engine->plan.shape.d_model};
    const wb_tap tap = {.see = record, .context = &r};
    const wb_team team = wb_engine_team(engine, true, 0);
    wb_forward_batch(&team, &c->batch, workspace->logits, &tap);
    replay->n_tokens += c->batch.n_valid;
    replay->n_texts += c->batch.n_texts;
    return WB_OK;
}

// Batches that fit, at least one; where a forward would keep every thread on a batch of its
// own, a multiple of the threads if so many fit, so that the replay does too.
static int count_captures(wb_engine *engine, wb_batch_cursor cursor, size_t max_bytes) {
    const int n_threads = engine->plan.n_threads;
    wb_batch *batch = &engine->workspaces[0].batch;
    size_t used = 0;
    int n = 0;
    while (wb_batch_next(batch, &cursor)) {
        used += capture_bytes(engine, batch);
        if (n > 0 && used > max_bytes) break;
        n++;
    }
    if (n < cursor.n_batches && n > n_threads) n = n / n_threads * n_threads;
    return n;
}

static wb_status capture_on_cpu(wb_replay *replay, const wb_inputs *inputs, size_t max_bytes,
                                wb_error *err) {
    wb_engine *engine = replay->engine;
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &engine->plan, &inputs->lists);
    const int n = count_captures(engine, cursor, max_bytes);
    replay->captures = wb_alloc_array((size_t)n, sizeof *replay->captures);
    wb_status status = WB_OK;
    if (!replay->captures) status = wb_fail(err, WB_ERR_MEMORY, 0, "replay of %d batches", n);
    while (!status && replay->n_captures < n) {
        (void)wb_batch_next(&engine->workspaces[0].batch, &cursor);
        status = capture_batch(replay, err);
    }
    replay->n_whole = wb_count_whole_batches(&engine->plan, n);
    return status;
}

static wb_status capture_on_gpu(wb_replay *replay, const wb_inputs *inputs, size_t max_bytes,
                                wb_error *err) {
    wb_board *board = &replay->engine->board;
    wb_cuda_job job = {.task = WB_CUDA_CAPTURE, .lists = &inputs->lists, .max_bytes = max_bytes};
    replay->capture_index = ++board->n_captures;
    const wb_status status = wb_board_run(board, &job, err);
    replay->n_tokens = job.n_tokens;
    replay->n_texts = job.n_texts;
    return status;
}

wb_status wb_replay_open(wb_replay **out, wb_engine *engine, const wb_inputs *inputs,
                         size_t max_bytes, wb_error *err) {
    *out = NULL;
    if (inputs->model != engine->model || inputs->lists.n_texts == 0)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "a replay needs at least one text, encoded for the engine's model");
    wb_replay *replay = wb_alloc_zeroed(sizeof *replay);
    if (!replay) return wb_fail(err, WB_ERR_MEMORY, 0, "replay");
    replay->engine = engine;
    const wb_status status = engine->board.cuda ? capture_on_gpu(replay, inputs, max_bytes, err)
                                                : capture_on_cpu(replay, inputs, max_bytes, err);
    if (status) {
        wb_replay_close(replay);
        return status;
    }
    *out = replay;
    return WB_OK;
}

// Gigabytes of the GPU's memory; unless they are a younger replay's.
static void release_on_gpu(const wb_replay *replay) {
    wb_board *board = &replay->engine->board;
    wb_cuda_job job = {.task = WB_CUDA_RELEASE};
    if (replay->capture_index == board->n_captures) (void)wb_board_run(board, &job, NULL);
}

void wb_replay_close(wb_replay *replay) {
    if (!replay) return;
    if (replay->engine->board.cuda) release_on_gpu(replay);
    for (int i = 0; i < replay->n_captures; i++)
        close_capture(&replay->captures[i], count_flows(replay->engine));
    wb_free(replay->captures);
    wb_free(replay);
}

uint64_t wb_replay_tokens(const wb_replay *replay) {
    return replay->n_tokens;
}

int wb_replay_texts(const wb_replay *replay) {
    return replay->n_texts;
}

// ---- Replaying ----

// One component over one captured batch: the same calls as wb_forward_batch makes, from the
// captured input instead of the previous component's output. Inputs are read only, so every run
// does the same work.
static void replay_component(const wb_team *team, const capture *c, wb_component component) {
    const wb_plan *plan = team->plan;
    const wb_workspace *s = wb_team_workspace(team);
    const int n_layers = plan->shape.n_layers;
    // The workspace's x and pooled are where the forward has its results, too.
    switch (component) {
        case WB_EMBEDDINGS: wb_embed_forward(team, &c->batch, s->x); break;
        case WB_ATTENTION:
            for (int layer = 0; layer < n_layers; layer++) {
                const bool is_pruned = plan->is_last_layer_pruned && layer == n_layers - 1;
                float *y = is_pruned ? s->pooled : s->x;
                wb_attention_forward(team, layer, &c->batch, y, c->flows[2 * layer]);
            }
            break;
        case WB_FFN:
            for (int layer = 0; layer < n_layers; layer++) {
                const bool is_pruned = plan->is_last_layer_pruned && layer == n_layers - 1;
                wb_ffn_forward(team, layer, is_pruned ? s->pooled : s->x, c->flows[2 * layer + 1],
                               is_pruned ? c->batch.n_texts : c->batch.n_rows);
            }
            break;
        case WB_HEAD: {
            const float *x = c->flows[2 * n_layers];
            if (!plan->is_last_layer_pruned)
                wb_pool_first_rows(&c->batch, plan->shape.d_model, s->pooled, x);
            const float *pooled = plan->is_last_layer_pruned ? x : s->pooled;
            wb_head_forward(team, s->logits, pooled, c->batch.n_texts);
            break;
        }
        case WB_WHOLE: wb_forward_batch(team, &c->batch, s->logits, NULL); break;
    }
}

typedef struct replay_run {
    wb_replay *replay;
    wb_component component;
} replay_run;

static void replay_whole(void *context, int task, int worker) {
    const replay_run *run = context;
    const wb_team team = wb_engine_team(run->replay->engine, false, worker);
    replay_component(&team, &run->replay->captures[task], run->component);
}

static wb_status replay_on_gpu(const wb_replay *replay, wb_component component, wb_error *err) {
    wb_board *board = &replay->engine->board;
    if (replay->capture_index != board->n_captures)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "the GPU keeps the last replay of an engine, this one was replaced");
    wb_cuda_job job = {.task = WB_CUDA_REPLAY, .component = component};
    return wb_board_run(board, &job, err);
}

wb_status wb_replay_run(wb_replay *replay, wb_component component, wb_error *err) {
    if ((int)component < WB_EMBEDDINGS || (int)component > WB_WHOLE)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "no component has the number %d", (int)component);
    if (replay->engine->board.cuda) return replay_on_gpu(replay, component, err);
    replay_run run = {.replay = replay, .component = component};
    const bool is_held = wb_binding_hold(replay->engine->binding);
    wb_pool_run(replay->engine->pool, replay_whole, &run, replay->n_whole);
    const wb_team all = wb_engine_team(replay->engine, true, 0);
    for (int i = replay->n_whole; i < replay->n_captures; i++)
        replay_component(&all, &replay->captures[i], component);
    if (is_held) wb_binding_release(replay->engine->binding);
    return WB_OK;
}
