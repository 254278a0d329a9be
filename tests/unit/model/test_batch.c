// SPDX-License-Identifier: Apache-2.0
// Forming batches: every text once, within all limits, padded as the rule says, and packed
// batches in rounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_harness.h"

enum { MAX_BATCH = 1024 };

static wb_plan plan_of(wb_packing packing) {
    return (wb_plan){.shape = {.max_length = 40},
                     .packing = packing,
                     .n_threads = 3,
                     .batch_size = 5,
                     .padded_length = 12,
                     .token_budget = 64,
                     .max_rows = packing == WB_SORTED ? 200 : 64,
                     .max_texts = packing == WB_PACKED ? 64 : 5};
}

static wb_plan roomy_plan(void) {
    wb_plan plan = plan_of(WB_PACKED);
    plan.token_budget = plan.max_rows = plan.max_texts = 1000;
    return plan;
}

static void check_text(const wb_plan *plan, const texts *t, const wb_batch_text *text) {
    const int length = (int)text_length(t, text->index);
    const int limit = plan->packing == WB_PADDED ? plan->padded_length : 40;
    assert_ptr_equal(text->ids, t->ids + t->offsets[text->index]);
    assert_int_equal(text->n_ids, length);
    assert_int_equal(text->n_valid, length < limit ? length : limit);
}

static void check_batch(const wb_plan *plan, const texts *t, const wb_batch *batch, int *n_seen) {
    int rows = 0;
    uint64_t valid = 0;
    for (int i = 0; i < batch->n_texts; i++) {
        const wb_batch_text *text = &batch->texts[i];
        check_text(plan, t, text);
        n_seen[text->index]++;
        assert_int_equal(text->first_row, rows);
        const int longest = batch->texts[batch->n_texts - 1].n_valid;
        const int want = plan->packing == WB_PADDED   ? plan->padded_length
                         : plan->packing == WB_SORTED ? longest
                                                      : text->n_valid;
        assert_int_equal(text->n_rows, want);
        rows += text->n_rows;
        valid += (uint64_t)text->n_valid;
    }
    assert_int_equal(batch->n_rows, rows);
    assert_true(batch->n_valid == valid);
    assert_true(batch->n_rows <= plan->max_rows && batch->n_texts <= plan->max_texts);
}

static void walk(const wb_plan *plan, const texts *t) {
    wb_batch_text of_batch[MAX_BATCH];
    wb_batch batch = {.texts = of_batch};
    int n_seen[MAX_TEXTS] = {0}, n_batches = 0;
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, plan, &t->lists);
    for (; wb_batch_next(&batch, &cursor); n_batches++) check_batch(plan, t, &batch, n_seen);
    assert_int_equal(cursor.n_batches, n_batches);
    for (int i = 0; i < t->lists.n_texts; i++) assert_int_equal(n_seen[i], 1);
    assert_false(wb_batch_next(&batch, &cursor));
}

static void test_every_text_once(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        for (int packing = WB_PADDED; packing <= WB_PACKED; packing++) {
            texts t;
            texts_fill(&t, (int)(seed % 33), 40, 100, seed);
            const wb_plan plan = plan_of((wb_packing)packing);
            walk(&plan, &t);
        }
}

static void test_no_texts(void **state) {
    (void)state;
    texts t;
    texts_fill(&t, 0, 40, 100, 1);
    const wb_plan plan = plan_of(WB_PACKED);
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &plan, &t.lists);
    assert_int_equal(cursor.n_batches, 0);
}

static void test_longer_than_the_budget(void **state) {
    (void)state;
    texts t;
    texts_fill(&t, 8, 40, 100, 3);
    wb_plan plan = plan_of(WB_PACKED);
    plan.token_budget = 10;  // max_rows still holds the longest text
    walk(&plan, &t);
}

// Rounds of a batch for each thread, of half of what is left while that is 64 tokens a thread, then
// of all that is left, give or take a text. Longer texts come before shorter ones.
static void test_packed_batches_come_in_rounds(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        texts t;
        texts_fill(&t, 240, 16, 100, seed);
        const wb_plan plan = roomy_plan();
        wb_batch_text of_batch[MAX_BATCH];
        wb_batch batch = {.texts = of_batch};
        wb_batch_cursor cursor;
        wb_batch_cursor_init(&cursor, &plan, &t.lists);
        int left = (int)t.offsets[240], n_rounds = 0, longest = 16;
        for (bool is_last = false; !is_last; n_rounds++) {
            const int fair = left / plan.n_threads;
            is_last = fair / 2 < 64;
            const int share = is_last ? fair : fair / 2;
            for (int i = 0; i < plan.n_threads; i++) {
                assert_true(wb_batch_next(&batch, &cursor));
                assert_in_range(batch.n_rows, share - longest, is_last ? share + longest : share);
                assert_true(batch.texts[0].n_rows <= longest);
                longest = batch.texts[batch.n_texts - 1].n_rows;
                left -= batch.n_rows;
            }
        }
        assert_in_range(n_rounds, 3, 6);
        assert_int_equal(wb_batch_next(&batch, &cursor), left > 0);
        assert_int_equal(batch.n_rows, left);
        assert_int_equal(cursor.n_batches, plan.n_threads * n_rounds + (left > 0));
        assert_false(wb_batch_next(&batch, &cursor));
    }
}

// Batches of texts of the given lengths on two threads: their rows.
static void check_rows(const int *lengths, int n_texts, const int *rows, int n_batches) {
    texts t;
    texts_of_lengths(&t, lengths, n_texts);
    wb_plan plan = roomy_plan();
    plan.n_threads = 2;
    plan.shape.max_length = 512;
    wb_batch_text of_batch[MAX_BATCH];
    wb_batch batch = {.texts = of_batch};
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &plan, &t.lists);
    assert_int_equal(cursor.n_batches, n_batches);
    for (int i = 0; i < n_batches; i++) {
        assert_true(wb_batch_next(&batch, &cursor));
        assert_int_equal(batch.n_rows, rows[i]);
    }
    assert_false(wb_batch_next(&batch, &cursor));
}

#define CHECK_ROWS(lengths, rows) \
    check_rows(lengths, sizeof lengths / sizeof *lengths, rows, sizeof rows / sizeof *rows)

// Shares have room for whole texts, and both threads work on the odd one.
static void test_few_texts(void **state) {
    (void)state;
    const int lengths[] = {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128};
    const int rows[] = {384, 384, 128, 128, 128, 128, 128, 128, 128};
    CHECK_ROWS(lengths, rows);
}

// Where one thread would be done long before the other, both work on all of it; so they do where a
// thread each would read the weights for a few rows. Else a thread each, as equal as texts allow,
// or what makes them unequal is left to both.
static void test_last_rounds(void **state) {
    (void)state;
    const int unlike[] = {8, 300, 16}, unlike_rows[] = {324};
    CHECK_ROWS(unlike, unlike_rows);
    const int brief[] = {8, 9, 10, 11}, brief_rows[] = {38};
    CHECK_ROWS(brief, brief_rows);
    const int alike[] = {60, 100, 40}, alike_rows[] = {100, 100};
    CHECK_ROWS(alike, alike_rows);
    const int nearly[] = {62, 20, 10, 30}, nearly_rows[] = {62, 60};
    CHECK_ROWS(nearly, nearly_rows);
    const int odd[] = {90, 90, 90}, odd_rows[] = {90, 90, 90};
    CHECK_ROWS(odd, odd_rows);
}

// One thread waits for nobody, so its batches are as large as fit, and equal.
static void test_batches_of_one_thread(void **state) {
    (void)state;
    texts t;
    texts_fill(&t, 240, 16, 100, 3);
    wb_plan plan = roomy_plan();
    plan.n_threads = 1;
    wb_batch_text of_batch[MAX_BATCH];
    wb_batch batch = {.texts = of_batch};
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &plan, &t.lists);
    const int n_tokens = (int)t.offsets[240];
    assert_int_equal(cursor.n_batches, n_tokens / 1000 + 1);
    while (wb_batch_next(&batch, &cursor))
        assert_in_range(batch.n_rows, n_tokens / cursor.n_batches - 16,
                        n_tokens / cursor.n_batches + 16);
}

// A GPU takes batches one by one: host threads do not cut them.
static void test_batches_of_a_gpu(void **state) {
    (void)state;
    texts t;
    texts_fill(&t, 48, 16, 100, 3);
    wb_plan plan = roomy_plan();
    plan.device = WB_DEVICE_CUDA;
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &plan, &t.lists);
    assert_int_equal(cursor.n_batches, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_text_once),
        cmocka_unit_test(test_no_texts),
        cmocka_unit_test(test_longer_than_the_budget),
        cmocka_unit_test(test_packed_batches_come_in_rounds),
        cmocka_unit_test(test_few_texts),
        cmocka_unit_test(test_last_rounds),
        cmocka_unit_test(test_batches_of_one_thread),
        cmocka_unit_test(test_batches_of_a_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
