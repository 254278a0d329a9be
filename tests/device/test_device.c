// SPDX-License-Identifier: Apache-2.0
// The engine on a GPU that is played by fake_door.c: which device a name means, what is said where
// none can be used, logits and replays through the door, and a GPU that is lost while it works.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../support/model_folder.h"
#include "engine/engine.h"

static const wb_shape shape = {.n_layers = 2,
                               .d_model = 32,
                               .n_heads = 2,
                               .d_head = 16,
                               .d_ff = 48,
                               .vocab_size = 80,
                               .max_positions = 40,
                               .n_labels = 3,
                               .max_length = 40,
                               .activation = WB_GELU};

enum { N_TEXTS = 5, N_LABELS = 3 };
static const char *const lines[N_TEXTS] = {"w60 w61", "a b c d e f g", "", "w70",
                                           "the quick brown fox"};

typedef struct fixture {
    char dir[64];
    wb_model *model;
    wb_text texts[N_TEXTS];
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    strcpy(f->dir, "/tmp/wattbert-test-XXXXXX");
    folder_write(f->dir, &shape);
    if (wb_model_open(&f->model, f->dir, NULL)) return 1;
    for (int i = 0; i < N_TEXTS; i++)
        f->texts[i] = (wb_text){.text = lines[i], .n_bytes = strlen(lines[i])};
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

// What the GPU of the next engine does.
static void play(const char *script) {
    assert_int_equal(setenv("FAKE_DOOR", script, 1), 0);
}

static int stop_playing(void **state) {
    (void)state;
    unsetenv("FAKE_DOOR");
    return 0;
}

static wb_options options_of(const char *device, const char *technique) {
    wb_options options = wb_default_options();
    options.device = device;
    options.technique = technique;
    options.n_threads = 2;
    return options;
}

static wb_engine *open_engine(const fixture *f, const char *device, const char *technique) {
    const wb_options options = options_of(device, technique);
    wb_engine *engine;
    wb_error err = {.message = ""};
    if (wb_engine_open(&engine, f->model, &options, &err)) fail_msg("%s", err.message);
    return engine;
}

static void refuse(const fixture *f, const char *device, const char *technique, wb_status want,
                   const char *part) {
    const wb_options options = options_of(device, technique);
    wb_engine *engine = (wb_engine *)f->model;
    wb_error err = {.message = ""};
    assert_int_equal(wb_engine_open(&engine, f->model, &options, &err), want);
    assert_null(engine);
    assert_int_equal(err.status, want);
    if (!strstr(err.message, part)) fail_msg("\"%s\" in \"%s\"", part, err.message);
}

// ---- Names ----

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool is_known, is_cuda, is_auto;
        int ordinal;
    } cases[] = {
        {NULL, true, false, false, 0},         {"", true, false, false, 0},
        {"cpu", true, false, false, 0},        {"cuda", true, true, false, 0},
        {"cuda:0", true, true, false, 0},      {"cuda:17", true, true, false, 17},
        {"auto", true, true, true, 0},         {"cuda:", false, false, false, 0},
        {"cuda:-1", false, false, false, 0},   {"cuda:1 ", false, false, false, 0},
        {"cuda:9999", false, false, false, 0}, {"CUDA", false, false, false, 0},
        {"gpu", false, false, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_device_name name;
        wb_error err = {.message = ""};
        const wb_status status = wb_device_parse(&name, cases[i].name, &err);
        assert_int_equal(status, cases[i].is_known ? WB_OK : WB_ERR_ARGUMENT);
        assert_int_equal(name.is_cuda, cases[i].is_cuda);
        assert_int_equal(name.is_auto, cases[i].is_auto);
        assert_int_equal(name.ordinal, cases[i].ordinal);
        if (status) assert_non_null(strstr(err.message, "give cpu, cuda, cuda:1 or auto"));
    }
}

static void test_describe(void **state) {
    (void)state;
    play("");
    wb_gpu_info gpu;
    assert_int_equal(wb_gpu_describe(&gpu, "cuda:1", NULL), WB_OK);
    assert_string_equal(gpu.name, "Scripted GPU H");
    assert_string_equal(gpu.uuid, "GPU-played-1");
    assert_int_equal(gpu.ordinal, 1);
    assert_int_equal(gpu.compute_major, 9);
    assert_true(gpu.memory_bytes == 80ull << 30);
    assert_true(gpu.has_fp8 && gpu.has_bf16 && gpu.has_i8);
    // Beside this program, as it will lie beside the library.
    assert_non_null(strstr(gpu.library, "/beside/libwattbert_cuda.so"));
    wb_error err;
    assert_int_equal(wb_gpu_describe(&gpu, "cpu", &err), WB_ERR_ARGUMENT);
    assert_int_equal(gpu.ordinal, 0);
    assert_int_equal(wb_gpu_describe(&gpu, "cuda:7", &err), WB_ERR_UNSUPPORTED);
    assert_string_equal(gpu.name, "");
}

// ---- Nothing to run on ----

static void test_no_gpu(void **state) {
    const fixture *f = *state;
    static const char *const cases[][2] = {
        {"no-driver", "no NVIDIA driver"},          {"old-driver", "CUDA 11.4"},
        {"old-gpu", "compute capability 3.7"},      {"no-such-gpu", "there is no GPU"},
        {"version", "install both from one build"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        play(cases[i][0]);
        refuse(f, "cuda", "baseline", WB_ERR_UNSUPPORTED, cases[i][1]);
        assert_int_equal(wb_technique_runs("baseline", "cuda", NULL), WB_ERR_UNSUPPORTED);
        assert_int_equal(wb_technique_runs("baseline", "auto", NULL), WB_OK);
        // Only who asks for it gets the CPU instead, and is told why.
        wb_engine *engine = open_engine(f, "auto", "baseline");
        assert_string_equal(wb_engine_plan(engine)->device, "cpu");
        assert_string_equal(wb_engine_plan(engine)->device_uuid, "");
        assert_non_null(strstr(wb_engine_plan(engine)->fallback, cases[i][1]));
        float logits[N_TEXTS * N_LABELS];
        assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, logits, NULL), WB_OK);
        wb_engine_close(engine);
    }
    play("");
    refuse(f, "gpu", "baseline", WB_ERR_ARGUMENT, "\"gpu\"");
    refuse(f, "cuda:2", "baseline", WB_ERR_UNSUPPORTED, "there is no GPU 2");
}

// A GPU that is there is used or its failure told: nothing else is run instead.
static void test_no_silent_fallback(void **state) {
    const fixture *f = *state;
    play("no-memory");
    refuse(f, "cuda", "baseline", WB_ERR_MEMORY, "12 MiB free");
    refuse(f, "auto", "baseline", WB_ERR_MEMORY, "12 MiB free");
    play("ampere");
    refuse(f, "auto", "fp8", WB_ERR_UNSUPPORTED, "Scripted GPU A has no fp8");
    play("");
    refuse(f, "cuda", "warp-drive", WB_ERR_ARGUMENT, "warp-drive");
    refuse(f, "cuda", "i8-static", WB_ERR_UNSUPPORTED, "wattbert quantize");
    refuse(f, "cuda", "mixed", WB_ERR_UNSUPPORTED, "mixed is decided");
}

// ---- Plans ----

static void test_techniques(void **state) {
    const fixture *f = *state;
    play("");
    int n_run = 0;
    for (int i = 0; wb_technique_at(i); i++) {
        const char *name = wb_technique_at(i)->name;
        const wb_options options = options_of("cuda", name);
        wb_engine *engine;
        wb_error err = {.message = ""};
        const wb_status status = wb_engine_open(&engine, f->model, &options, &err);
        const bool needs_scales = strncmp(name, "i8-static", 9) == 0;
        if (!needs_scales) assert_int_equal(wb_technique_runs(name, "cuda", NULL), status);
        if (status) {
            assert_int_equal(status, WB_ERR_UNSUPPORTED);
            continue;
        }
        const wb_plan_info *plan = wb_engine_plan(engine);
        assert_string_equal(plan->technique, name);
        assert_string_equal(plan->device, "cuda:0");
        assert_string_equal(plan->device_name, "Scripted GPU H");
        assert_string_equal(plan->isa, "sm_90");
        assert_string_equal(plan->fallback, "");
        assert_int_equal(strncmp(plan->kernels, "script_", 7), 0);
        assert_true(plan->weights_bytes > 0 && plan->workspace_bytes > 0);
        wb_engine_close(engine);
        n_run++;
    }
    assert_int_equal(n_run, 2 * 12);  // all but mixed and i8-static
}

static void test_plan_of_a_gpu(void **state) {
    const fixture *f = *state;
    play("");
    wb_engine *engine = open_engine(f, "cuda:1", "fp8+packed");
    const wb_plan_info *plan = wb_engine_plan(engine);
    assert_string_equal(plan->device, "cuda:1");
    assert_string_equal(plan->precision, "fp8-dynamic");  // no calibration was given
    assert_string_equal(plan->attention, "flash");
    assert_string_equal(plan->batch_rule, "65536 tokens");
    assert_string_equal(plan->matrices[0].precision, "fp8-dynamic");
    assert_string_equal(plan->matrices[plan->n_matrices - 1].precision, "f32");
    wb_engine_close(engine);
    engine = open_engine(f, "cuda", "tf32");
    assert_string_equal(wb_engine_plan(engine)->precision, "tf32");
    assert_string_equal(wb_engine_plan(engine)->batch_rule, "16 x 40 tokens");
    wb_engine_close(engine);
    engine = open_engine(f, "cuda", "autocast-f16+packed");
    assert_string_equal(wb_engine_plan(engine)->matrices[0].precision, "f16+autocast");
    wb_engine_close(engine);
}

// ---- Jobs ----

// As the script computes it, of ids cut to most.
static void expect(const fixture *f, float *want, int most, int precision) {
    for (int i = 0; i < N_TEXTS; i++) {
        int32_t ids[64];
        int n_ids;
        uint32_t hash = 17;
        assert_int_equal(wb_tokenize(f->model, &f->texts[i], 0, ids, 64, &n_ids, NULL), WB_OK);
        for (int k = 0; k < n_ids && k < most; k++) hash = hash * 31 + (uint32_t)ids[k];
        for (int j = 0; j < N_LABELS; j++)
            want[i * N_LABELS + j] =
                (float)((hash >> (5 * j)) & 1023) / 256.0f + 1e-3f * (float)precision;
    }
}

static void test_logits(void **state) {
    const fixture *f = *state;
    play("");
    float want[N_TEXTS * N_LABELS], got[N_TEXTS * N_LABELS];
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    wb_engine *engine = open_engine(f, "cuda", "f16-flash+packed");
    uint64_t batch_ns[4] = {0};
    wb_run run = {.batch_ns = batch_ns, .batch_capacity = 4};
    assert_int_equal(wb_forward(engine, inputs, got, &run, NULL), WB_OK);
    expect(f, want, 1000, WB_F16);
    assert_memory_equal(got, want, sizeof want);
    // However many threads the host has, a GPU takes one batch at a time.
    assert_int_equal(run.n_batches, 1);
    assert_true(run.real_tokens == wb_inputs_tokens(inputs));
    assert_true(run.computed_tokens == run.real_tokens);
    assert_true(batch_ns[0] > 0 && batch_ns[1] == 0);
    assert_int_equal(wb_forward(engine, inputs, got, NULL, NULL), WB_OK);
    memset(got, 0, sizeof got);
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, got, NULL), WB_OK);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(wb_classify(engine, NULL, 0, NULL, NULL), WB_OK);
    wb_engine_close(engine);

    wb_options options = options_of("cuda", "baseline");
    options.padded_length = 5;
    options.batch_size = 2;
    assert_int_equal(wb_engine_open(&engine, f->model, &options, NULL), WB_OK);
    run = (wb_run){.batch_ns = NULL};
    assert_int_equal(wb_forward(engine, inputs, got, &run, NULL), WB_OK);
    assert_int_equal(run.n_batches, 3);
    assert_true(run.computed_tokens == 5 * N_TEXTS);
    wb_engine_close(engine);
    wb_inputs_close(inputs);
}

static void test_inputs_of_another_model(void **state) {
    const fixture *f = *state;
    play("");
    wb_model *other;
    wb_inputs *inputs;
    assert_int_equal(wb_model_open(&other, f->dir, NULL), WB_OK);
    assert_int_equal(wb_inputs_open(&inputs, other, f->texts, 1, 0, NULL), WB_OK);
    wb_engine *engine = open_engine(f, "cuda", "bf16");
    float logits[N_LABELS];
    assert_int_equal(wb_forward(engine, inputs, logits, NULL, NULL), WB_ERR_ARGUMENT);
    wb_engine_close(engine);
    wb_inputs_close(inputs);
    wb_model_close(other);
}

static void test_replay(void **state) {
    const fixture *f = *state;
    play("");
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    wb_engine *engine = open_engine(f, "cuda", "f16-flash+packed");
    wb_replay *first, *second;
    assert_int_equal(wb_replay_open(&first, engine, inputs, 1 << 20, NULL), WB_OK);
    assert_int_equal(wb_replay_texts(first), N_TEXTS);
    assert_true(wb_replay_tokens(first) == wb_inputs_tokens(inputs));
    for (int i = 0; i <= WB_WHOLE; i++)
        assert_int_equal(wb_replay_run(first, (wb_component)i, NULL), WB_OK);
    assert_int_equal(wb_replay_run(first, (wb_component)(WB_WHOLE + 1), NULL), WB_ERR_ARGUMENT);
    // The GPU keeps one: what the first would run now is not its own.
    assert_int_equal(wb_replay_open(&second, engine, inputs, 1, NULL), WB_OK);
    wb_error err;
    assert_int_equal(wb_replay_run(first, WB_FFN, &err), WB_ERR_ARGUMENT);
    // Nor does the first give back what is the second's.
    wb_replay_close(first);
    assert_int_equal(wb_replay_run(second, WB_FFN, &err), WB_OK);
    wb_replay_close(second);
    wb_engine_close(engine);
    wb_inputs_close(inputs);
}

// A job that finds no memory leaves the engine as it was.
static void test_short_of_memory(void **state) {
    const fixture *f = *state;
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    play("");
    wb_engine *engine = open_engine(f, "cuda", "f16-flash+packed");
    float logits[N_TEXTS * N_LABELS];
    wb_error err;
    play("full=1");
    assert_int_equal(wb_forward(engine, inputs, logits, NULL, &err), WB_ERR_MEMORY);
    play("");
    assert_int_equal(wb_forward(engine, inputs, logits, NULL, &err), WB_OK);
    wb_engine_close(engine);
    wb_inputs_close(inputs);
}

static void test_lost(void **state) {
    const fixture *f = *state;
    play("lost=2");
    wb_inputs *inputs;
    assert_int_equal(wb_inputs_open(&inputs, f->model, f->texts, N_TEXTS, 0, NULL), WB_OK);
    wb_engine *engine = open_engine(f, "cuda", "baseline+packed");
    float logits[N_TEXTS * N_LABELS];
    wb_error err;
    assert_int_equal(wb_forward(engine, inputs, logits, NULL, &err), WB_OK);
    assert_int_equal(wb_forward(engine, inputs, logits, NULL, &err), WB_ERR_DEVICE);
    assert_non_null(strstr(err.message, "fell off the bus"));
    // From now on the door is not even asked.
    play("");
    wb_replay *replay = (wb_replay *)f->model;
    assert_int_equal(wb_classify(engine, f->texts, N_TEXTS, logits, &err), WB_ERR_DEVICE);
    assert_non_null(strstr(err.message, "open another"));
    assert_int_equal(wb_replay_open(&replay, engine, inputs, 1, &err), WB_ERR_DEVICE);
    assert_null(replay);
    wb_engine_close(engine);
    wb_inputs_close(inputs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_names, stop_playing),
        cmocka_unit_test_teardown(test_describe, stop_playing),
        cmocka_unit_test_teardown(test_no_gpu, stop_playing),
        cmocka_unit_test_teardown(test_no_silent_fallback, stop_playing),
        cmocka_unit_test_teardown(test_techniques, stop_playing),
        cmocka_unit_test_teardown(test_plan_of_a_gpu, stop_playing),
        cmocka_unit_test_teardown(test_logits, stop_playing),
        cmocka_unit_test_teardown(test_inputs_of_another_model, stop_playing),
        cmocka_unit_test_teardown(test_replay, stop_playing),
        cmocka_unit_test_teardown(test_short_of_memory, stop_playing),
        cmocka_unit_test_teardown(test_lost, stop_playing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
