// SPDX-License-Identifier: Apache-2.0
// The public API over a model folder on disk: from texts to the logits of the reference in
// double precision, every technique, every packing, and the edges of each call.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_folder.h"
#include "../../support/model_harness.h"
#include "engine/engine.h"

static const wb_shape shape = {.n_layers = 2,
                               .d_model = 42,
                               .n_heads = 3,
                               .d_head = 14,
                               .d_ff = 70,
                               .vocab_size = 80,
                               .max_positions = 40,
                               .n_labels = 3,
                               .max_length = 40,
                               .activation = WB_GELU};

enum { N_TEXTS = 11, N_LABELS = 3, MAX_RUN_BATCHES = 16 };
static const char *const lines[N_TEXTS] = {
    "abc de f",
    "",
    "w60 w61 w62",
    "a",
    "the quick brown fox jumps over the lazy dog",
    "w79",
    "x y z x y z x y z x y z x y z x y z x y z x y z x y z x y z x y z x y z x y z x y z x y z x y",
    "\xff\xfe",
    "w70 [MASK] w71",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "stop.",
};

typedef struct fixture {
    char dir[64];
    wb_model *model;
    wb_text texts[N_TEXTS];
    float want[N_TEXTS * N_LABELS];  // of the reference
} fixture;

static void reference_of_texts(fixture *f) {
    for (int i = 0; i < N_TEXTS; i++) {
        int32_t ids[64];
        int n_ids;
        double logits[N_LABELS];
        assert_int_equal(wb_tokenize(f->model, &f->texts[i], 0, ids, 64, &n_ids, NULL), WB_OK);
        reference_forward(&shape, logits, ids, n_ids);
        for (int j = 0; j < N_LABELS; j++) f->want[i * N_LABELS + j] = (float)logits[j];
    }
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    strcpy(f->dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f->dir, &shape);
    wb_error err;
    if (wb_model_open(&f->model, f->dir, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int i = 0; i < N_TEXTS; i++)
        f->texts[i] = (wb_text){.text = lines[i], .n_bytes = strlen(lines[i])};
    reference_of_texts(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    wb_model_close(f->model);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static wb_engine *open_engine(const fixture *f, const wb_options *options) {
    wb_engine *engine;
    wb_error err = {.message = ""};
    if (wb_engine_open(&engine, f->model, options, &err)) fail_msg("%s", err.message);
    return engine;
}

static void assert_near(const float *got, const float *want, int n, double allowed) {
    for (int i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= allowed))
            fail_msg("logit %d is %g, not %g", i, (double)got[i], (double)want[i]);
}

// ---- Models and texts ----

static void test_describe(void **state) {
    const fixture *f = *state;
    const wb_model_info *info = wb_model_describe(f->model);
    assert_string_equal(info->path, f->dir);
    assert_int_equal(info->n_layers, 2);
    assert_int_equal(info->d_head, 14);
    assert_int_equal(info->max_length, 40);
    assert_int_equal(info->n_labels, 3);
    assert_false(info->is_regression);
    assert_true(info->has_label_names);
    assert_string_equal(info->labels[2], "label-2");
    assert_string_equal(info->weights_dtype, "f32");
    assert_string_equal(info->weights_file, "model.safetensors");
    const uint64_t d = 42, d_ff = 70;
    const uint64_t layer = 4 * (d * d + d) + 2 * d * d_ff + d_ff + d + 4 * d;
    assert_true(info->n_parameters == (80 + 40) * d + 2 * d + 2 * layer + d * d + d + 3 * d + 3);
    assert_true(strlen(wb_version()) >= 5);
}

static void test_tokenize_capacity(void **state) {
    const fixture *f = *state;
    const wb_text text = {.text = "w60 w61 w62", .n_bytes = 11};
    int32_t ids[40] = {0};
    int n_ids = 0;
    assert_int_equal(wb_tokenize(f->model, &text, 0, ids, 40, &n_ids, NULL), WB_OK);
    assert_int_equal(n_ids, 5);
    assert_int_equal(ids[1], 60);
    assert_int_equal(wb_tokenize(f->model, &text, 0, ids, 5, &n_ids, NULL), WB_OK);
    assert_int_equal(n_ids, 5);
    wb_error err;
    assert_int_equal(wb_tokenize(f->model, &text, 0, ids, 4, &n_ids, &err), WB_ERR_ARGUMENT);
    assert_int_equal(n_ids, 0);
    assert_int_equal(wb_tokenize(f->model, &text, 4, ids, 4, &n_ids, &err), WB_OK);
    assert_int_equal(n_ids, 4);
    assert_int_equal(wb_tokenize(f->model, &text, 2, ids, 40, &n_ids, &err), WB_ERR_ARGUMENT);
    assert_int_equal(wb_tokenize(f->model, &text, -1, ids, 40, &n_ids, &err), WB_ERR_ARGUMENT);
    assert_int_equal(wb_tokenize(f->model, &text, 4000, ids, 40, &n_ids, &err), WB_OK);
}

static void test_inputs(void **state) {
    const fixture *f = *state;
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    assert_int_equal(wb_inputs_count(inputs), N_TEXTS);
    uint64_t n_tokens = 0;
    for (int i = 0; i < N_TEXTS; i++) {
        int32_t ids[40];
        int n_ids, n_listed;
        assert_int_equal(wb_tokenize(f->model, &f->texts[i], 0, ids, 40, &n_ids, NULL), WB_OK);
        const int32_t *listed = wb_inputs_ids(inputs, i, &n_listed);
        assert_int_equal(n_listed, n_ids);
        assert_memory_equal(listed, ids, (size_t)n_ids * sizeof *ids);
        n_tokens += (uint64_t)n_ids;
    }
    assert_true(wb_inputs_tokens(inputs) == n_tokens);
    int n_ids = 7;
    assert_null(wb_inputs_ids(inputs, N_TEXTS, &n_ids));
    assert_int_equal(n_ids, 0);
    assert_null(wb_inputs_ids(inputs, -1, &n_ids));
    wb_inputs_close(inputs);
    wb_inputs_close(NULL);
}

static void test_missing_folder(void **state) {
    (void)state;
    wb_model *model = (wb_model *)&shape;
    wb_error err;
    assert_int_equal(wb_model_open(&model, "/nowhere/at/all", &err), WB_ERR_IO);
    assert_null(model);
    wb_model_close(NULL);
}

// ---- Forward ----

static void test_logits_of_the_reference(void **state) {
    const fixture *f = *state;
    static const char *const techniques[] = {"baseline", "f32-flash", "baseline+packed",
                                             "f32-flash+packed"};
    for (int i = 0; i < 4; i++)
        for (int n_threads = 1; n_threads <= 3; n_threads++) {
            wb_options options = wb_default_options();
            options.technique = techniques[i];
            options.n_threads = n_threads;
            options.batch_size = 2;
            options.token_budget = 30;
            options.sort_batches = n_threads == 2;
            wb_engine *engine = open_engine(f, &options);
            float logits[N_TEXTS * N_LABELS];
            assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, logits, NULL), WB_OK);
            assert_near(logits, f->want, N_TEXTS * N_LABELS, 2e-5);
            wb_engine_close(engine);
        }
}

static void test_every_technique(void **state) {
    const fixture *f = *state;
    int n_run = 0;
    char scales[80];
    snprintf(scales, sizeof scales, "%s/scales.json", f->dir);
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    assert_int_equal(wb_quantize(f->model, inputs, NULL, scales, NULL, NULL), WB_OK);
    wb_inputs_close(inputs);
    for (int i = 0; wb_technique_at(i); i++) {
        wb_options options = wb_default_options();
        options.technique = wb_technique_at(i)->name;
        options.scales = scales;
        wb_engine *engine = NULL;
        wb_error err = {.message = ""};
        const wb_status status = wb_engine_open(&engine, f->model, &options, &err);
        assert_int_equal(wb_technique_runs(options.technique, NULL, NULL), status);
        if (status == WB_ERR_UNSUPPORTED) {
            assert_null(engine);
            assert_true(strlen(err.message) > 10);
            continue;
        }
        assert_int_equal(status, WB_OK);
        float logits[N_TEXTS * N_LABELS];
        assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, logits, NULL), WB_OK);
        // Logits are about 1: int8 moves them by a few percent.
        assert_near(logits, f->want, N_TEXTS * N_LABELS, 0.15);
        wb_engine_close(engine);
        n_run++;
    }
    assert_int_equal(wb_technique_runs("warp-drive", NULL, NULL), WB_ERR_ARGUMENT);
    assert_true(n_run >= 10);  // f32, int8 and mixed run everywhere, padded and packed
    unlink(scales);
}

static void test_no_texts(void **state) {
    const fixture *f = *state;
    wb_engine *engine = open_engine(f, NULL);
    float logits = 77.0f;
    assert_int_equal(wb_classify(engine, NULL, 0, &logits, NULL), WB_OK);
    assert_true(logits == 77.0f);
    wb_engine_close(engine);
    wb_engine_close(NULL);
}

// A text longer than the padding is cut as the tokenizer would have cut it.
static void test_cut_at_the_padding(void **state) {
    const fixture *f = *state;
    wb_options options = wb_default_options();
    options.technique = "baseline";
    options.padded_length = 12;
    wb_engine *engine = open_engine(f, &options);
    float cut_early[N_TEXTS * N_LABELS], cut_late[N_TEXTS * N_LABELS];
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, cut_early, NULL), WB_OK);
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    wb_run run = {.batch_ns = NULL};
    assert_int_equal(wb_forward(engine, inputs, cut_late, &run, NULL), WB_OK);
    assert_memory_equal(cut_early, cut_late, sizeof cut_late);
    assert_true(run.computed_tokens == 12 * N_TEXTS);
    assert_true(run.real_tokens < wb_inputs_tokens(inputs));
    wb_inputs_close(inputs);
    wb_engine_close(engine);
}

static wb_run run_of(const fixture *f, const wb_options *options, uint64_t *batch_ns,
                     int capacity) {
    wb_engine *engine = open_engine(f, options);
    wb_inputs *inputs;
    float logits[N_TEXTS * N_LABELS];
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    wb_run run = {.batch_ns = batch_ns, .batch_capacity = capacity};
    assert_int_equal(wb_forward(engine, inputs, logits, &run, NULL), WB_OK);
    assert_true(run.real_tokens == wb_inputs_tokens(inputs));
    wb_inputs_close(inputs);
    wb_engine_close(engine);
    return run;
}

static void test_what_a_forward_did(void **state) {
    const fixture *f = *state;
    uint64_t batch_ns[MAX_RUN_BATCHES] = {0};
    wb_options options = wb_default_options();
    options.technique = "baseline";
    options.batch_size = 4;
    options.padded_length = 40;
    wb_run run = run_of(f, &options, batch_ns, MAX_RUN_BATCHES);
    assert_int_equal(run.n_batches, 3);
    assert_true(run.computed_tokens == 40 * N_TEXTS);
    for (int i = 0; i < 3; i++) assert_true(batch_ns[i] > 0);
    assert_true(batch_ns[3] == 0);

    options.sort_batches = 1;
    batch_ns[2] = 0;
    run = run_of(f, &options, batch_ns, 2);  // no room for the third duration
    assert_true(run.computed_tokens > run.real_tokens && run.computed_tokens < 40 * N_TEXTS);
    assert_true(batch_ns[2] == 0);

    options.technique = "baseline+packed";
    run = run_of(f, &options, NULL, 0);
    assert_true(run.computed_tokens == run.real_tokens);
}

// ---- Plans ----

static void test_plan_in_words(void **state) {
    const fixture *f = *state;
    wb_options options = wb_default_options();
    options.technique = "i8-dynamic+packed";
    options.token_budget = 500;
    options.n_threads = 2;
    wb_engine *engine = open_engine(f, &options);
    const wb_plan_info *plan = wb_engine_plan(engine);
    assert_string_equal(plan->technique, "i8-dynamic+packed");
    assert_string_equal(plan->precision, "i8-dynamic");
    assert_string_equal(plan->attention, "standard");
    assert_string_equal(plan->packing, "packed");
    assert_string_equal(plan->batch_rule, "500 tokens");
    assert_non_null(strstr(plan->kernels, "gemm_i8_"));
    assert_non_null(strstr(plan->kernels, plan->isa));
    assert_int_equal(plan->n_threads, 2);
    assert_int_equal(plan->n_matrices, 10);
    assert_string_equal(plan->matrices[0].name, "layer 0 qkv");
    assert_string_equal(plan->matrices[0].precision, "i8-dynamic");
    assert_string_equal(plan->matrices[9].precision, "f32");
    // At least a byte a weight of the layers, at most what f32 in full panels takes.
    assert_true(plan->weights_bytes > 2 * (4 * 42 * 42 + 2 * 42 * 70));
    wb_engine_close(engine);
}

static void test_mixed_is_measured(void **state) {
    const fixture *f = *state;
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    for (int has_texts = 0; has_texts < 2; has_texts++) {
        wb_options options = wb_default_options();
        options.technique = "mixed+packed";
        options.calibration = has_texts ? inputs : NULL;
        options.n_threads = 2;
        wb_engine *engine = open_engine(f, &options);
        const wb_plan_info *plan = wb_engine_plan(engine);
        double squares = 0.0;
        for (int i = 0; i < plan->n_matrices; i++) {
            assert_true(plan->matrices[i].error >= 0.0);
            assert_true(plan->matrices[i].cost_ns > 0.0);
            squares += plan->matrices[i].error * plan->matrices[i].error;
        }
        assert_true(squares <= 0.02 * 0.02);
        assert_int_equal(strncmp(plan->precision, "mixed (", 7), 0);
        wb_engine_close(engine);
    }
    wb_inputs_close(inputs);
}

// Relative to the logits' spread around each label's mean, from two f32 arrays.
static double error_of(const float *changed, const float *f32) {
    double moved = 0.0, spread = 0.0;
    for (int label = 0; label < N_LABELS; label++) {
        double mean = 0.0;
        for (int i = 0; i < N_TEXTS; i++) mean += (double)f32[i * N_LABELS + label] / N_TEXTS;
        for (int i = label; i < N_TEXTS * N_LABELS; i += N_LABELS) {
            moved += ((double)changed[i] - (double)f32[i]) * ((double)changed[i] - (double)f32[i]);
            spread += ((double)f32[i] - mean) * ((double)f32[i] - mean);
        }
    }
    return sqrt(moved / spread);
}

// A matrix's error is what a forward with just that matrix changed shows.
static void test_mixed_errors_are_of_single_changes(void **state) {
    const fixture *f = *state;
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    wb_options options = wb_default_options();
    options.technique = "mixed+packed";
    options.calibration = inputs;
    wb_engine *engine = open_engine(f, &options);
    int n_changed = 0;
    for (int i = 0; i < engine->plan.n_matrices; i++) {
        const wb_matrix *matrix = &engine->plan.matrices[i];
        if (matrix->precision == WB_F32) continue;
        float f32[N_TEXTS * N_LABELS], changed[N_TEXTS * N_LABELS];
        harness_options alone = {.technique = "baseline+packed"};
        harness *h = harness_open(&shape, &alone);
        harness_forward(h, &inputs->lists, f32, NULL);
        harness_close(h);
        alone.has_change = true;
        alone.changed_matrix = i;
        alone.changed_precision = matrix->precision;
        h = harness_open(&shape, &alone);
        harness_forward(h, &inputs->lists, changed, NULL);
        harness_close(h);
        assert_true(fabs(matrix->error - error_of(changed, f32)) < 1e-9);
        n_changed++;
    }
    wb_engine_close(engine);
    wb_inputs_close(inputs);
    if (n_changed == 0) skip();  // matrices this small may be fastest in f32
}

static void refuse(const fixture *f, const wb_options *options, wb_status want) {
    wb_engine *engine = (wb_engine *)f->model;
    wb_error err = {.message = ""};
    assert_int_equal(wb_engine_open(&engine, f->model, options, &err), want);
    assert_null(engine);
    assert_int_equal(err.status, want);
    assert_true(strlen(err.message) > 10);
}

static void test_refusals(void **state) {
    const fixture *f = *state;
    wb_options options = wb_default_options();
    options.technique = "warp-drive";
    refuse(f, &options, WB_ERR_ARGUMENT);
    options = wb_default_options();
    options.n_threads = -2;
    refuse(f, &options, WB_ERR_ARGUMENT);
    options = wb_default_options();
    options.technique = "fp8";
    refuse(f, &options, WB_ERR_UNSUPPORTED);

    wb_model *other;
    assert_int_equal(wb_model_open(&other, f->dir, NULL), WB_OK);
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, other, f->texts, 2, 0, NULL), WB_OK);
    wb_engine *engine = open_engine(f, NULL);
    float logits[2 * N_LABELS];
    assert_int_equal(wb_forward(engine, inputs, logits, NULL, NULL), WB_ERR_ARGUMENT);
    options = wb_default_options();
    options.calibration = inputs;
    refuse(f, &options, WB_ERR_ARGUMENT);
    wb_engine_close(engine);
    wb_inputs_close(inputs);
    wb_model_close(other);
}

static void test_machine(void **state) {
    (void)state;
    wb_machine machine;
    wb_machine_describe(&machine);
    assert_true(machine.n_cores >= 1 && machine.n_threads >= machine.n_cores);
    assert_true(strlen(machine.isa) > 0);
    const char *old = getenv("WATTBERT_ISA");
    assert_int_equal(setenv("WATTBERT_ISA", "scalar", 1), 0);
    wb_machine_describe(&machine);
    assert_string_equal(machine.isa, "scalar");
    assert_string_equal(machine.features, "");
    if (old)
        setenv("WATTBERT_ISA", old, 1);
    else
        unsetenv("WATTBERT_ISA");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_tokenize_capacity),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_missing_folder),
        cmocka_unit_test(test_logits_of_the_reference),
        cmocka_unit_test(test_every_technique),
        cmocka_unit_test(test_no_texts),
        cmocka_unit_test(test_cut_at_the_padding),
        cmocka_unit_test(test_what_a_forward_did),
        cmocka_unit_test(test_plan_in_words),
        cmocka_unit_test(test_mixed_is_measured),
        cmocka_unit_test(test_mixed_errors_are_of_single_changes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_machine),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
