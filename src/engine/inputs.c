// SPDX-License-Identifier: Apache-2.0
// Texts to ids: one long array with offsets, and the order by length that sorted batches walk
// in, made here so that a forward need not allocate it. Many texts are encoded in pieces, each
// into an array of its own, by as many threads as there are; joining them is a copy, a hundredth of
// the work.
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

// 3 is the least that holds a token between [CLS] and [SEP].
wb_status wb_effective_length(int *length, const wb_model *model, int max_length, wb_error *err) {
    const int longest = model->shape.max_length;
    if (max_length < 0 || (max_length > 0 && max_length < 3))
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "texts of at most %d tokens, give 0 (the model's own) or at least 3",
                       max_length);
    *length = max_length == 0 || max_length > longest ? longest : max_length;
    return WB_OK;
}

// An empty text may come as a null pointer; the tokenizer wants one it could read.
static wb_status encode(const wb_model *model, const wb_text *text, int max_length, int32_t *ids,
                        int *n_ids, wb_error *err) {
    const char *bytes = text->text ? text->text : "";
    return wb_tokenizer_encode(model->tokenizer, bytes, text->text ? text->n_bytes : 0, text->pair,
                               text->pair_bytes, max_length, ids, n_ids, err);
}

wb_status wb_tokenize(const wb_model *model, const wb_text *text, int max_length, int32_t *ids,
                      int capacity, int *n_ids, wb_error *err) {
    *n_ids = 0;
    int length = 0;
    wb_status status = wb_effective_length(&length, model, max_length, err);
    if (status) return status;
    if (capacity >= length) return encode(model, text, length, ids, n_ids, err);

    // The caller's array may still be long enough for this text.
    int32_t *all = wb_alloc((size_t)length * sizeof *all);
    if (!all) return wb_fail(err, WB_ERR_MEMORY, 0, "ids of a text of %zu bytes", text->n_bytes);
    int n = 0;
    status = encode(model, text, length, all, &n, err);
    if (!status && n > capacity)
        status = wb_fail(err, WB_ERR_ARGUMENT, 0, "%d ids do not fit an array of %d", n, capacity);
    if (!status) {
        memcpy(ids, all, (size_t)n * sizeof *ids);
        *n_ids = n;
    }
    wb_free(all);
    return status;
}

// ---- Pieces ----

// 32 KiB are about 8,000 tokens, a third of a millisecond of one thread. Handing out a piece costs
// less than a thousandth of that, and a GPU need not wait long for the first.
enum { PIECE_BYTES = 32 << 10, PIECE_TEXTS = 1024 };

// The texts from first on that make up the next piece.
static int count_piece(const wb_text *texts, int first, int n_texts) {
    size_t n_bytes = 0;
    int n = 0;
    while (first + n < n_texts && n < PIECE_TEXTS && n_bytes < PIECE_BYTES) {
        n_bytes += texts[first + n].n_bytes + texts[first + n].pair_bytes;
        n++;
    }
    return n;
}

wb_status wb_pieces_open(wb_piece **pieces, int *n_pieces, const wb_text *texts, int n_texts,
                         wb_error *err) {
    *n_pieces = 0;
    for (int first = 0; first < n_texts; first += count_piece(texts, first, n_texts)) ++*n_pieces;
    *pieces = wb_alloc_array((size_t)*n_pieces, sizeof **pieces);
    if (!*pieces) return wb_fail(err, WB_ERR_MEMORY, 0, "%d texts", n_texts);
    for (int i = 0, first = 0; i < *n_pieces; i++) {
        (*pieces)[i] = (wb_piece){.first = first, .n_texts = count_piece(texts, first, n_texts)};
        first += (*pieces)[i].n_texts;
    }
    return WB_OK;
}

void wb_pieces_close(wb_piece *pieces, int n_pieces) {
    for (int i = 0; pieces && i < n_pieces; i++) wb_free(pieces[i].ids);
    wb_free(pieces);
}

// Room for max_length more ids. The array doubles as it fills: max_length for every text would be
// 20 times what SST-2 needs.
static wb_status reserve_ids(wb_piece *piece, size_t *capacity, int max_length, wb_error *err) {
    if (*capacity - piece->n_ids >= (size_t)max_length) return WB_OK;
    const size_t grown = 2 * *capacity + (size_t)max_length;
    int32_t *ids = wb_realloc_array(piece->ids, piece->n_ids, grown, sizeof *ids);
    if (!ids) return wb_fail(err, WB_ERR_MEMORY, 0, "ids of %d texts", piece->n_texts);
    piece->ids = ids;
    *capacity = grown;
    return WB_OK;
}

void wb_piece_encode(wb_piece *piece, const wb_model *model, const wb_text *texts, int max_length,
                     size_t *lengths) {
    size_t capacity = 0;
    for (int i = piece->first; i < piece->first + piece->n_texts && !piece->status; i++) {
        int n_ids = 0;
        piece->status = reserve_ids(piece, &capacity, max_length, &piece->problem);
        if (!piece->status)
            piece->status = encode(model, &texts[i], max_length, piece->ids + piece->n_ids, &n_ids,
                                   &piece->problem);
        piece->n_ids += (size_t)n_ids;
        lengths[i] = (size_t)n_ids;
    }
}

// ---- Many texts ----

// What the threads of one call share.
typedef struct encoding {
    const wb_model *model;
    const wb_text *texts;
    int max_length;
    wb_piece *pieces;
    int n_pieces;
    size_t *lengths;
} encoding;

static void encode_piece(void *context, int task, int worker) {
    (void)worker;
    const encoding *e = context;
    wb_piece_encode(&e->pieces[task], e->model, e->texts, e->max_length, e->lengths);
}

// inputs->ids <- the pieces' one after the other; a single piece's array is taken as it is.
static wb_status join(wb_inputs *inputs, wb_piece *pieces, int n_pieces, int n_texts,
                      wb_error *err) {
    size_t n = 0;
    for (int i = 0; i < n_pieces; i++) {
        if (pieces[i].status)
            return wb_fail(err, pieces[i].status, pieces[i].problem.offset, "%s",
                           pieces[i].problem.message);
        n += pieces[i].n_ids;
    }
    if (n_pieces == 1) {
        inputs->ids = pieces[0].ids;
        pieces[0].ids = NULL;
        return WB_OK;
    }
    inputs->ids = wb_alloc(n * sizeof *inputs->ids);
    if (!inputs->ids) return wb_fail(err, WB_ERR_MEMORY, 0, "ids of %d texts", n_texts);
    n = 0;
    for (int i = 0; i < n_pieces; i++) {
        if (pieces[i].n_ids)
            memcpy(inputs->ids + n, pieces[i].ids, pieces[i].n_ids * sizeof *inputs->ids);
        n += pieces[i].n_ids;
    }
    return WB_OK;
}

// inputs->ids, inputs->offsets <- all texts.
static wb_status encode_all(wb_inputs *inputs, const wb_text *texts, int n_texts, int max_length,
                            wb_pool *pool, wb_error *err) {
    // Alone there is nothing to share out, and one piece is not copied.
    wb_piece whole = {.n_texts = n_texts};
    encoding e = {.model = inputs->model,
                  .texts = texts,
                  .max_length = max_length,
                  .pieces = &whole,
                  .n_pieces = 1,
                  .lengths = inputs->offsets + 1};
    wb_piece *pieces = NULL;
    int n_pieces = 0;
    wb_status status = WB_OK;
    if (pool) {
        status = wb_pieces_open(&pieces, &n_pieces, texts, n_texts, err);
        if (n_pieces > 1) e.pieces = pieces, e.n_pieces = n_pieces;
    }
    if (!status && e.n_pieces > 1) wb_pool_run(pool, encode_piece, &e, e.n_pieces);
    if (!status && e.n_pieces == 1) encode_piece(&e, 0, 0);
    if (!status) status = join(inputs, e.pieces, e.n_pieces, n_texts, err);
    for (int i = 0; i < n_texts; i++) inputs->offsets[i + 1] += inputs->offsets[i];
    wb_free(whole.ids);
    wb_pieces_close(pieces, n_pieces);
    return status;
}

// by_length <- counting sort, stable: texts of one length keep the caller's order.
static wb_status sort_by_length(wb_inputs *inputs, int n_texts, int max_length, wb_error *err) {
    size_t *starts = wb_alloc_array((size_t)max_length + 2, sizeof *starts);
    if (!starts) return wb_fail(err, WB_ERR_MEMORY, 0, "order of %d texts", n_texts);
    const size_t *offsets = inputs->offsets;
    for (int i = 0; i < n_texts; i++) starts[offsets[i + 1] - offsets[i] + 1]++;
    for (int length = 1; length <= max_length; length++) starts[length] += starts[length - 1];
    for (int i = 0; i < n_texts; i++) inputs->by_length[starts[offsets[i + 1] - offsets[i]]++] = i;
    wb_free(starts);
    return WB_OK;
}

wb_status wb_inputs_encode(wb_inputs **out, const wb_model *model, const wb_text *texts,
                           int n_texts, int max_length, wb_pool *pool, wb_error *err) {
    *out = NULL;
    if (n_texts < 0) return wb_fail(err, WB_ERR_ARGUMENT, 0, "%d texts", n_texts);
    int length = 0;
    wb_status status = wb_effective_length(&length, model, max_length, err);
    if (status) return status;
    wb_inputs *inputs = wb_alloc_zeroed(sizeof *inputs);
    if (!inputs) return wb_fail(err, WB_ERR_MEMORY, 0, "%d texts", n_texts);
    inputs->model = model;
    inputs->offsets = wb_alloc_array((size_t)n_texts + 1, sizeof *inputs->offsets);
    inputs->by_length = wb_alloc_array((size_t)n_texts, sizeof *inputs->by_length);
    if (!inputs->offsets || !inputs->by_length)
        status = wb_fail(err, WB_ERR_MEMORY, 0, "%d texts", n_texts);
    if (!status) status = encode_all(inputs, texts, n_texts, length, pool, err);
    if (!status) status = sort_by_length(inputs, n_texts, length, err);
    if (status) {
        wb_inputs_close(inputs);
        return status;
    }
    inputs->lists = (wb_id_lists){.n_texts = n_texts,
                                  .ids = inputs->ids,
                                  .offsets = inputs->offsets,
                                  .by_length = inputs->by_length};
    *out = inputs;
    return WB_OK;
}

wb_status wb_inputs_open(wb_inputs **out, const wb_model *model, const wb_text *texts, int n_texts,
                         int max_length, wb_error *err) {
    return wb_inputs_encode(out, model, texts, n_texts, max_length, NULL, err);
}

void wb_inputs_close(wb_inputs *inputs) {
    if (!inputs) return;
    wb_free(inputs->ids);
    wb_free(inputs->offsets);
    wb_free(inputs->by_length);
    wb_free(inputs);
}

int wb_inputs_count(const wb_inputs *inputs) {
    return inputs->lists.n_texts;
}

uint64_t wb_inputs_tokens(const wb_inputs *inputs) {
    return inputs->offsets[inputs->lists.n_texts];
}

const int32_t *wb_inputs_ids(const wb_inputs *inputs, int text, int *n_ids) {
    *n_ids = 0;
    if (text < 0 || text >= inputs->lists.n_texts) return NULL;
    *n_ids = (int)(inputs->offsets[text + 1] - inputs->offsets[text]);
    return inputs->ids + inputs->offsets[text];
}
