// SPDX-License-Identifier: Apache-2.0
// The table of techniques: the study's names in its order, every "+packed" form, and an
// honest refusal where the CPU has no arithmetic.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

static int count_techniques(void) {
    int n = 0;
    while (wb_technique_at(n)) n++;
    return n;
}

static void test_study_comes_first(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"baseline", "Baseline"},           {"autocast-f16", "MP Float16"},
        {"autocast-bf16", "MP BFloat16"},   {"mixed", "MP Mixed"},
        {"flash", "Flash Attention"},       {"i8-dynamic", "PTQ"},
        {"f16-flash", "MP Float16 + Flash"}};
    for (int i = 0; i < 7; i++) {
        assert_string_equal(wb_technique_at(i)->name, names[i][0]);
        assert_string_equal(wb_technique_at(i)->study_name, names[i][1]);
    }
}

static void test_index_out_of_range(void **state) {
    (void)state;
    assert_null(wb_technique_at(-1));
    assert_null(wb_technique_at(count_techniques()));
    assert_null(wb_technique_at(1 << 30));
}

// The second half repeats the first in order, with "+packed" and no other difference.
static void test_packed_forms(void **state) {
    (void)state;
    const int half = count_techniques() / 2;
    assert_int_equal(2 * half, count_techniques());
    for (int i = 0; i < half; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s+packed", wb_technique_at(i)->name);
        assert_string_equal(wb_technique_at(half + i)->name, name);
        assert_string_equal(wb_technique_at(half + i)->study_name, "");
        const wb_technique_spec *plain = wb_technique_find(wb_technique_at(i)->name);
        const wb_technique_spec *packed = wb_technique_find(name);
        assert_false(plain->is_packed);
        assert_true(packed->is_packed);
        assert_int_equal(plain->precision, packed->precision);
        assert_int_equal(plain->attention, packed->attention);
        assert_int_equal(plain->is_autocast, packed->is_autocast);
        assert_int_equal(plain->is_mixed, packed->is_mixed);
        assert_ptr_equal(plain->unsupported, packed->unsupported);
    }
}

static void test_names_are_unique_and_described(void **state) {
    (void)state;
    for (int i = 0; wb_technique_at(i); i++) {
        assert_true(strlen(wb_technique_at(i)->summary) > 2);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(wb_technique_at(i)->name, wb_technique_at(j)->name);
    }
    assert_null(wb_technique_find(""));
    assert_null(wb_technique_find("baseline "));
    assert_null(wb_technique_find("Baseline"));
}

static void judge(const char *name, bool has_bf16, bool has_f16, wb_status want) {
    const wb_kernels kernels = {.isa = "avx512", .has_bf16 = has_bf16, .has_f16 = has_f16};
    wb_error err = {.message = ""};
    assert_int_equal(wb_technique_check(wb_technique_find(name), &kernels, &err), want);
    if (want) assert_true(strlen(err.message) > 10);
}

static void test_arithmetic_is_never_emulated(void **state) {
    (void)state;
    static const char *const bf16[] = {"autocast-bf16", "flash", "bf16", "bf16+packed"};
    static const char *const f16[] = {"autocast-f16", "f16-flash", "f16", "f16-flash+packed"};
    static const char *const any[] = {"baseline", "mixed", "i8-dynamic", "i8-static+packed"};
    for (int i = 0; i < 4; i++) {
        judge(bf16[i], false, true, WB_ERR_UNSUPPORTED);
        judge(bf16[i], true, false, WB_OK);
        judge(f16[i], true, false, WB_ERR_UNSUPPORTED);
        judge(f16[i], false, true, WB_OK);
        judge(any[i], false, false, WB_OK);
    }
    judge("fp8", true, true, WB_ERR_UNSUPPORTED);
    judge("fp8+packed", true, true, WB_ERR_UNSUPPORTED);
    judge("fp8-dynamic", true, true, WB_ERR_UNSUPPORTED);
    judge("tf32", true, true, WB_ERR_UNSUPPORTED);
}

static void judge_on_gpu(const char *name, bool has_bf16, bool has_i8, bool has_fp8,
                         wb_status want) {
    const wb_gpu_arithmetic gpu = {
        .name = "GPU of the test", .has_bf16 = has_bf16, .has_i8 = has_i8, .has_fp8 = has_fp8};
    wb_error err = {.message = ""};
    assert_int_equal(wb_technique_check_cuda(wb_technique_find(name), &gpu, &err), want);
    if (want) assert_true(strlen(err.message) > 10);
}

static void test_arithmetic_of_gpus(void **state) {
    (void)state;
    static const char *const any[] = {"baseline", "f32-flash+packed", "autocast-f16", "f16-flash"};
    static const char *const bf16[] = {"bf16", "flash+packed", "autocast-bf16", "tf32"};
    static const char *const i8[] = {"i8-dynamic", "i8-static+packed"};
    static const char *const fp8[] = {"fp8", "fp8-dynamic+packed"};
    for (int i = 0; i < 4; i++) {
        judge_on_gpu(any[i], false, false, false, WB_OK);
        judge_on_gpu(bf16[i], false, true, true, WB_ERR_UNSUPPORTED);
        judge_on_gpu(bf16[i], true, false, false, WB_OK);
    }
    for (int i = 0; i < 2; i++) {
        judge_on_gpu(i8[i], true, false, true, WB_ERR_UNSUPPORTED);
        judge_on_gpu(i8[i], false, true, false, WB_OK);
        judge_on_gpu(fp8[i], true, true, false, WB_ERR_UNSUPPORTED);
        judge_on_gpu(fp8[i], false, false, true, WB_OK);
    }
    judge_on_gpu("mixed", true, true, true, WB_ERR_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_study_comes_first),
        cmocka_unit_test(test_index_out_of_range),
        cmocka_unit_test(test_packed_forms),
        cmocka_unit_test(test_names_are_unique_and_described),
        cmocka_unit_test(test_arithmetic_is_never_emulated),
        cmocka_unit_test(test_arithmetic_of_gpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
