// SPDX-License-Identifier: Apache-2.0
// Calibration meets a plan: precisions and errors of the layers come from it, the head's do not,
// and the plan's words show what fell back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "plan/scales.h"

static const wb_shape shape = {.n_layers = 2,
                               .d_model = 8,
                               .n_heads = 2,
                               .d_head = 4,
                               .d_ff = 16,
                               .vocab_size = 60,
                               .max_positions = 12,
                               .n_labels = 2,
                               .max_length = 12};

static wb_plan plan_of(const char *technique, wb_kernels *kernels) {
    wb_plan plan;
    wb_cpu cpu = {.n_cores = 1};
    wb_options options = wb_default_options();
    options.technique = technique;
    options.scales = "given";
    wb_kernels_select(kernels, 0);
    assert_int_equal(wb_plan_init(&plan, &shape, &options, kernels, &cpu, NULL), WB_OK);
    return plan;
}

static void test_needs(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool needs;
    } cases[] = {{"i8-static", true},
                 {"i8-static+packed", true},
                 {"i8-dynamic", false},
                 {"f32-flash+packed", false},
                 {"mixed", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_kernels kernels;
        wb_plan plan = plan_of(cases[i].name, &kernels);
        assert_int_equal(wb_plan_needs_scales(&plan), cases[i].needs);
        wb_plan_free(&plan);
    }
}

static void test_use(void **state) {
    (void)state;
    wb_kernels kernels;
    wb_plan plan = plan_of("i8-static+packed", &kernels);
    wb_plan_words words;
    wb_plan_describe(&words, &plan, &kernels);
    assert_string_equal(words.precision, "i8-static");
    wb_matrix_scales matrices[10];
    for (int i = 0; i < 10; i++)
        matrices[i] = (wb_matrix_scales){.x_max = 1.0f,
                                         .i8_error = 0.1 + i,
                                         .i8_dynamic_error = 0.2 + i,
                                         .i8 = WB_I8_STATIC,
                                         .fp8 = WB_F16};
    matrices[3].i8 = WB_F32;
    matrices[5].i8 = WB_I8_DYNAMIC;
    const wb_scales scales = {10, matrices};
    wb_plan_use_scales(&plan, &scales);
    assert_ptr_equal(plan.scales, &scales);
    assert_int_equal(plan.matrices[0].precision, WB_I8_STATIC);
    assert_true(plan.matrices[0].error == 0.1 && plan.matrices[0].refused_error == -1.0);
    assert_int_equal(plan.matrices[3].precision, WB_F32);
    assert_true(plan.matrices[3].error == 0.0 && plan.matrices[3].refused_error == 3.1);
    assert_int_equal(plan.matrices[5].precision, WB_I8_DYNAMIC);
    assert_true(plan.matrices[5].error == 5.2 && plan.matrices[5].refused_error == 5.1);
    // The head keeps what the plan gave it, and its error is not known.
    assert_int_equal(plan.matrices[8].precision, WB_F32);
    assert_true(plan.matrices[9].error == -1.0 && plan.matrices[9].refused_error == -1.0);
    wb_plan_describe(&words, &plan, &kernels);
    assert_string_equal(words.precision, "i8-static (6 i8-static, 1 i8-dynamic, 1 f32)");
    const char *first = strstr(words.kernels, "gemm_i8_");
    assert_non_null(first);
    assert_null(strstr(first + 1, "gemm_i8_"));
    assert_non_null(strstr(words.kernels, "gemm_f32_"));
    wb_plan_free(&plan);
}

static void test_steps(void **state) {
    (void)state;
    for (int step = -WB_MOST_SMOOTH; step <= WB_MOST_SMOOTH; step++) {
        const float smooth = wb_smooth_step(step);
        assert_true(fabs((double)smooth / exp2(step / 8.0) - 1.0) < 0x1p-23);
        assert_int_equal(wb_smooth_step_of(smooth), step);
    }
    assert_true(wb_smooth_step(0) == 1.0f && wb_smooth_step(-16) == 0.25f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_use),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
