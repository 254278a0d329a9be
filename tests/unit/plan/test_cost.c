// SPDX-License-Identifier: Apache-2.0
// Choosing precisions from errors and costs: the bound holds, what is free is taken, and what
// saves nothing is left alone.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/plan.h"

enum { N_MATRICES = 4, N_EACH = 3 };

static wb_plan plan_over(wb_matrix *matrices, int n) {
    return (wb_plan){.n_matrices = n, .matrices = matrices};
}

// Unrelated errors add up like the sides of a right angle.
static double total_error(const wb_plan *plan) {
    double squares = 0.0;
    for (int i = 0; i < plan->n_matrices; i++)
        squares += plan->matrices[i].error * plan->matrices[i].error;
    return sqrt(squares);
}

static void test_cheapest_within_the_bound(void **state) {
    (void)state;
    // int8 saves most everywhere, but only the first three fit the bound together; the fourth
    // still fits in bf16.
    static const wb_candidate candidates[N_MATRICES][N_EACH] = {
        {{WB_F32, 0, 100}, {WB_BF16, 0.001, 60}, {WB_I8_DYNAMIC, 0.010, 20}},
        {{WB_F32, 0, 100}, {WB_BF16, 0.001, 60}, {WB_I8_DYNAMIC, 0.012, 20}},
        {{WB_F32, 0, 100}, {WB_BF16, 0.001, 60}, {WB_I8_DYNAMIC, 0.014, 20}},
        {{WB_F32, 0, 100}, {WB_BF16, 0.001, 60}, {WB_I8_DYNAMIC, 0.100, 20}},
    };
    wb_matrix matrices[N_MATRICES];
    wb_plan plan = plan_over(matrices, N_MATRICES);
    wb_cost_choose(&plan, candidates[0], N_EACH, 0.022);
    for (int i = 0; i < 3; i++) assert_int_equal(matrices[i].precision, WB_I8_DYNAMIC);
    assert_int_equal(matrices[3].precision, WB_BF16);
    assert_true(total_error(&plan) <= 0.022);
    assert_true(matrices[0].cost_ns == 20.0 && matrices[0].error == 0.010);
}

static void test_no_bound_no_change(void **state) {
    (void)state;
    static const wb_candidate candidates[2][2] = {{{WB_F32, 0, 100}, {WB_BF16, 1e-6, 50}},
                                                  {{WB_F32, 0, 100}, {WB_BF16, 0, 50}}};
    wb_matrix matrices[2];
    wb_plan plan = plan_over(matrices, 2);
    wb_cost_choose(&plan, candidates[0], 2, 0.0);
    assert_int_equal(matrices[0].precision, WB_F32);
    assert_int_equal(matrices[1].precision, WB_BF16);  // costs no error at all
}

static void test_slower_is_never_chosen(void **state) {
    (void)state;
    // A CPU whose bf16 product is slower than f32, and a matrix whose error is not a number to
    // be summed.
    static const wb_candidate candidates[2][3] = {
        {{WB_F32, 0, 100}, {WB_BF16, 0, 150}, {WB_I8_DYNAMIC, 0.01, 100}},
        {{WB_F32, 0, 100}, {WB_BF16, INFINITY, 50}, {WB_I8_DYNAMIC, NAN, 50}}};
    wb_matrix matrices[2];
    wb_plan plan = plan_over(matrices, 2);
    wb_cost_choose(&plan, candidates[0], 3, 1.0);
    assert_int_equal(matrices[0].precision, WB_F32);
    assert_int_equal(matrices[1].precision, WB_F32);
}

// Random tables: the bound always holds, and no single change that would still fit is left.
static void test_random_tables(void **state) {
    (void)state;
    wb_random random = {.state = 1};
    for (int round = 0; round < 500; round++) {
        wb_candidate candidates[N_MATRICES][N_EACH];
        for (int i = 0; i < N_MATRICES; i++)
            for (int j = 0; j < N_EACH; j++)
                candidates[i][j] = (wb_candidate){.precision = (wb_precision)j,
                                                  .error = j ? wb_random_unit(&random) : 0.0,
                                                  .cost_ns = 1.0 + wb_random_unit(&random)};
        wb_matrix matrices[N_MATRICES];
        wb_plan plan = plan_over(matrices, N_MATRICES);
        const double bound = 2.0 * wb_random_unit(&random);
        wb_cost_choose(&plan, candidates[0], N_EACH, bound);
        const double total = total_error(&plan);
        assert_true(total <= bound + 1e-12);
        for (int i = 0; i < N_MATRICES; i++)
            for (int j = 0; j < N_EACH; j++) {
                const bool is_cheaper = candidates[i][j].cost_ns < matrices[i].cost_ns;
                const double from = matrices[i].error, to = candidates[i][j].error;
                const double changed = sqrt(total * total - from * from + to * to);
                assert_false(is_cheaper && changed < bound - 1e-6);
            }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cheapest_within_the_bound),
        cmocka_unit_test(test_no_bound_no_change),
        cmocka_unit_test(test_slower_is_never_chosen),
        cmocka_unit_test(test_random_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
