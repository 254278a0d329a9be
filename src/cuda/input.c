// SPDX-License-Identifier: Apache-2.0
// Batches as one block of memory each, so that one copy carries a batch to the GPU:
//
//     counts | ids [m] | position [m] | texts [n_texts, 2] | items of up to 32 rows | of up to 64
//     | 64 queries of longer ones
//
// Rows and texts past the batch's own, up to the bucket's, are token 0 at position 0 of a text that
// starts at row 0: computed like the others, and never looked at.
#include <string.h>

#include "cuda/state.h"

enum { SHORT_ROWS = 32, MIDDLE_ROWS = 64, ALIGNMENT = 16, PADDING_ID = 0 };

static int round_up(int n, int step) {
    return (n + step - 1) / step * step;
}

// Few buckets cost some rows of nothing, many cost a graph each: steps are at most an eighth of
// the rows from 256 on. Tensor cores take rows by 16 in any case.
static int round_rows(int n) {
    const int least = n < 1 ? 1 : n;
    if (least <= 512) return round_up(least, 32);
    if (least <= 1024) return round_up(least, 64);
    if (least <= 2048) return round_up(least, 128);
    if (least <= 4096) return round_up(least, 256);
    if (least <= 16384) return round_up(least, 512);
    return round_up(least, 64);  // launched one by one: no graph to share
}

static int round_texts(int n) {
    const int least = n < 1 ? 1 : n;
    if (least <= 64) return round_up(least, 16);
    return least <= 512 ? round_up(least, 64) : round_up(least, 256);
}

// The next array of the block.
static size_t place(size_t *end, size_t n_bytes) {
    const size_t at = *end;
    *end = (at + n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

wb_input_layout wb_input_layout_of(int n_rows, int n_texts) {
    wb_input_layout l = {.m = round_rows(n_rows), .n_texts = round_texts(n_texts)};
    // Each text has one item of its class, longer ones one more for every 64 rows.
    const int middle = l.m / (SHORT_ROWS + 1) + 1;
    l.most_items[WB_ITEMS_32] = l.n_texts;
    l.most_items[WB_ITEMS_64] = middle < l.n_texts ? middle : l.n_texts;
    l.most_items[WB_ITEMS_LONG] = l.m / MIDDLE_ROWS + l.n_texts;
    size_t end = 0;
    l.counts = place(&end, WB_N_ITEM_CLASSES * sizeof(int32_t));
    l.ids = place(&end, (size_t)l.m * sizeof(int32_t));
    l.position = place(&end, (size_t)l.m * sizeof(int32_t));
    l.texts = place(&end, (size_t)l.n_texts * 2 * sizeof(int32_t));
    for (int i = 0; i < WB_N_ITEM_CLASSES; i++)
        l.items[i] = place(&end, (size_t)l.most_items[i] * sizeof(wb_item));
    l.n_bytes = end;
    return l;
}

// A text that is cut keeps its last token, [SEP], as the tokenizer would have kept it.
void wb_input_fill_rows(int32_t *ids, int32_t *position, const wb_batch_text *text) {
    memcpy(ids, text->ids, (size_t)text->n_valid * sizeof *ids);
    if (text->n_valid > 0) ids[text->n_valid - 1] = text->ids[text->n_ids - 1];
    for (int i = text->n_valid; i < text->n_rows; i++) ids[i] = PADDING_ID;
    for (int i = 0; i < text->n_rows; i++) position[i] = i;
}

// Where the arrays of a block are, as they are written.
typedef struct writer {
    int32_t *counts, *ids, *position, *texts;
    wb_item *items[WB_N_ITEM_CLASSES];
} writer;

static writer open_writer(void *block, const wb_input_layout *l) {
    char *bytes = block;
    writer w = {.counts = (int32_t *)(void *)(bytes + l->counts),
                .ids = (int32_t *)(void *)(bytes + l->ids),
                .position = (int32_t *)(void *)(bytes + l->position),
                .texts = (int32_t *)(void *)(bytes + l->texts)};
    for (int i = 0; i < WB_N_ITEM_CLASSES; i++)
        w.items[i] = (wb_item *)(void *)(bytes + l->items[i]);
    return w;
}

// The text's items; materialised attention takes all texts 64 queries at a time. Returns its class.
static wb_item_class add_items(const writer *w, const wb_plan *plan, const wb_batch_text *text,
                               int number, int64_t score) {
    const bool is_flash = plan->attention == WB_ATTENTION_FLASH;
    const wb_item_class class = is_flash && text->n_rows <= SHORT_ROWS    ? WB_ITEMS_32
                                : is_flash && text->n_rows <= MIDDLE_ROWS ? WB_ITEMS_64
                                                                          : WB_ITEMS_LONG;
    for (int first = 0; first < text->n_rows; first += MIDDLE_ROWS)
        w->items[class][w->counts[class]++] = (wb_item){.first_row = text->first_row,
                                                        .n_rows = text->n_rows,
                                                        .n_valid = text->n_valid,
                                                        .first_query = first,
                                                        .text = number,
                                                        .score = score};
    return class;
}

int wb_input_fill(void *block, const wb_input_layout *l, const wb_plan *plan,
                  const wb_batch *batch) {
    const writer w = open_writer(block, l);
    int classes = 0;
    int64_t score = 0;
    memset(w.counts, 0, WB_N_ITEM_CLASSES * sizeof *w.counts);
    for (int i = 0; i < batch->n_texts; i++) {
        const wb_batch_text *text = &batch->texts[i];
        wb_input_fill_rows(w.ids + text->first_row, w.position + text->first_row, text);
        w.texts[2 * i] = text->first_row;
        w.texts[2 * i + 1] = text->n_valid;
        if (text->n_valid > 0) classes |= 1 << add_items(&w, plan, text, i, score);
        score += (int64_t)plan->shape.n_heads * text->n_rows * round_up(text->n_rows, 8);
    }
    for (int i = batch->n_rows; i < l->m; i++) w.ids[i] = w.position[i] = 0;
    for (int i = batch->n_texts; i < l->n_texts; i++) w.texts[2 * i] = w.texts[2 * i + 1] = 0;
    return classes;
}
