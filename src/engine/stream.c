// SPDX-License-Identifier: Apache-2.0
// Texts to logits while the GPU computes: the engine's pool encodes pieces of texts, led by a
// thread of its own, and the caller hands the GPU in waves what is encoded by then. A wave is a few
// whole batches, so that the GPU's waiting between two of them is below a hundredth of its work;
// the first is one batch, so that it starts early.
#include <pthread.h>
#include <string.h>

#include "engine/engine.h"

enum { BATCHES_PER_WAVE = 8 };

typedef struct stream {
    wb_engine *engine;
    const wb_text *texts;
    int n_texts, max_length;
    float *logits;
    size_t *lengths;  // [n_texts], of those that are encoded
    wb_piece *pieces;
    int n_pieces;
    size_t unit;  // tokens that are sure to fit one batch
    // Shared with the pool, changed under the lock.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool *is_encoded;  // [n_pieces]
    bool is_cancelled;
    // The caller's place: text next_text, ids_taken ids into pieces[next_piece].
    int next_text, next_piece;
    size_t ids_taken;
    int n_known;       // pieces from the first on that are encoded
    size_t n_waiting;  // their tokens that were not handed over
    // A wave.
    int32_t *ids;     // [ids_capacity]
    size_t *offsets;  // [n_texts of the largest wave + 1]
    size_t ids_capacity, texts_capacity;
} stream;

// ---- Encoding: the pool's side ----

static void encode_next(void *context, int task, int worker) {
    (void)worker;
    stream *s = context;
    pthread_mutex_lock(&s->lock);
    const bool is_cancelled = s->is_cancelled;
    pthread_mutex_unlock(&s->lock);
    if (!is_cancelled)
        wb_piece_encode(&s->pieces[task], s->engine->model, s->texts, s->max_length, s->lengths);
    pthread_mutex_lock(&s->lock);
    s->is_encoded[task] = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *encode_all(void *argument) {
    stream *s = argument;
    wb_pool_run(s->engine->pool, encode_next, s, s->n_pieces);
    return NULL;
}

// ---- Waves: the caller's side ----

// Waits for the tokens of a batch, or for all that are left. Pieces that are encoded out of order
// wait for those before them.
static wb_status wait_for_tokens(stream *s, wb_error *err) {
    const int n_before = s->n_known;
    pthread_mutex_lock(&s->lock);
    while (s->n_known < s->n_pieces) {
        if (s->is_encoded[s->n_known])
            s->n_waiting += s->pieces[s->n_known++].n_ids;
        else if (s->n_waiting < s->unit)
            pthread_cond_wait(&s->changed, &s->lock);
        else
            break;
    }
    pthread_mutex_unlock(&s->lock);
    for (int i = n_before; i < s->n_known; i++)
        if (s->pieces[i].status)
            return wb_fail(err, s->pieces[i].status, s->pieces[i].problem.offset, "%s",
                           s->pieces[i].problem.message);
    return WB_OK;
}

// Tokens of the next wave: whole batches, and at the end what is left.
static size_t measure_wave(const stream *s) {
    const size_t most = BATCHES_PER_WAVE * s->unit;
    if (s->n_known == s->n_pieces && s->n_waiting <= most) return s->n_waiting;
    const size_t n = s->n_waiting / s->unit;
    return (n > BATCHES_PER_WAVE ? BATCHES_PER_WAVE : n > 0 ? n : 1) * s->unit;
}

// Copies whole texts, at least one, up to n_tokens into the wave; their number.
static int gather_wave(stream *s, size_t n_tokens) {
    size_t n = 0;
    int n_wave = 0;
    s->offsets[0] = 0;
    while (s->next_text < s->n_texts && (size_t)n_wave < s->texts_capacity) {
        wb_piece *piece = &s->pieces[s->next_piece];
        if (s->next_text == piece->first + piece->n_texts) {
            wb_free(piece->ids);
            piece->ids = NULL;
            s->ids_taken = 0;
            if (++s->next_piece == s->n_known) break;
            continue;
        }
        const size_t length = s->lengths[s->next_text];
        if (n_wave > 0 && n + length > n_tokens) break;
        memcpy(s->ids + n, piece->ids + s->ids_taken, length * sizeof *s->ids);
        n += length;
        s->ids_taken += length;
        s->offsets[++n_wave] = n;
        s->next_text++;
    }
    s->n_waiting -= n;
    return n_wave;
}

static wb_status run_waves(stream *s, wb_error *err) {
    const size_t n_labels = (size_t)s->engine->plan.shape.n_labels;
    while (s->next_text < s->n_texts) {
        wb_status status = wait_for_tokens(s, err);
        if (status) return status;
        const size_t first = (size_t)s->next_text;
        const int n_wave = gather_wave(s, measure_wave(s));
        // In the caller's order, as packed batches are: there is no order by length.
        const wb_id_lists lists = {.n_texts = n_wave, .ids = s->ids, .offsets = s->offsets};
        wb_cuda_job job = {
            .task = WB_CUDA_FORWARD, .lists = &lists, .logits = s->logits + first * n_labels};
        status = wb_board_run(&s->engine->board, &job, err);
        if (status) return status;
    }
    return WB_OK;
}

// ---- One call ----

static wb_status open_stream(stream *s, wb_error *err) {
    const wb_plan *plan = &s->engine->plan;
    const size_t budget = (size_t)plan->token_budget, longest = (size_t)s->max_length;
    // A batch is closed by the text that would not fit, so it may lack one text's length.
    s->unit = budget > 2 * longest ? budget - longest : (budget + 1) / 2;
    s->ids_capacity = BATCHES_PER_WAVE * s->unit + longest;
    s->texts_capacity = BATCHES_PER_WAVE * s->unit;
    if (s->texts_capacity > (size_t)s->n_texts) s->texts_capacity = (size_t)s->n_texts;
    const wb_status status = wb_pieces_open(&s->pieces, &s->n_pieces, s->texts, s->n_texts, err);
    if (status) return status;
    s->lengths = wb_alloc((size_t)s->n_texts * sizeof *s->lengths);
    s->is_encoded = wb_alloc_array((size_t)s->n_pieces, sizeof *s->is_encoded);
    s->ids = wb_alloc(s->ids_capacity * sizeof *s->ids);
    s->offsets = wb_alloc((s->texts_capacity + 1) * sizeof *s->offsets);
    if (s->lengths && s->is_encoded && s->ids && s->offsets) return WB_OK;
    return wb_fail(err, WB_ERR_MEMORY, 0, "ids of %d texts", s->n_texts);
}

static void close_stream(stream *s) {
    wb_pieces_close(s->pieces, s->n_pieces);
    wb_free(s->lengths);
    wb_free(s->is_encoded);
    wb_free(s->ids);
    wb_free(s->offsets);
}

// After a failure the pool is told to leave what it has not begun.
static wb_status run_stream(stream *s, wb_error *err) {
    pthread_t leader;
    if (pthread_create(&leader, NULL, encode_all, s) != 0)
        return wb_fail(err, WB_ERR_MEMORY, 0, "cannot start the thread that encodes");
    const wb_status status = run_waves(s, err);
    pthread_mutex_lock(&s->lock);
    s->is_cancelled = status != WB_OK;
    pthread_mutex_unlock(&s->lock);
    pthread_join(leader, NULL);
    return status;
}

wb_status wb_stream_classify(wb_engine *engine, const wb_text *texts, int n_texts, float *logits,
                             wb_error *err) {
    stream s = {.engine = engine, .texts = texts, .n_texts = n_texts, .logits = logits};
    wb_status status = wb_effective_length(&s.max_length, engine->model, 0, err);
    if (!status) status = open_stream(&s, err);
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.changed, NULL);
    if (!status) status = run_stream(&s, err);
    pthread_cond_destroy(&s.changed);
    pthread_mutex_destroy(&s.lock);
    close_stream(&s);
    return status;
}
