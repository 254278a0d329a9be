// SPDX-License-Identifier: Apache-2.0
// Texts to ids: one long array with offsets, and the order by length that sorted batches walk
// in, made here so that a forward need not allocate it.
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

// *length <- the tokens a text may have: the caller's limit within the model's. 3 is the least that
// holds a token between [CLS] and [SEP].
static wb_status effective_length(int *length, const wb_model *model, int max_length,
                                  wb_error *err) {
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
    wb_status status = effective_length(&length, model, max_length, err);
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

// ---- Many texts ----

// inputs->ids, inputs->offsets <- all texts. The array doubles as it fills: max_length for every
// text would be 20 times what SST-2 needs.
static wb_status encode_all(wb_inputs *inputs, const wb_text *texts, int n_texts, int max_length,
                            wb_error *err) {
    size_t n = 0, capacity = 0;
    for (int i = 0; i < n_texts; i++) {
        if (capacity - n < (size_t)max_length) {
            const size_t grown = 2 * capacity + (size_t)max_length;
            int32_t *ids = wb_realloc_array(inputs->ids, n, grown, sizeof *ids);
            if (!ids) return wb_fail(err, WB_ERR_MEMORY, 0, "ids of %d texts", n_texts);
            inputs->ids = ids;
            capacity = grown;
        }
        int n_ids = 0;
        const wb_status status =
            encode(inputs->model, &texts[i], max_length, inputs->ids + n, &n_ids, err);
        if (status) return status;
        n += (size_t)n_ids;
        inputs->offsets[i + 1] = n;
    }
    return WB_OK;
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

wb_status wb_inputs_open(wb_inputs **out, const wb_model *model, const wb_text *texts, int n_texts,
                         int max_length, wb_error *err) {
    *out = NULL;
    if (n_texts < 0) return wb_fail(err, WB_ERR_ARGUMENT, 0, "%d texts", n_texts);
    int length = 0;
    wb_status status = effective_length(&length, model, max_length, err);
    if (status) return status;
    wb_inputs *inputs = wb_alloc_zeroed(sizeof *inputs);
    if (!inputs) return wb_fail(err, WB_ERR_MEMORY, 0, "%d texts", n_texts);
    inputs->model = model;
    inputs->offsets = wb_alloc_array((size_t)n_texts + 1, sizeof *inputs->offsets);
    inputs->by_length = wb_alloc_array((size_t)n_texts, sizeof *inputs->by_length);
    if (!inputs->offsets || !inputs->by_length)
        status = wb_fail(err, WB_ERR_MEMORY, 0, "%d texts", n_texts);
    if (!status) status = encode_all(inputs, texts, n_texts, length, err);
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
