// SPDX-License-Identifier: Apache-2.0
// Many texts on a played GPU: every text gets its own logits whatever the waves, threads and
// lengths, tokenizing goes on while the GPU computes, and a failure on either side ends the call.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../support/model_folder.h"
#include "engine/engine.h"

static const wb_shape shape = {.n_layers = 1,
                               .d_model = 32,
                               .n_heads = 2,
                               .d_head = 16,
                               .d_ff = 48,
                               .vocab_size = 200,
                               .max_positions = 64,
                               .n_labels = 2,
                               .max_length = 64,
                               .activation = WB_GELU};

enum { N_TEXTS = 30000, N_LABELS = 2, LINE_BYTES = 160 };

typedef struct fixture {
    char dir[64], log[96];
    wb_model *model;
    char *bytes;  // [N_TEXTS, LINE_BYTES]
    wb_text *texts;
    wb_inputs *inputs;
    float *want, *got;  // [N_TEXTS, N_LABELS]
} fixture;

// Texts of 0 to 38 words; every 50th is a pair, and a few are longer than the model reads.
static void invent_texts(fixture *f) {
    wb_random random = {7};
    for (int i = 0; i < N_TEXTS; i++) {
        char *line = f->bytes + (size_t)i * LINE_BYTES;
        const int n_words = (int)wb_random_below(&random, i % 100 == 99 ? 39 : 20);
        size_t n = 0;
        for (int k = 0; k < n_words; k++)
            n += (size_t)snprintf(line + n, LINE_BYTES - n, "w%d ",
                                  57 + (int)wb_random_below(&random, 43));
        f->texts[i] = (wb_text){.text = line, .n_bytes = n};
        if (i % 50 == 0) f->texts[i].pair = "w60 w61", f->texts[i].pair_bytes = 7;
    }
}

static void reference(fixture *f) {
    for (int i = 0; i < N_TEXTS; i++) {
        int n_ids;
        uint32_t hash = 17;
        const int32_t *ids = wb_inputs_ids(f->inputs, i, &n_ids);
        for (int k = 0; k < n_ids; k++) hash = hash * 31 + (uint32_t)ids[k];
        for (int j = 0; j < N_LABELS; j++)
            f->want[i * N_LABELS + j] = (float)((hash >> (5 * j)) & 1023) / 256.0f;
    }
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    strcpy(f->dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f->dir, &shape);
    snprintf(f->log, sizeof f->log, "%s/door.log", f->dir);
    f->bytes = calloc(N_TEXTS, LINE_BYTES);
    f->texts = calloc(N_TEXTS, sizeof *f->texts);
    f->want = calloc((size_t)N_TEXTS * N_LABELS, sizeof *f->want);
    f->got = calloc((size_t)N_TEXTS * N_LABELS, sizeof *f->got);
    if (!f->bytes || !f->texts || !f->want || !f->got) return 1;
    if (wb_model_open(&f->model, f->dir, NULL)) return 1;
    invent_texts(f);
    if (wb_inputs_open(&f->inputs, f->model, f->texts, N_TEXTS, 0, NULL)) return 1;
    reference(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    unlink(f->log);
    wb_inputs_close(f->inputs);
    wb_model_close(f->model);
    folder_remove(f->dir);
    free(f->bytes), free(f->texts), free(f->want), free(f->got);
    free(f);
    return 0;
}

static void play(const fixture *f, const char *script) {
    unlink(f->log);
    assert_int_equal(setenv("FAKE_DOOR", script, 1), 0);
    assert_int_equal(setenv("FAKE_DOOR_LOG", f->log, 1), 0);
    memset(f->got, 0, (size_t)N_TEXTS * N_LABELS * sizeof *f->got);
}

static wb_engine *open_engine(const fixture *f, int n_threads, int token_budget) {
    wb_options options = wb_default_options();
    options.device = "cuda";
    options.technique = "baseline+packed";
    options.n_threads = n_threads;
    options.token_budget = token_budget;
    wb_engine *engine;
    wb_error err = {.message = ""};
    if (wb_engine_open(&engine, f->model, &options, &err)) fail_msg("%s", err.message);
    return engine;
}

// texts[*n], batches[*n] <- of each forward that the door saw.
static void read_log(const fixture *f, int *texts, int *batches, int capacity, int *n) {
    char line[128];
    FILE *file = fopen(f->log, "r");
    assert_non_null(file);
    for (*n = 0; fgets(line, sizeof line, file);)
        if (*n < capacity && sscanf(line, "forward - %d %d", &texts[*n], &batches[*n]) == 2) ++*n;
    fclose(file);
}

enum { MAX_WAVES = 4096 };

static void test_every_text_has_its_logits(void **state) {
    fixture *f = *state;
    static const int threads[] = {1, 2, 5}, budgets[] = {0, 4096, 300, 40, 1};
    for (int t = 0; t < 3; t++)
        for (int b = 0; b < 5; b++) {
            // Batches of one text each take a line of the log each: enough of them once.
            const int n_texts = budgets[b] < 300 && budgets[b] ? 6000 : N_TEXTS;
            play(f, "");
            wb_engine *engine = open_engine(f, threads[t], budgets[b]);
            assert_int_equal(wb_classify(engine, f->texts, n_texts, f->got, NULL), WB_OK);
            assert_memory_equal(f->got, f->want, (size_t)n_texts * N_LABELS * sizeof *f->got);
            wb_engine_close(engine);
        }
}

// Batches of the first and of the largest later wave of a run over the first n_texts.
static void measure_waves(fixture *f, int n_texts, int *first, int *largest) {
    play(f, "ms=30");
    wb_engine *engine = open_engine(f, 2, 8192);
    assert_int_equal(wb_classify(engine, f->texts, n_texts, f->got, NULL), WB_OK);
    assert_memory_equal(f->got, f->want, (size_t)n_texts * N_LABELS * sizeof *f->got);
    wb_engine_close(engine);
    int texts[MAX_WAVES], batches[MAX_WAVES], n, n_seen = 0;
    read_log(f, texts, batches, MAX_WAVES, &n);
    // Whole batches: a text at a time would be right, too, and take for ever.
    assert_in_range(n, 3, 40);
    for (int i = 0; i < n; i++) n_seen += texts[i];
    assert_int_equal(n_seen, n_texts);
    *first = batches[0];
    *largest = 0;
    for (int i = 1; i < n; i++)
        if (batches[i] > *largest) *largest = batches[i];
}

// The first wave is short, because little is encoded yet; while the GPU is busy with it all the
// rest is, and the next wave is as large as waves get. On a machine that is busy elsewhere the
// caller may see the first texts late: it is given several chances.
static void test_tokenizing_goes_on_meanwhile(void **state) {
    int first = 8, largest = 0;
    for (int i = 0; i < 10 && first >= 8; i++) measure_waves(*state, 20000, &first, &largest);
    assert_true(first < 8);
    assert_int_equal(largest, 8);
}

static void test_few_texts_are_one_job(void **state) {
    fixture *f = *state;
    play(f, "");
    wb_engine *engine = open_engine(f, 2, 0);
    assert_int_equal(wb_classify(engine, f->texts, 40, f->got, NULL), WB_OK);
    assert_memory_equal(f->got, f->want, 40 * N_LABELS * sizeof *f->got);
    wb_engine_close(engine);
    int texts[4], batches[4], n;
    read_log(f, texts, batches, 4, &n);
    assert_int_equal(n, 1);
    assert_int_equal(texts[0], 40);
}

static void test_lost_in_the_middle(void **state) {
    fixture *f = *state;
    play(f, "lost=3");
    wb_engine *engine = open_engine(f, 3, 1024);
    wb_error err;
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, f->got, &err), WB_ERR_DEVICE);
    assert_non_null(strstr(err.message, "lost"));
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, f->got, &err), WB_ERR_DEVICE);
    wb_engine_close(engine);
}

// ---- Encoding by many threads, on any device ----

static void test_inputs_of_many_threads(void **state) {
    fixture *f = *state;
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        wb_pool *pool;
        wb_inputs *inputs;
        assert_int_equal(wb_pool_open(&pool, n_threads, NULL), WB_OK);
        assert_int_equal(wb_inputs_encode(&inputs, f->model, f->texts, N_TEXTS, 0, pool, NULL),
                         WB_OK);
        const size_t n = (size_t)wb_inputs_tokens(f->inputs);
        assert_true(wb_inputs_tokens(inputs) == n);
        assert_memory_equal(inputs->ids, f->inputs->ids, n * sizeof *inputs->ids);
        assert_memory_equal(inputs->offsets, f->inputs->offsets,
                            (N_TEXTS + 1) * sizeof *inputs->offsets);
        assert_memory_equal(inputs->by_length, f->inputs->by_length,
                            N_TEXTS * sizeof *inputs->by_length);
        wb_inputs_close(inputs);
        wb_pool_close(pool);
    }
}

static void test_a_padded_plan_runs_at_once(void **state) {
    fixture *f = *state;
    play(f, "");
    wb_options options = wb_default_options();
    options.device = "cuda";
    options.technique = "baseline";
    options.padded_length = 64;
    wb_engine *engine;
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, f->got, NULL), WB_OK);
    assert_memory_equal(f->got, f->want, (size_t)N_TEXTS * N_LABELS * sizeof *f->got);
    wb_engine_close(engine);
    int texts[4], batches[4], n;
    read_log(f, texts, batches, 4, &n);
    assert_int_equal(n, 1);
    assert_int_equal(batches[0], N_TEXTS / 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_text_has_its_logits),
        cmocka_unit_test(test_tokenizing_goes_on_meanwhile),
        cmocka_unit_test(test_few_texts_are_one_job),
        cmocka_unit_test(test_lost_in_the_middle),
        cmocka_unit_test(test_inputs_of_many_threads),
        cmocka_unit_test(test_a_padded_plan_runs_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
