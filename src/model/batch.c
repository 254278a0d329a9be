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

// Packed: a batch is closed at the token budget, or where it has its share.
static bool is_full(const wb_batch_cursor *cursor, int n_texts, int n_rows, uint64_t taken,
                    int next_length) {
    const wb_plan *plan = cursor->plan;
    if (n_texts == 0) return false;
    if (plan->packing != WB_PACKED) return n_texts == plan->batch_size;
    if (n_texts == plan->max_texts || n_rows + next_length > plan->token_budget) return true;
    return taken + (uint64_t)next_length / 2 >= cursor->boundary;
}

// Tokens of each batch of a round, which has as many batches as there are threads: half of what is
// left in equal shares (factoring, Hummel, Schonberg & Flynn 1992). So shares are large while
// others can make up for a thread that is slow or held up, and small when all wait for the last.
// Under LEAST_SHARE weights are read too often: then all that is left is one round. 22,000 tokens
// on 16 threads of a shared Xeon, of which one takes up to three times as long as another, against
// one round of equal shares: 1.25 of the rate in f32, 1.08 to 1.28 in bf16, 1.12 to 1.22 in int8.
enum { LEAST_SHARE = 64 };

static uint64_t share_of_round(const wb_plan *plan, uint64_t left) {
    const uint64_t budget = (uint64_t)plan->token_budget;
    // A GPU takes one batch after the other, however many threads the host has.
    if (plan->n_threads == 1 || plan->device == WB_DEVICE_CUDA)
        return left / (left / budget + 1) + 1;
    const uint64_t fair = left / (uint64_t)plan->n_threads;
    const uint64_t least = budget / 2 < LEAST_SHARE ? budget / 2 : LEAST_SHARE;
    if (fair < 2 * least) return fair + 1;
    return fair / 2 < budget ? fair / 2 : budget;
}

static void begin_round(wb_batch_cursor *cursor) {
    const wb_plan *plan = cursor->plan;
    cursor->round_end += plan->n_threads;
    cursor->boundary = cursor->tokens_taken;
    cursor->share = share_of_round(plan, cursor->n_tokens - cursor->tokens_taken);
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
    if (cursor->next_batch == cursor->round_end) begin_round(cursor);
    cursor->boundary += cursor->share;
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
    for (int text = 0; text < lists->n_texts; text++)
        cursor->n_tokens += (uint64_t)valid_length(cursor, text);

    wb_batch_cursor walk = *cursor;
    wb_batch counted = {.texts = NULL};
    while (wb_batch_next(&counted, &walk)) continue;
    cursor->n_batches = walk.next_batch;
}
