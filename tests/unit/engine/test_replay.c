// SPDX-License-Identifier: Apache-2.0
// Replaying components: what each writes is what the forward wrote there, however often it runs,
// and the capture stays within its memory. A model of one label is a regression all the way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_folder.h"
#include "engine/engine.h"

static const wb_shape shape = {.n_layers = 3,
                               .d_model = 30,
                               .n_heads = 2,
                               .d_head = 15,
                               .d_ff = 33,
                               .vocab_size = 70,
                               .max_positions = 20,
                               .n_labels = 1,
                               .max_length = 20,
                               .activation = WB_SILU};

enum { N_TEXTS = 9 };

typedef struct fixture {
    char dir[64];
    wb_model *model;
    wb_inputs *inputs;
} fixture;

static int set_up(void **state) {
    static fixture f;
    strcpy(f.dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f.dir, &shape);
    if (wb_model_open(&f.model, f.dir, NULL)) return 1;
    static const wb_text texts[N_TEXTS] = {
        {.text = "a b c", .n_bytes = 5},
        {.text = "", .n_bytes = 0},
        {.text = "w66 w67", .n_bytes = 7},
        {.text = "hello there", .n_bytes = 11},
        {.text = "d", .n_bytes = 1},
        {.text = "x y z x y z", .n_bytes = 11},
        {.text = "one two", .n_bytes = 7},
        {.text = "abc", .n_bytes = 3},
        {.text = "w58", .n_bytes = 3, .pair = "w59", .pair_bytes = 3}};
    if (wb_inputs_open(&f.inputs, f.model, texts, N_TEXTS, 0, NULL)) return 1;
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    wb_inputs_close(f->inputs);
    wb_model_close(f->model);
    folder_remove(f->dir);
    return 0;
}

static wb_engine *open_engine(const fixture *f, const char *technique, int n_threads) {
    wb_options options = wb_default_options();
    options.technique = technique;
    options.n_threads = n_threads;
    options.batch_size = N_TEXTS;
    options.padded_length = 20;
    wb_engine *engine;
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    return engine;
}

// logits[N_TEXTS] <- the rest of the forward from what a component left in the workspace.
static void finish(wb_engine *engine, const fixture *f, wb_component component, float *logits) {
    const wb_team team = wb_engine_team(engine, false, 0);
    wb_workspace *s = &engine->workspaces[0];
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &engine->plan, &f->inputs->lists);
    assert_true(wb_batch_next(&s->batch, &cursor));
    const bool is_pruned = engine->plan.is_last_layer_pruned;
    float *x = is_pruned ? s->pooled : s->x;
    const int n_rows = is_pruned ? s->batch.n_texts : s->batch.n_rows;
    if (component == WB_EMBEDDINGS) {
        wb_forward_from(&team, &s->batch, 0, s->x, s->logits);
    } else if (component == WB_ATTENTION || component == WB_FFN) {
        if (component == WB_ATTENTION) wb_ffn_forward(&team, shape.n_layers - 1, x, x, n_rows);
        if (!is_pruned) wb_pool_first_rows(&s->batch, shape.d_model, s->pooled, x);
        wb_head_forward(&team, s->logits, s->pooled, N_TEXTS);
    }
    memcpy(logits, s->logits, N_TEXTS * sizeof *logits);
}

// What a replay does not write again must not pass for its result.
static void forget(wb_engine *engine) {
    const wb_workspace *s = &engine->workspaces[0];
    const int d = shape.d_model;
    for (int i = 0; i < engine->plan.max_rows * d; i++) s->x[i] = NAN;
    for (int i = 0; i < engine->plan.max_texts * d; i++) s->pooled[i] = NAN;
    for (int i = 0; i < engine->plan.max_texts; i++) s->logits[i] = NAN;
}

static void test_components_leave_what_the_forward_does(void **state) {
    const fixture *f = *state;
    static const char *const techniques[] = {"baseline", "f32-flash+packed", "i8-dynamic+packed",
                                             "mixed"};
    for (int i = 0; i < 4; i++) {
        wb_engine *engine = open_engine(f, techniques[i], 1);
        float want[N_TEXTS], got[N_TEXTS];
        assert_int_equal(wb_forward(engine, f->inputs, want, NULL, NULL), WB_OK);
        wb_replay *replay;
        assert_int_equal(wb_replay_open(&replay, engine, f->inputs, 1 << 24, NULL), WB_OK);
        assert_int_equal(wb_replay_texts(replay), N_TEXTS);
        assert_true(wb_replay_tokens(replay) == wb_inputs_tokens(f->inputs));
        for (int round = 0; round < 2; round++)
            for (int c = WB_EMBEDDINGS; c <= WB_WHOLE; c++) {
                forget(engine);
                assert_int_equal(wb_replay_run(replay, (wb_component)c, NULL), WB_OK);
                finish(engine, f, (wb_component)c, got);
                assert_memory_equal(got, want, sizeof want);
            }
        wb_replay_close(replay);
        wb_engine_close(engine);
    }
}

static void test_threads(void **state) {
    const fixture *f = *state;
    static const char *const techniques[] = {"baseline", "f32-flash+packed"};
    for (int i = 0; i < 2; i++)
        for (int n_threads = 2; n_threads <= 5; n_threads++) {
            wb_engine *engine = open_engine(f, techniques[i], n_threads);
            wb_replay *replay;
            assert_int_equal(wb_replay_open(&replay, engine, f->inputs, 1 << 24, NULL), WB_OK);
            for (int c = WB_EMBEDDINGS; c <= WB_WHOLE; c++)
                assert_int_equal(wb_replay_run(replay, (wb_component)c, NULL), WB_OK);
            wb_replay_close(replay);
            wb_engine_close(engine);
        }
}

static void test_memory_limit(void **state) {
    const fixture *f = *state;
    wb_options options = wb_default_options();
    options.token_budget = 12;
    options.n_threads = 1;
    wb_engine *engine;
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    wb_replay *replay;
    // At least one batch, whatever the limit.
    assert_int_equal(wb_replay_open(&replay, engine, f->inputs, 0, NULL), WB_OK);
    const int fewest = wb_replay_texts(replay);
    assert_true(fewest >= 1 && fewest < N_TEXTS);
    wb_replay_close(replay);
    // 12 rows of 7 arrays of 30 floats are 10 KB: some batches fit 30 KB, not all.
    assert_int_equal(wb_replay_open(&replay, engine, f->inputs, 30000, NULL), WB_OK);
    assert_true(wb_replay_texts(replay) > fewest && wb_replay_texts(replay) < N_TEXTS);
    wb_replay_close(replay);
    wb_engine_close(engine);
}

static void test_refusals(void **state) {
    const fixture *f = *state;
    wb_engine *engine = open_engine(f, "f32-flash+packed", 1);
    wb_inputs *none;
    assert_int_equal(wb_inputs_open(&none, f->model, NULL, 0, 0, NULL), WB_OK);
    wb_replay *replay;
    assert_int_equal(wb_replay_open(&replay, engine, none, 1000, NULL), WB_ERR_ARGUMENT);
    assert_null(replay);
    assert_int_equal(wb_replay_open(&replay, engine, f->inputs, 1000, NULL), WB_OK);
    assert_int_equal(wb_replay_run(replay, (wb_component)17, NULL), WB_ERR_ARGUMENT);
    wb_replay_close(replay);
    wb_replay_close(NULL);
    wb_inputs_close(none);
    wb_engine_close(engine);
}

static void test_one_label_is_regression(void **state) {
    const fixture *f = *state;
    assert_true(wb_model_describe(f->model)->is_regression);
    wb_engine *engine = open_engine(f, "f32-flash+packed", 1);
    float got[N_TEXTS];
    assert_int_equal(wb_forward(engine, f->inputs, got, NULL, NULL), WB_OK);
    for (int i = 0; i < N_TEXTS; i++) {
        int n_ids;
        const int32_t *ids = wb_inputs_ids(f->inputs, i, &n_ids);
        double want;
        reference_forward(&shape, &want, ids, n_ids);
        assert_true(fabs((double)got[i] - want) < 2e-5);
    }
    wb_engine_close(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components_leave_what_the_forward_does),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_label_is_regression),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
