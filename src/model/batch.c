// SPDX-License-Identifier: Apache-2.0
// Batches are formed one after the other by a cursor instead of being listed: a list would
// need memory in proportion to the inputs, and a forward allocates nothing.
#include "model/model.h"

// The text at a place of the walk: shortest first where each batch is as long as its longest,
// longest first where short ones make the last shares alike, and else the caller's order.
static int text_at(const wb_batch_cursor *cursor, int position) {
    const int *by_length = cursor->lists->by_length;
    if (cursor->plan->packing == WB_SORTED) return by_length[position];
    return cursor->is_in_rounds ? by_length[cursor->lists->n_texts - 1 - position] : position;
}

// Tokens of a text that are used.
static int valid_length(const wb_batch_cursor *cursor, int text) {
    const wb_plan *plan = cursor->plan;
    const size_t *offsets = cursor->lists->offsets;
    const size_t n_ids = offsets[text + 1] - offsets[text];
    const int longest = plan->packing == WB_PADDED ? plan->padded_length : plan->shape.max_length;
    return n_ids < (size_t)longest ? (int)n_ids : longest;
}

// Packed: a batch is closed at the token budget, or where it has its share: the last text that is
// not beyond it, or, of batches that follow each other, the nearest end of a text.
static bool is_full(const wb_batch_cursor *cursor, const wb_batch *batch, int next_length) {
    const wb_plan *plan = cursor->plan;
    if (batch->n_texts == 0) return false;
    if (plan->packing != WB_PACKED) return batch->n_texts == plan->batch_size;
    if (batch->n_texts == plan->max_texts || batch->n_rows + next_length > plan->token_budget)
        return true;
    const uint64_t length = (uint64_t)next_length, taken = cursor->tokens_taken;
    return cursor->is_in_rounds ? taken + length > cursor->boundary
                                : taken + length / 2 >= cursor->boundary;
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

static void add_texts(wb_batch *batch, wb_batch_cursor *cursor) {
    while (cursor->next_text < cursor->lists->n_texts) {
        const int text = text_at(cursor, cursor->next_text);
        const int n_valid = valid_length(cursor, text);
        if (is_full(cursor, batch, n_valid)) break;
        add_text(batch, cursor, text, n_valid);
        cursor->tokens_taken += (uint64_t)n_valid;
        cursor->next_text++;
    }
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

// Batches come in rounds of one for each thread, which share half of what is left (factoring,
// Hummel, Schonberg & Flynn 1992): shares are large while others can make up for a thread that is
// slow or held up, and small when all wait for the last. 22,000 tokens on 16 threads of a shared
// Xeon, of which one takes up to three times as long as another, against one round: 1.25 of the
// rate in f32, 1.08 to 1.28 in bf16, 1.12 to 1.22 in int8.
//
// Shares of less than LEAST_SHARE would read weights too often, and of less than LEAST_TEXTS texts
// they would not be alike; before that, all that is left is one round. On what its batches leave
// over, and instead of them where they are not alike, all threads work together.
enum { LEAST_SHARE = 64, LEAST_TEXTS = 2, LEAST_ROWS = 32 };

// Whether a batch for each thread, and one for all threads of what is left over, are done earlier
// than all that is left on one: together they lose an eighth by waiting for each other, and few
// rows take as long as reading the weights.
static bool are_alike(wb_batch_cursor walk) {
    const uint64_t n_threads = (uint64_t)walk.plan->n_threads;
    const uint64_t n_tokens = walk.n_tokens - walk.tokens_taken;
    uint64_t greatest = LEAST_ROWS;
    for (uint64_t i = 0; i < n_threads; i++) {
        wb_batch batch = {.texts = NULL};
        walk.boundary = walk.tokens_taken + walk.share;
        add_texts(&batch, &walk);
        if (batch.n_texts == 0) return false;
        if (batch.n_valid > greatest) greatest = batch.n_valid;
    }
    uint64_t n_over = walk.n_tokens - walk.tokens_taken;
    if (n_over > 0 && n_over < LEAST_ROWS) n_over = LEAST_ROWS;
    return 7 * n_threads * greatest + 8 * n_over <= 8 * n_tokens;
}

static void begin_round(wb_batch_cursor *cursor) {
    const wb_plan *plan = cursor->plan;
    const uint64_t n_tokens = cursor->n_tokens - cursor->tokens_taken;
    const uint64_t n_texts = (uint64_t)(cursor->lists->n_texts - cursor->next_text);
    const uint64_t n_threads = (uint64_t)plan->n_threads, budget = (uint64_t)plan->token_budget;
    cursor->round_end += plan->n_threads;
    cursor->boundary = cursor->tokens_taken;
    if (!cursor->is_in_rounds) {
        cursor->share = n_tokens / (n_tokens / budget + 1) + 1;
        return;
    }
    const uint64_t fair = n_tokens / n_threads, of_texts = LEAST_TEXTS * n_tokens / n_texts;
    const uint64_t of_tokens = budget / 2 < LEAST_SHARE ? budget / 2 : LEAST_SHARE;
    if (fair / 2 >= of_tokens && fair / 2 >= of_texts) {
        cursor->share = fair / 2 < budget ? fair / 2 : budget;
        return;
    }
    cursor->share = fair;
    if (!are_alike(*cursor)) cursor->share = n_tokens;
}

bool wb_batch_next(wb_batch *batch, wb_batch_cursor *cursor) {
    batch->n_texts = batch->n_rows = 0;
    batch->n_valid = 0;
    if (cursor->next_text == cursor->lists->n_texts) return false;
    if (cursor->next_batch == cursor->round_end) begin_round(cursor);
    if (cursor->is_in_rounds) cursor->boundary = cursor->tokens_taken;
    cursor->boundary += cursor->share;
    add_texts(batch, cursor);
    if (batch->texts && cursor->plan->packing == WB_SORTED) pad_to_longest(batch);
    cursor->next_batch++;
    return true;
}

// The number of batches is counted by walking once without storing.
void wb_batch_cursor_init(wb_batch_cursor *cursor, const wb_plan *plan, const wb_id_lists *lists) {
    *cursor = (wb_batch_cursor){.plan = plan, .lists = lists};
    // A GPU takes one batch after the other, however many threads the host has.
    cursor->is_in_rounds =
        plan->packing == WB_PACKED && plan->n_threads > 1 && plan->device == WB_DEVICE_CPU;
    for (int text = 0; text < lists->n_texts; text++)
        cursor->n_tokens += (uint64_t)valid_length(cursor, text);

    wb_batch_cursor walk = *cursor;
    wb_batch counted = {.texts = NULL};
    while (wb_batch_next(&counted, &walk)) continue;
    cursor->n_batches = walk.next_batch;
}
