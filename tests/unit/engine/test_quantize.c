// SPDX-License-Identifier: Apache-2.0
// wb_quantize over a random model: the artefact is the same with any number of threads, its ranges
// hold what the products see, its errors are what a run shows, and i8-static gives the same bits on
// every instruction set.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_folder.h"
#include "../../support/model_harness.h"
#include "engine/artefact.h"
#include "engine/statistics.h"

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

enum { MOST_TEXTS = 120, N_LABELS = 3 };

// A calibration is most of these tests' time, so two are made once: by the defaults (path, in the
// model's own folder) and with a bound that nothing exceeds (wide_path). Others go to new_path.
typedef struct fixture {
    char dir[64], path[80], wide_path[80], new_path[80];
    wb_quantize_result wide;
    wb_model *model;
    wb_text texts[MOST_TEXTS];
    char lines[MOST_TEXTS][80];
    wb_inputs *inputs;
} fixture;

static wb_quantize_result quantize(const fixture *f, const wb_quantize_options *options,
                                   const char *path) {
    wb_quantize_result result;
    wb_error err = {.message = ""};
    if (wb_quantize(f->model, f->inputs, options, path, &result, &err)) fail_msg("%s", err.message);
    return result;
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    strcpy(f->dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f->dir, &shape);
    snprintf(f->path, sizeof f->path, "%s/scales.json", f->dir);
    snprintf(f->wide_path, sizeof f->wide_path, "%s/wide.json", f->dir);
    snprintf(f->new_path, sizeof f->new_path, "%s/new.json", f->dir);
    wb_error err;
    if (wb_model_open(&f->model, f->dir, &err)) return 1;
    wb_random random = {.state = 9};
    for (int i = 0; i < MOST_TEXTS; i++) {
        const int n = 1 + (int)wb_random_below(&random, 12);
        for (int j = 0; j < n; j++)
            snprintf(f->lines[i] + strlen(f->lines[i]), 16, "w%d ",
                     57 + (int)wb_random_below(&random, 23));
        f->texts[i] = (wb_text){.text = f->lines[i], .n_bytes = strlen(f->lines[i])};
    }
    *state = f;
    if (wb_inputs_open(&f->inputs, f->model, f->texts, MOST_TEXTS, 0, NULL)) return 1;
    wb_quantize_options options = wb_default_quantize_options();
    options.max_error = 10.0;
    f->wide = quantize(f, &options, f->wide_path);
    (void)quantize(f, NULL, f->path);
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    wb_inputs_close(f->inputs);
    wb_model_close(f->model);
    unlink(f->path);
    unlink(f->wide_path);
    unlink(f->new_path);
    folder_remove(f->dir);
    free(f);
    return 0;
}

static wb_file artefact_at(const char *path) {
    wb_file file;
    assert_int_equal(wb_file_read(&file, path, 1 << 24, NULL), WB_OK);
    return file;
}

static void see_progress(void *context, double share) {
    double *last = context;
    assert_true(share > *last);
    *last = share;
}

static void test_same_everywhere(void **state) {
    const fixture *f = *state;
    const char *old = getenv("WATTBERT_ISA");
    wb_quantize_options options = wb_default_quantize_options();
    options.texts_name = "texts";
    wb_file files[3];
    for (int i = 0; i < 3; i++) {
        double last = 0.0;
        options.n_threads = 1 + i;
        if (i == 2) setenv("WATTBERT_ISA", "scalar", 1);
        options.on_progress = see_progress;
        options.context = &last;
        const wb_quantize_result result = quantize(f, &options, f->new_path);
        assert_int_equal(result.n_texts, MOST_TEXTS);
        assert_true(result.n_tokens == wb_inputs_tokens(f->inputs));
        assert_int_equal(result.n_matrices, 8);
        assert_true(result.i8_error <= options.max_error);
        assert_true(result.fp8_error <= options.max_error);
        assert_true(last > 0.5);
        files[i] = artefact_at(f->new_path);
        assert_int_equal(files[i].n_bytes, files[0].n_bytes);
        assert_memory_equal(files[i].data, files[0].data, files[0].n_bytes);
    }
    for (int i = 0; i < 3; i++) wb_file_close(&files[i]);
    if (old)
        setenv("WATTBERT_ISA", old, 1);
    else
        unsetenv("WATTBERT_ISA");
}

// The logits of a technique; every kernel set must give the same.
static void forward(const fixture *f, const char *technique, const char *scales, float *logits) {
    wb_options options = wb_default_options();
    options.technique = technique;
    options.scales = scales;
    options.padded_length = 40;
    wb_engine *engine;
    wb_error err = {.message = ""};
    if (wb_engine_open(&engine, f->model, &options, &err)) fail_msg("%s", err.message);
    assert_int_equal(wb_forward(engine, f->inputs, logits, NULL, NULL), WB_OK);
    wb_engine_close(engine);
}

static double error_of(const float *changed, const float *f32) {
    double moved = 0.0, spread = 0.0;
    for (int label = 0; label < N_LABELS; label++) {
        double mean = 0.0;
        for (int i = 0; i < MOST_TEXTS; i++) mean += (double)f32[i * N_LABELS + label] / MOST_TEXTS;
        for (int i = label; i < MOST_TEXTS * N_LABELS; i += N_LABELS) {
            moved += ((double)changed[i] - (double)f32[i]) * ((double)changed[i] - (double)f32[i]);
            spread += ((double)f32[i] - mean) * ((double)f32[i] - mean);
        }
    }
    return sqrt(moved / spread);
}

static void test_error_is_what_a_run_shows(void **state) {
    const fixture *f = *state;
    float f32[MOST_TEXTS * N_LABELS], i8[MOST_TEXTS * N_LABELS], padded[MOST_TEXTS * N_LABELS];
    const wb_quantize_result result = f->wide;
    assert_int_equal(result.n_i8_static, 8);
    assert_true(result.n_i8_dynamic == 0 && result.n_fp8_static == 8);
    forward(f, "baseline+packed", f->path, f32);
    forward(f, "i8-static+packed", f->wide_path, i8);
    // Attention differs by its kind alone, which rounds otherwise.
    assert_true(fabs(error_of(i8, f32) - result.i8_error) < 0.02 * result.i8_error + 1e-5);
    assert_true(result.i8_error > 1e-4 && result.i8_error < 0.2);
    forward(f, "i8-static", f->wide_path, padded);
    assert_true(error_of(padded, i8) < 1e-4);
}

static void test_fallback(void **state) {
    const fixture *f = *state;
    double last = INFINITY;
    static const double bounds[] = {10.0, 0.02, 0.004, 1e-5};
    for (int i = 0; i < 4; i++) {
        wb_quantize_options options = wb_default_quantize_options();
        options.max_error = bounds[i];
        const wb_quantize_result r = i ? quantize(f, &options, f->new_path) : f->wide;
        assert_true(r.i8_error <= bounds[i] && r.i8_error <= last);
        assert_true(r.fp8_error <= bounds[i]);
        last = r.i8_error;
        float logits[MOST_TEXTS * N_LABELS], f32[MOST_TEXTS * N_LABELS];
        forward(f, "baseline+packed", f->path, f32);
        forward(f, "i8-static+packed", i ? f->new_path : f->wide_path, logits);
        assert_true(error_of(logits, f32) <= bounds[i] * 1.02 + 1e-5);
        if (i == 3) assert_int_equal(r.n_i8_static + r.n_i8_dynamic + r.n_fp8_static, 0);
    }
}

static void test_same_bits_on_every_isa(void **state) {
    const fixture *f = *state;
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    float logits[3][MOST_TEXTS * N_LABELS];
    const char *old = getenv("WATTBERT_ISA");
    for (int i = 0; i < 3; i++) {
        setenv("WATTBERT_ISA", names[i], 1);
        forward(f, "i8-static+packed", f->wide_path, logits[i]);
        assert_memory_equal(logits[i], logits[0], sizeof logits[0]);
    }
    if (old)
        setenv("WATTBERT_ISA", old, 1);
    else
        unsetenv("WATTBERT_ISA");
}

static void test_plan_shows_it(void **state) {
    const fixture *f = *state;
    wb_options options = wb_default_options();
    options.technique = "i8-static+packed";
    options.scales = f->dir;  // the folder does as well
    wb_engine *engine;
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    const wb_plan_info *plan = wb_engine_plan(engine);
    assert_int_equal(strncmp(plan->precision, "i8-static", 9), 0);
    assert_non_null(strstr(plan->kernels, "gemm_i8_"));
    for (int i = 0; i < 8; i++) assert_true(plan->matrices[i].error >= 0.0);
    assert_string_equal(plan->matrices[9].precision, "f32");
    wb_engine_close(engine);
}

static void refuse(const fixture *f, const char *scales, wb_status want, const char *expect) {
    wb_options options = wb_default_options();
    options.technique = "i8-static";
    options.scales = scales;
    wb_engine *engine = (wb_engine *)f->model;
    wb_error err = {.message = ""};
    assert_int_equal(wb_engine_open(&engine, f->model, &options, &err), want);
    assert_null(engine);
    if (!strstr(err.message, expect)) fail_msg("no \"%s\" in: %s", expect, err.message);
}

static void test_refusals(void **state) {
    fixture *f = *state;
    wb_error err;
    refuse(f, NULL, WB_ERR_UNSUPPORTED, "wattbert quantize");
    refuse(f, "/nowhere/scales.json", WB_ERR_IO, "/nowhere/scales.json");
    char config[96];
    snprintf(config, sizeof config, "%s/config.json", f->dir);
    refuse(f, config, WB_ERR_FORMAT, "no scales");

    // The same shapes, but other weights.
    wb_shape other = shape;
    fixture g = {.dir = "/tmp/wattbert-test-XXXXXX"};
    other.vocab_size++;
    folder_write(g.dir, &other);
    assert_int_equal(wb_model_open(&g.model, g.dir, NULL), WB_OK);
    refuse(&g, f->path, WB_ERR_MODEL, "made for the weights of");

    wb_quantize_options options = wb_default_quantize_options();
    assert_int_equal(wb_quantize(g.model, f->inputs, &options, f->path, NULL, &err),
                     WB_ERR_ARGUMENT);
    options.max_error = 0.0;
    assert_int_equal(wb_quantize(f->model, f->inputs, &options, f->path, NULL, &err),
                     WB_ERR_ARGUMENT);
    wb_inputs *one;
    assert_int_equal(wb_inputs_open(&one, f->model, f->texts, 1, 0, NULL), WB_OK);
    assert_int_equal(wb_quantize(f->model, one, NULL, f->path, NULL, &err), WB_ERR_ARGUMENT);
    assert_int_equal(wb_quantize(f->model, f->inputs, NULL, "/nowhere/x", NULL, &err), WB_ERR_IO);
    wb_inputs_close(one);
    wb_model_close(g.model);
    folder_remove(g.dir);
}

// ---- Statistics ----

// Ranges are those of the real inputs, and the sample's rows are among them.
static void test_statistics(void **state) {
    const fixture *f = *state;
    wb_engine *engine;
    wb_options options = wb_default_options();
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    wb_trial trial;
    wb_input_statistics statistics[10] = {{0}};
    // Batches so small that there are many.
    assert_int_equal(wb_trial_open(&trial, engine, f->inputs, 64, NULL), WB_OK);
    assert_true(trial.n_batches > 5);
    assert_int_equal(wb_statistics_collect(statistics, &trial, NULL), WB_OK);
    for (int i = 0; i < 10; i++) {
        const wb_input_statistics *s = &statistics[i];
        assert_true(s->n_rows > 0 && s->n_rows <= WB_SAMPLE_ROWS);
        float greatest = 0.0f;
        for (int j = 0; j < s->k; j++) greatest = fmaxf(greatest, s->x_absmax[j]);
        assert_true(greatest > 0.0f && greatest == s->histograms[0].top);
        for (int j = 0; j < s->n_rows * s->k; j++)
            assert_true(fabsf(s->rows[j]) <= s->x_absmax[j % s->k]);
        for (int a = 0; a < s->n_alphas; a++) {
            const float clip = wb_statistics_best_clip(s, a);
            assert_true(clip > 0.05f * s->histograms[a].top && clip <= s->histograms[a].top);
        }
    }
    // Every token goes through the first product, half the sample's distance apart at most.
    assert_int_equal(statistics[0].n_seen, (int)wb_inputs_tokens(f->inputs));
    assert_true(statistics[0].n_rows > WB_SAMPLE_ROWS / 2 - 1);
    wb_statistics_free(statistics, 10);
    wb_trial_close(&trial);
    wb_engine_close(engine);
}

// Many batches are as good as one: logits in the texts' places, and nothing left out of an error.
static void test_batches(void **state) {
    const fixture *f = *state;
    wb_engine *engine;
    wb_options options = wb_default_options();
    float f32[MOST_TEXTS * N_LABELS];
    forward(f, "f32-flash+packed", f->path, f32);
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    double errors[2];
    for (int i = 0; i < 2; i++) {
        wb_trial trial;
        assert_int_equal(wb_trial_open(&trial, engine, f->inputs, i ? 4096 : 64, NULL), WB_OK);
        assert_true(i ? trial.n_batches == 1 : trial.n_batches > 5);
        assert_int_equal(wb_trial_run_reference(&trial, NULL), WB_OK);
        assert_int_equal(trial.n_texts, MOST_TEXTS);
        assert_memory_equal(trial.logits, f32, sizeof f32);
        assert_true(wb_trial_error_of_all(&trial, NULL) == 0.0);
        wb_linear changed, *place = wb_weights_matrix(trial.weights, 2), kept = *place;
        assert_int_equal(wb_weights_pack_matrix(&changed, &trial.plan, 2, WB_I8_DYNAMIC,
                                                &engine->kernels, &trial.source, NULL),
                         WB_OK);
        *place = changed;
        errors[i] = wb_trial_error_of_all(&trial, NULL);
        *place = kept;
        if (i) assert_true(wb_trial_error(&trial, 2, &changed, NULL) == errors[i]);
        wb_linear_free(&changed);
        wb_trial_close(&trial);
    }
    assert_true(errors[0] > 0.0 && errors[0] == errors[1]);
    wb_engine_close(engine);
}

// Of normal values with a few far ones, 127 steps serve best when the far ones saturate.
static void test_clip(void **state) {
    (void)state;
    static wb_histogram histogram = {.top = 100.0f};
    const wb_input_statistics s = {.histograms = &histogram};
    for (int i = 0; i < WB_HISTOGRAM_BINS; i++) {
        const double value = 100.0 * (i + 0.5) / WB_HISTOGRAM_BINS;
        histogram.weights[i] = exp(-value * value / 2.0);
    }
    histogram.weights[WB_HISTOGRAM_BINS - 1] = 1e-6;
    assert_true(wb_statistics_best_clip(&s, 0) < 20.0f);
    histogram.weights[WB_HISTOGRAM_BINS - 1] = 100.0;
    assert_true(wb_statistics_best_clip(&s, 0) > 95.0f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_error_is_what_a_run_shows),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_same_bits_on_every_isa),
        cmocka_unit_test(test_plan_shows_it),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_clip),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
