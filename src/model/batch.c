// SPDX-License-Identifier: Apache-2.0
// Batches are formed one after the other by a cursor instead of being listed: a list would
// need memory in proportion to the inputs, and a forward allocates nothing.
#include "model/model.h"

// The text at a place of the walk: the caller's order, or by length.
static int text_at(const wb_batch_cursor *cursor, int position) {
    const bool is_sorted = cursor->plan->packing == WB_SORTED;
    return is_sorted ? cursor->lists->by_length[position] : position;
}

// Tokens of a text that are used.
static int valid_length(const wb_batch_cursor *cursor, int text) {
    const wb_plan *plan = cursor->plan;
    const size_t *offsets = cursor->lists->offsets;
    const size_t n_ids = offsets[text + 1] - offsets[text];
    const int longest = plan->packing == WB_PADDED ? plan->padded_length : plan->shape.max_length;
    return n_ids < (size_t)longest ? (int)n_ids : longest;
}

// Packed: a batch is closed at the token budget, or where it has its equal share of all
// tokens. Equal shares matter where there are few batches: four of 700 tokens keep two
// threads busy, three of 933 leave one idle for a third of the time.
static bool is_full(const wb_batch_cursor *cursor, int n_texts, int n_rows, uint64_t taken,
                    int next_length) {
    const wb_plan *plan = cursor->plan;
    if (n_texts == 0) return false;
    if (plan->packing != WB_PACKED) return n_texts == plan->batch_size;
    if (n_texts == plan->max_texts || n_rows + next_length > plan->token_budget) return true;
    const uint64_t boundary = cursor->tokens_per_batch * (uint64_t)(cursor->next_batch + 1);
    return taken + (uint64_t)next_length / 2 >= boundary;
}

// Appends a text, or only counts it where the batch has no room to list any.
static void add_text(wb_batch *batch, const wb_batch_cursor *cursor, int text, int n_valid) {
    const size_t begin = cursor->lists->offsets[text], end = cursor->lists->offsets[text + 1];
    const bool is_padded = cursor->plan->packing == WB_PADDED;
    const int n_rows = is_padded ? cursor->plan->padded_length : n_valid;
    if (batch->texts)
        batch->texts[batch->n_texts] = (wb_batch_text){.ids = cursor->lists->ids + begin,
                                                       .n_ids = (int)(end - begin),
                                                       .n_valid = n_valid,
                                                       .first_row = batch->n_rows,
                                                       .n_rows = n_rows,
                                                       .index = text};
    batch->n_texts++;
    batch->n_rows += n_rows;
    batch->n_valid += (uint64_t)n_valid;
}

// Sorted: every text gets the rows of the longest, the last one.
static void pad_to_longest(wb_batch *batch) {
    const int longest = batch->texts[batch->n_texts - 1].n_rows;
    for (int i = 0; i < batch->n_texts; i++) {
        batch->texts[i].n_rows = longest;
        batch->texts[i].first_row = i * longest;
    }
    batch->n_rows = batch->n_texts * longest;
}

bool wb_batch_next(wb_batch *batch, wb_batch_cursor *cursor) {
    batch->n_texts = batch->n_rows = 0;
    batch->n_valid = 0;
    uint64_t taken = cursor->tokens_taken;
    while (cursor->next_text < cursor->lists->n_texts) {
        const int text = text_at(cursor, cursor->next_text);
        const int n_valid = valid_length(cursor, text);
        if (is_full(cursor, batch->n_texts, batch->n_rows, taken, n_valid)) break;
        add_text(batch, cursor, text, n_valid);
        taken += (uint64_t)n_valid;
        cursor->next_text++;
    }
    if (batch->n_texts == 0) return false;
    if (batch->texts && cursor->plan->packing == WB_SORTED) pad_to_longest(batch);
    cursor->tokens_taken = taken;
    cursor->next_batch++;
    return true;
}

// The number of batches is counted by walking once without storing.
void wb_batch_cursor_init(wb_batch_cursor *cursor, const wb_plan *plan, const wb_id_lists *lists) {
    *cursor = (wb_batch_cursor){.plan = plan, .lists = lists};
    uint64_t n_tokens = 0;
    for (int text = 0; text < lists->n_texts; text++)
        n_tokens += (uint64_t)valid_length(cursor, text);
    // A GPU takes one batch after the other, however many threads the host has.
    const uint64_t n_threads = plan->device == WB_DEVICE_CUDA ? 1 : (uint64_t)plan->n_threads;
    const uint64_t least = n_tokens / (uint64_t)plan->token_budget + 1;
    const uint64_t n_batches = (least + n_threads - 1) / n_threads * n_threads;
    cursor->tokens_per_batch = n_tokens / n_batches + 1;

    wb_batch_cursor walk = *cursor;
    wb_batch counted = {.texts = NULL};
    while (wb_batch_next(&counted, &walk)) continue;
    cursor->n_batches = walk.next_batch;
}
