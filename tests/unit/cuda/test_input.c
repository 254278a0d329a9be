// SPDX-License-Identifier: Apache-2.0
// A batch's block as the kernels read it, on the host alone: no GPU is needed. Every row of every
// text is there once, every query belongs to one item, all stays inside the block, and buckets only
// grow with what they hold.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_harness.h"
#include "cuda/state.h"

enum { MOST_ROWS = 4096 };

static wb_plan plan_of(wb_packing packing, wb_attention_kind attention) {
    return (wb_plan){.shape = {.max_length = 400, .n_heads = 3},
                     .attention = attention,
                     .packing = packing,
                     .n_threads = 1,
                     .batch_size = 5,
                     .padded_length = 90,
                     .token_budget = 700,
                     .max_rows = packing == WB_PACKED ? 700 : 2000,
                     .max_texts = packing == WB_PACKED ? 700 : 5};
}

static const int32_t *ints_at(const void *block, size_t offset) {
    return (const int32_t *)(const void *)((const char *)block + offset);
}

// Each row holds its text's id and its place in the text.
static void check_rows(const void *block, const wb_input_layout *l, const wb_batch *batch) {
    const int32_t *ids = ints_at(block, l->ids), *position = ints_at(block, l->position);
    const int32_t *listed = ints_at(block, l->texts);
    for (int i = 0; i < batch->n_texts; i++) {
        const wb_batch_text *text = &batch->texts[i];
        assert_int_equal(listed[2 * i], text->first_row);
        assert_int_equal(listed[2 * i + 1], text->n_valid);
        for (int row = 0; row < text->n_rows; row++) {
            const int32_t want = row >= text->n_valid       ? 0
                                 : row == text->n_valid - 1 ? text->ids[text->n_ids - 1]
                                                            : text->ids[row];
            assert_int_equal(ids[text->first_row + row], want);
            assert_int_equal(position[text->first_row + row], row);
        }
    }
    for (int row = batch->n_rows; row < l->m; row++) assert_int_equal(ids[row] | position[row], 0);
}

// Every query in one item of the right class, no two texts' scores in the same place.
static void check_items(const void *block, const wb_input_layout *l, const wb_batch *batch,
                        int classes, bool is_flash) {
    static int n_seen[MOST_ROWS];
    memset(n_seen, 0, sizeof n_seen);
    const int32_t *counts = ints_at(block, l->counts);
    for (int class = 0; class < WB_N_ITEM_CLASSES; class ++) {
        const wb_item *items =
            (const wb_item *)(const void *)((const char *)block + l->items[class]);
        assert_int_equal(classes >> class & 1, counts[class] > 0);
        assert_true(counts[class] <= l->most_items[class]);
        for (int i = 0; i < counts[class]; i++) {
            const wb_item *item = &items[i];
            const wb_batch_text *text = &batch->texts[item->text];
            assert_int_equal(item->first_row, text->first_row);
            assert_int_equal(item->n_rows, text->n_rows);
            assert_int_equal(item->n_valid, text->n_valid);
            if (is_flash && class != WB_ITEMS_LONG)
                assert_true(item->n_rows <= (class == WB_ITEMS_32 ? 32 : 64));
            for (int q = item->first_query; q < item->n_rows && q < item->first_query + 64; q++)
                n_seen[item->first_row + q]++;
        }
    }
    for (int row = 0; row < batch->n_rows; row++) assert_int_equal(n_seen[row], 1);
}

static void test_fill(void **state) {
    (void)state;
    static texts t;
    static wb_batch_text of_batch[1024];
    static uint64_t block[1 << 16];
    for (int round = 0; round < 60; round++) {
        const bool is_flash = round % 2;
        const wb_plan plan =
            plan_of((wb_packing)(round % 3), is_flash ? WB_ATTENTION_FLASH : WB_ATTENTION_STANDARD);
        texts_fill(&t, 1 + round % 20, round % 5 ? 60 : 200, 1000, (uint64_t)round);
        wb_batch batch = {.texts = of_batch};
        wb_batch_cursor cursor;
        wb_batch_cursor_init(&cursor, &plan, &t.lists);
        while (wb_batch_next(&batch, &cursor)) {
            const wb_input_layout l = wb_input_layout_of(batch.n_rows, batch.n_texts);
            assert_true(l.m >= batch.n_rows && l.n_texts >= batch.n_texts);
            assert_true(l.n_bytes + 8 <= sizeof block);
            memset(block, 0x5a, sizeof block);
            const int classes = wb_input_fill(block, &l, &plan, &batch);
            assert_int_equal(((uint8_t *)block)[l.n_bytes], 0x5a);
            check_rows(block, &l, &batch);
            check_items(block, &l, &batch, classes, is_flash);
        }
    }
}

// The workspace is sized by the largest batch's bucket.
static void test_buckets_grow(void **state) {
    (void)state;
    wb_input_layout before = wb_input_layout_of(0, 0);
    for (int n = 1; n < 70000; n += n < 3000 ? 1 : 37) {
        const wb_input_layout now = wb_input_layout_of(n, n);
        assert_true(now.m >= n && now.n_texts >= n && now.m % 16 == 0 && now.n_texts % 16 == 0);
        assert_true(now.m >= before.m && now.n_texts >= before.n_texts);
        assert_true(now.n_bytes >= before.n_bytes && now.n_bytes % 16 == 0);
        assert_true(n <= 256 || now.m <= n + n / 8 + 1);
        before = now;
    }
}

// Few rows travel in a launch's arguments: each attends to its own text's, whose first row is
// known.
static void test_whole(void **state) {
    static texts t;
    static wb_batch_text of_batch[MAX_TEXTS];
    (void)state;
    for (int round = 0; round < 50; round++) {
        wb_plan plan = plan_of(round % 5 ? WB_PACKED : WB_PADDED, WB_ATTENTION_FLASH);
        plan.token_budget = WB_WHOLE_ROWS;
        plan.padded_length = 11;
        plan.batch_size = 2;
        texts_fill(&t, 1 + round % 7, 20, 1000, (uint64_t)round);
        wb_batch batch = {.texts = of_batch};
        wb_batch_cursor cursor;
        wb_batch_cursor_init(&cursor, &plan, &t.lists);
        while (wb_batch_next(&batch, &cursor)) {
            wb_gpu gpu = {.plan = &plan, .has_whole = true};
            assert_true(wb_gpu_whole_takes(&gpu, &batch));
            memset(&gpu.whole, 0x5a, sizeof gpu.whole);
            wb_gpu_whole_fill(&gpu.whole, &batch);
            const wb_whole_args *args = &gpu.whole;
            assert_int_equal(args->m, batch.n_rows);
            assert_int_equal(args->n_texts, batch.n_texts);
            for (int i = 0; i < batch.n_texts; i++) {
                const wb_batch_text *text = &batch.texts[i];
                for (int row = 0; row < text->n_rows; row++) {
                    const int at = text->first_row + row;
                    assert_int_equal(args->position[at], row);
                    assert_int_equal(args->first_key[at], text->first_row);
                    assert_int_equal(args->end_key[at], text->first_row + text->n_valid);
                    assert_int_equal(args->text[at], row ? -1 : i);
                    if (row < text->n_valid - 1) assert_int_equal(args->ids[at], text->ids[row]);
                    if (row >= text->n_valid) assert_int_equal(args->ids[at], 0);
                }
            }
            gpu.has_whole = false;
            assert_false(wb_gpu_whole_takes(&gpu, &batch));
        }
    }
}

// What does not fit is left to the graphs.
static void test_whole_refuses(void **state) {
    (void)state;
    wb_batch_text list[WB_WHOLE_ROWS + 1] = {{.n_valid = 1, .n_rows = 1}};
    const wb_gpu gpu = {.has_whole = true};
    wb_batch batch = {.n_texts = 1, .n_rows = 1, .texts = list};
    assert_true(wb_gpu_whole_takes(&gpu, &batch));
    batch.n_rows = WB_WHOLE_ROWS + 1;
    assert_false(wb_gpu_whole_takes(&gpu, &batch));
    batch.n_rows = 1;
    list[0].n_valid = 0;
    assert_false(wb_gpu_whole_takes(&gpu, &batch));
    batch = (wb_batch){.texts = list};
    assert_false(wb_gpu_whole_takes(&gpu, &batch));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_whole_refuses),
        cmocka_unit_test(test_buckets_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
