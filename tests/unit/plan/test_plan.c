// SPDX-License-Identifier: Apache-2.0
// From options to a plan: sizes, matrices, words, and the numbers that are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "plan/plan.h"

static const wb_shape shape = {.n_layers = 6,
                               .d_model = 768,
                               .n_heads = 12,
                               .d_head = 64,
                               .d_ff = 3072,
                               .vocab_size = 30522,
                               .max_positions = 512,
                               .n_labels = 2,
                               .max_length = 512,
                               .activation = WB_GELU};
static const wb_kernels kernels = {.isa = "avx512",
                                   .has_bf16 = true,
                                   .has_f16 = true,
                                   .gemm_f32_name = "gemm_f32_x",
                                   .gemm_bf16_name = "gemm_bf16_x",
                                   .gemm_f16_name = "gemm_f16_x",
                                   .gemm_i8_name = "gemm_i8_x",
                                   .attention_name = "attention_x",
                                   .rowwise_name = "rows_x"};
static const wb_cpu cpu = {.n_cores = 3, .n_threads = 6, .l2_bytes = 1 << 20};

static wb_options options_of(const char *technique) {
    return (wb_options){.technique = technique, .batch_size = 16, .padded_length = 128};
}

static wb_plan plan_of(const wb_options *options) {
    wb_plan plan;
    assert_int_equal(wb_plan_init(&plan, &shape, options, &kernels, &cpu, NULL), WB_OK);
    return plan;
}

static void test_matrices_of_distilbert(void **state) {
    (void)state;
    const wb_options options = options_of("i8-dynamic");
    wb_plan plan = plan_of(&options);
    assert_int_equal(plan.n_matrices, 26);
    size_t n_weights = 0;
    for (int i = 0; i < plan.n_matrices; i++) {
        const wb_matrix *m = &plan.matrices[i];
        n_weights += (size_t)m->n * (size_t)m->k;
        const bool is_head = i >= wb_plan_pre_classifier(&plan);
        assert_int_equal(m->precision, is_head ? WB_F32 : WB_I8_DYNAMIC);
        assert_true(m->error == -1.0 && m->cost_ns == -1.0);
    }
    // 6 layers of 4 d^2 + 2 d d_ff, the pre-classifier and the classifier.
    assert_int_equal(n_weights, 6 * 12 * 768 * 768 + 768 * 768 + 2 * 768);
    assert_string_equal(plan.matrices[wb_plan_layer_matrix(2, WB_MATRIX_FFN_UP)].name,
                        "layer 2 ffn_up");
    assert_int_equal(plan.matrices[wb_plan_layer_matrix(0, WB_MATRIX_QKV)].n, 2304);
    assert_int_equal(plan.matrices[wb_plan_layer_matrix(5, WB_MATRIX_FFN_DOWN)].k, 3072);
    assert_string_equal(plan.matrices[wb_plan_classifier(&plan)].name, "classifier");
    wb_plan_free(&plan);
}

static void test_packing(void **state) {
    (void)state;
    wb_options options = options_of("baseline");
    wb_plan plan = plan_of(&options);
    assert_int_equal(plan.packing, WB_PADDED);
    assert_int_equal(plan.max_rows, 16 * 128);
    assert_int_equal(plan.max_texts, 16);
    assert_int_equal(plan.n_threads, 3);
    assert_false(plan.is_last_layer_pruned);
    wb_plan_free(&plan);

    options.sort_batches = 1;
    options.n_threads = 2;
    plan = plan_of(&options);
    assert_int_equal(plan.packing, WB_SORTED);
    assert_int_equal(plan.max_rows, 16 * 512);
    assert_int_equal(plan.n_threads, 2);
    wb_plan_free(&plan);

    options = options_of("baseline+packed");
    options.token_budget = 100;
    plan = plan_of(&options);
    assert_int_equal(plan.packing, WB_PACKED);
    assert_int_equal(plan.max_rows, 512);  // one text of the longest must fit
    assert_true(plan.is_last_layer_pruned);
    assert_true(plan.block_rows <= plan.max_rows && plan.block_rows >= 1);
    wb_plan_free(&plan);
}

static void test_blocks_are_equal(void **state) {
    (void)state;
    const wb_plan plan = {.block_rows = 170};
    static const int cases[][2] = {{1, 1},     {170, 170}, {171, 86},  {206, 103},
                                   {340, 170}, {341, 114}, {2040, 170}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(wb_plan_next_block(&plan, cases[i][0]), cases[i][1]);
    for (int left = 500, n; left > 0; left -= n) {
        n = wb_plan_next_block(&plan, left);
        assert_in_range(n, 166, 167);
    }
}

static void test_padding_beyond_the_model(void **state) {
    (void)state;
    wb_options options = options_of("baseline");
    options.padded_length = 1000;
    wb_plan plan = plan_of(&options);
    assert_int_equal(plan.padded_length, 512);
    wb_plan_words words;
    wb_plan_describe(&words, &plan, &kernels);
    assert_string_equal(words.batch_rule, "16 x 512 tokens");
    wb_plan_free(&plan);
}

static void compare_words(const char *technique, const char *precision, const char *names) {
    const wb_options options = options_of(technique);
    wb_plan plan = plan_of(&options);
    wb_plan_words words;
    wb_plan_describe(&words, &plan, &kernels);
    assert_string_equal(words.precision, precision);
    assert_string_equal(words.kernels, names);
    wb_plan_free(&plan);
}

static void test_words(void **state) {
    (void)state;
    compare_words("baseline", "f32", "gemm_f32_x attention_standard_x rows_x");
    compare_words("flash", "bf16", "gemm_bf16_x attention_flash_x rows_x");
    compare_words("autocast-f16", "f16+autocast", "gemm_f16_x attention_standard_x rows_x");
    // The head of an int8 plan is f32, so both products run.
    compare_words("i8-dynamic", "i8-dynamic", "gemm_f32_x gemm_i8_x attention_standard_x rows_x");
}

static void test_words_of_mixed(void **state) {
    (void)state;
    const wb_options options = options_of("mixed");
    wb_plan plan = plan_of(&options);
    for (int i = 0; i < 18; i++) plan.matrices[i].precision = WB_BF16;
    wb_plan_words words;
    wb_plan_describe(&words, &plan, &kernels);
    assert_string_equal(words.precision, "mixed (18 bf16, 8 f32)");
    wb_plan_free(&plan);
}

// ---- On a GPU ----

static const wb_gpu_arithmetic hopper = {
    .name = "a Hopper", .has_bf16 = true, .has_fp8 = true, .has_i8 = true};

static wb_plan gpu_plan_of(const wb_options *options) {
    wb_plan plan;
    assert_int_equal(wb_plan_init_cuda(&plan, &shape, options, &hopper, &cpu, NULL), WB_OK);
    assert_int_equal(plan.device, WB_DEVICE_CUDA);
    return plan;
}

static void test_batches_of_a_gpu(void **state) {
    (void)state;
    wb_options options = options_of("f16-flash+packed");
    wb_plan plan = gpu_plan_of(&options);
    assert_int_equal(plan.token_budget, 65536);
    assert_int_equal(plan.max_rows, 65536);
    assert_int_equal(plan.max_texts, 65536);
    assert_int_equal(plan.block_rows, 65536);  // no cache to keep a block in
    assert_int_equal(plan.n_threads, 3);       // of the host
    wb_plan_words words;
    wb_plan_describe(&words, &plan, NULL);
    assert_string_equal(words.batch_rule, "65536 tokens");
    assert_string_equal(words.kernels, "");  // known behind the door
    wb_plan_free(&plan);
    options = options_of("baseline");
    options.token_budget = 100;
    plan = gpu_plan_of(&options);
    assert_int_equal(plan.max_rows, 16 * 128);
    assert_int_equal(plan.token_budget, 100);
    wb_plan_free(&plan);
}

// What a technique's layers run in, without and with a calibration; the head stays f32 beside eight
// bits.
static void test_scales_decide_the_precision(void **state) {
    (void)state;
    static const struct {
        const char *technique, *scales;
        wb_precision layers, head;
    } cases[] = {
        {"fp8", NULL, WB_FP8_DYNAMIC, WB_F32},
        {"fp8", "s.json", WB_FP8_STATIC, WB_F32},
        {"fp8-dynamic", NULL, WB_FP8_DYNAMIC, WB_F32},
        {"fp8-dynamic", "s.json", WB_FP8_DYNAMIC, WB_F32},
        {"i8-static", "s.json", WB_I8_STATIC, WB_F32},
        {"i8-dynamic", "s.json", WB_I8_DYNAMIC, WB_F32},
        {"tf32", NULL, WB_TF32, WB_TF32},
        {"f16", "s.json", WB_F16, WB_F16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_options options = options_of(cases[i].technique);
        options.scales = cases[i].scales;
        wb_plan plan = gpu_plan_of(&options);
        assert_int_equal(plan.matrices[0].precision, cases[i].layers);
        assert_int_equal(plan.matrices[wb_plan_classifier(&plan)].precision, cases[i].head);
        wb_plan_words words;
        wb_plan_describe(&words, &plan, NULL);
        assert_string_equal(words.precision, wb_precision_name(cases[i].layers));
        wb_plan_free(&plan);
    }
    wb_plan plan;
    wb_error err;
    const wb_options options = options_of("i8-static");
    assert_int_equal(wb_plan_init_cuda(&plan, &shape, &options, &hopper, &cpu, &err),
                     WB_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "wattbert quantize"));
    assert_null(plan.matrices);
}

static void test_words_of_layers_that_fell_back(void **state) {
    (void)state;
    wb_options options = options_of("fp8");
    options.scales = "s.json";
    wb_plan plan = gpu_plan_of(&options);
    plan.matrices[3].precision = plan.matrices[7].precision = WB_F16;
    wb_plan_words words;
    wb_plan_describe(&words, &plan, NULL);
    assert_string_equal(words.precision, "fp8-static (22 fp8-static, 2 f16)");
    wb_plan_free(&plan);
}

static void refuse(wb_options options, wb_status want, const char *part) {
    wb_plan plan;
    wb_error err = {.message = ""};
    assert_int_equal(wb_plan_init(&plan, &shape, &options, &kernels, &cpu, &err), want);
    assert_int_equal(err.status, want);
    assert_non_null(strstr(err.message, part));
    assert_null(plan.matrices);
}

static void test_refusals(void **state) {
    (void)state;
    wb_options options = options_of("bfloat");
    refuse(options, WB_ERR_ARGUMENT, "\"bfloat\"");
    refuse(options_of("fp8"), WB_ERR_UNSUPPORTED, "Hopper");
    options = options_of("baseline");
    options.n_threads = -1;
    refuse(options, WB_ERR_ARGUMENT, "-1 threads");
    options = options_of("baseline");
    options.batch_size = 0;
    refuse(options, WB_ERR_ARGUMENT, "batches of 0 texts");
    options = options_of("baseline");
    options.padded_length = 2;
    refuse(options, WB_ERR_ARGUMENT, "2 tokens");
    options = options_of("baseline+packed");
    options.token_budget = -5;
    refuse(options, WB_ERR_ARGUMENT, "-5 tokens");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrices_of_distilbert),
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_blocks_are_equal),
        cmocka_unit_test(test_padding_beyond_the_model),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_of_mixed),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_batches_of_a_gpu),
        cmocka_unit_test(test_scales_decide_the_precision),
        cmocka_unit_test(test_words_of_layers_that_fell_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
