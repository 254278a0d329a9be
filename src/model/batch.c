// SPDX-License-Identifier: Apache-2.0
// Batches are formed one after the other by a cursor instead of being listed: a list would
// need memory in proportion to the inputs, and a forward allocates nothing.
#include <math.h>

#include "model/model.h"

// The text at a place of the walk: shortest first where each batch is as long as its longest,
// longest first where short ones make the last shares alike, and else the caller's order.
static int text_at(const wb_batch_cursor *cursor, int position) {
    const int *by_length = cursor->lists->by_length;
    if (cursor->plan->packing == WB_SORTED) return by_length[position];
    return cursor->is_longest_first ? by_length[cursor->lists->n_texts - 1 - position] : position;
}

// Tokens of a text that are used.
static int valid_length(const wb_batch_cursor *cursor, int text) {
    const wb_plan *plan = cursor->plan;
    const size_t *offsets = cursor->lists->offsets;
    const size_t n_ids = offsets[text + 1] - offsets[text];
    const int longest = plan->packing == WB_PADDED ? plan->padded_length : plan->shape.max_length;
    return n_ids < (size_t)longest ? (int)n_ids : longest;
}

// Packed: a batch is closed at the token budget, or with the last text that is not beyond its
// share.
static bool is_full(const wb_batch_cursor *cursor, const wb_batch *batch, int next_length) {
    const wb_plan *plan = cursor->plan;
    if (batch->n_texts == 0) return false;
    if (plan->packing != WB_PACKED) return batch->n_texts == plan->batch_size;
    if (batch->n_texts == plan->max_texts || batch->n_rows + next_length > plan->token_budget)
        return true;
    return cursor->tokens_taken + (uint64_t)next_length > cursor->boundary;
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

// Shares that follow each other end where a share of so many would, give or take a text, and
// nothing is left over. Otherwise no batch is larger than its share.
static void add_texts(wb_batch *batch, wb_batch_cursor *cursor) {
    cursor->boundary =
        cursor->share + (cursor->leaves_over ? cursor->tokens_taken : cursor->boundary);
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
// rate in f32, 1.08 to 1.28 in bf16, 1.12 to 1.22 in int8. A share of less than LEAST_SHARE would
// read weights too often, and each has room for the longest text; where that would be most of what
// is left, comes the last round.
enum { LEAST_SHARE = 64, LEAST_ROWS = 32 };

// What follows is in tokens of one thread's work. Few rows take as long as reading the weights.
static double cost_alone(uint64_t n_tokens) {
    return n_tokens > LEAST_ROWS ? (double)n_tokens : LEAST_ROWS;
}

// All threads on one batch wait for each other between its products: two reach 16/17 of their
// rate, 16 half of it (0.55 in f32 and 0.37 in bf16 and int8 on a Xeon).
static double cost_together(uint64_t n_tokens, int n_threads) {
    return n_tokens == 0 ? 0.0 : cost_alone(n_tokens) * (15 + n_threads) / (16 * n_threads);
}

// Of a last round as the cursor has it, and of what it leaves over.
static double cost_of_round(wb_batch_cursor walk) {
    const int n_threads = walk.plan->n_threads;
    uint64_t greatest = 0;
    for (int i = 0; i < n_threads; i++) {
        wb_batch batch = {.texts = NULL};
        add_texts(&batch, &walk);
        if (batch.n_texts == 0) return INFINITY;
        if (batch.n_valid > greatest) greatest = batch.n_valid;
    }
    return cost_alone(greatest) + cost_together(walk.n_tokens - walk.tokens_taken, n_threads);
}

// A batch for each thread, as equal as texts allow; or none larger than its share, and one for all
// threads of what that leaves over; or all on one.
static void begin_last_round(wb_batch_cursor *cursor, uint64_t n_tokens) {
    const int n_threads = cursor->plan->n_threads;
    wb_batch_cursor equal = *cursor, leaving = *cursor;
    leaving.share = n_tokens / (uint64_t)n_threads;
    equal.share = leaving.share + 1;
    equal.leaves_over = false;
    const double of_equal = cost_of_round(equal), of_leaving = cost_of_round(leaving);
    const double together = cost_together(n_tokens, n_threads);
    if (together < of_equal && together < of_leaving)
        cursor->share = n_tokens;
    else
        *cursor = of_leaving < of_equal ? leaving : equal;
}

static void begin_round(wb_batch_cursor *cursor) {
    const wb_plan *plan = cursor->plan;
    const uint64_t n_tokens = cursor->n_tokens - cursor->tokens_taken;
    const uint64_t budget = (uint64_t)plan->token_budget;
    cursor->round_end += plan->n_threads;
    cursor->boundary = cursor->tokens_taken;
    cursor->leaves_over = cursor->is_longest_first;
    if (!cursor->is_longest_first) {
        cursor->share = n_tokens / (n_tokens / budget + 1) + 1;
        return;
    }
    const uint64_t fair = n_tokens / (uint64_t)plan->n_threads;
    const uint64_t longest = (uint64_t)valid_length(cursor, text_at(cursor, cursor->next_text));
    const uint64_t least = budget / 2 < LEAST_SHARE ? budget / 2 : LEAST_SHARE;
    cursor->share = fair / 2 < budget ? fair / 2 : budget;
    if (cursor->share < longest) cursor->share = longest;
    if (fair / 2 < least || cursor->share > fair * 3 / 4) begin_last_round(cursor, n_tokens);
}

bool wb_batch_next(wb_batch *batch, wb_batch_cursor *cursor) {
    batch->n_texts = batch->n_rows = 0;
    batch->n_valid = 0;
    if (cursor->next_text == cursor->lists->n_texts) return false;
    if (cursor->next_batch == cursor->round_end) begin_round(cursor);
    add_texts(batch, cursor);
    if (batch->texts && cursor->plan->packing == WB_SORTED) pad_to_longest(batch);
    cursor->next_batch++;
    return true;
}

// The number of batches is counted by walking once without storing.
void wb_batch_cursor_init(wb_batch_cursor *cursor, const wb_plan *plan, const wb_id_lists *lists) {
    *cursor = (wb_batch_cursor){.plan = plan, .lists = lists};
    // A GPU takes one batch after the other, however many threads the host has.
    cursor->is_longest_first =
        plan->packing == WB_PACKED && plan->n_threads > 1 && plan->device == WB_DEVICE_CPU;
    for (int text = 0; text < lists->n_texts; text++)
        cursor->n_tokens += (uint64_t)valid_length(cursor, text);

    wb_batch_cursor walk = *cursor;
    wb_batch counted = {.texts = NULL};
    while (wb_batch_next(&counted, &walk)) continue;
    cursor->n_batches = walk.next_batch;
}
