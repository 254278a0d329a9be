// SPDX-License-Identifier: Apache-2.0
// One linear layer in every precision: against sums in double, from any column on, and over
// weights that are zero, tiny, huge or not numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_harness.h"
#include "plan/scales.h"

enum { MAX_M = 33, MAX_N = 150, MAX_K = 200 };

// A team of one thread with just the buffers a product needs.
typedef struct bench {
    wb_kernels kernels;
    wb_workspace workspace;
    wb_team team;
    _Alignas(64) uint16_t narrow[MAX_M * MAX_K];
    float x_scale[MAX_M];
    float w[MAX_N * MAX_K], bias[MAX_N], x[MAX_M * MAX_K], y[MAX_M * MAX_N];
} bench;

static bench *open_bench(void) {
    bench *b = calloc(1, sizeof *b);
    require(b != NULL, "memory");
    wb_cpu cpu;
    wb_cpu_detect(&cpu);
    wb_kernels_select(&b->kernels, cpu.flags);
    b->workspace = (wb_workspace){.narrow = b->narrow, .x_scale = b->x_scale};
    b->workspace.cast_panel = wb_alloc(b->kernels.panel_bytes_f32(MAX_K));
    b->team = (wb_team){.kernels = &b->kernels, .workspaces = &b->workspace};
    wb_random random = {.state = 3};
    for (int i = 0; i < MAX_N * MAX_K; i++) b->w[i] = (float)wb_random_unit(&random) - 0.5f;
    for (int i = 0; i < MAX_M * MAX_K; i++) b->x[i] = (float)wb_random_unit(&random) - 0.5f;
    for (int i = 0; i < MAX_N; i++) b->bias[i] = (float)wb_random_unit(&random);
    return b;
}

static void close_bench(bench *b) {
    wb_free(b->workspace.cast_panel);
    free(b);
}

// The inputs lie in [-1/2, 1/2); smoothing is by steps that differ from column to column.
static void multiply(bench *b, wb_precision precision, bool is_autocast, int m, int n, int k,
                     int first) {
    wb_linear linear;
    float smooth[MAX_K];
    for (int i = 0; i < k; i++) smooth[i] = wb_smooth_step(i % 9 - 4);
    const wb_matrix_scales scales = {.x_max = 0.5f * wb_smooth_step(4), .smooth = smooth};
    assert_int_equal(wb_linear_pack(&linear, &b->kernels, precision, is_autocast, &scales, b->w,
                                    b->bias, n, k, NULL),
                     WB_OK);
    wb_linear_forward(&b->team, &(wb_product){.linear = &linear,
                                              .first = first,
                                              .n = n - first,
                                              .y = b->y + first,
                                              .ld_y = n,
                                              .x = b->x,
                                              .ld_x = k,
                                              .m = m});
    wb_linear_free(&linear);
    assert_null(linear.panels);
}

// y against sums in double; allowed is a share of the sum of the products' sizes.
static void compare(const bench *b, int m, int n, int k, int first, double allowed) {
    for (int i = 0; i < m; i++)
        for (int j = first; j < n; j++) {
            double sum = (double)b->bias[j], size = fabs(sum);
            for (int l = 0; l < k; l++) {
                const double term = (double)b->x[i * k + l] * (double)b->w[j * k + l];
                sum += term;
                size += fabs(term);
            }
            const double got = (double)b->y[i * n + j];
            if (!(fabs(got - sum) <= allowed * size + 1e-30))
                fail_msg("cell %d, %d of %d x %d x %d is %g, not %g", i, j, m, n, k, got, sum);
        }
}

// Shares: one rounding of each operand in bf16 is 2^-9, in f16 2^-12, of int8 half a step of the
// row's largest, 1/254 for operands uniform in [-1/2, 1/2) whose mean size is half of that, and up
// to twice that where smoothing leaves a column half of the range.
static const struct {
    wb_precision precision;
    double allowed;
} precisions[] = {
    {WB_F32, 1e-6}, {WB_BF16, 0.008}, {WB_F16, 0.001}, {WB_I8_DYNAMIC, 0.02}, {WB_I8_STATIC, 0.04}};
enum { N_PRECISIONS = sizeof precisions / sizeof *precisions };

static void test_every_precision(void **state) {
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {3, 17, 5}, {33, 150, 200}, {7, 64, 64}, {2, 65, 31}};
    bench *b = open_bench();
    for (int p = 0; p < N_PRECISIONS; p++)
        for (int s = 0; s < 5; s++) {
            const int m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            multiply(b, precisions[p].precision, false, m, n, k, 0);
            compare(b, m, n, k, 0, precisions[p].allowed);
        }
    close_bench(b);
}

static void test_autocast(void **state) {
    (void)state;
    bench *b = open_bench();
    for (int p = 1; p <= 2; p++) {
        multiply(b, precisions[p].precision, true, 9, 145, 77, 0);
        compare(b, 9, 145, 77, 0, precisions[p].allowed);
    }
    close_bench(b);
}

// Columns from a panel on, as the pruned last layer asks for, leave the ones before alone.
static void test_from_a_column_on(void **state) {
    (void)state;
    bench *b = open_bench();
    const int first = b->kernels.tile_n;
    for (int p = 0; p < N_PRECISIONS; p++)
        for (int is_autocast = 0; is_autocast < 2; is_autocast++) {
            if (is_autocast && (p == 0 || p >= 3)) continue;
            for (int i = 0; i < MAX_M * MAX_N; i++) b->y[i] = -77.0f;
            multiply(b, precisions[p].precision, is_autocast, 5, 149, 40, first);
            compare(b, 5, 149, 40, first, precisions[p].allowed);
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < first; j++) assert_true(b->y[i * 149 + j] == -77.0f);
        }
    close_bench(b);
}

// The largest of a channel is 127 steps: weights that are whole steps come back as they were.
static void test_int8_uses_all_steps(void **state) {
    (void)state;
    bench *b = open_bench();
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 8; i++) b->w[j * 8 + i] = (float)(i ? 17 * i - 64 : 127) * 0x1p-7f;
    for (int i = 0; i < 3 * 8; i++) b->x[i] = i % 8 == i / 8 ? 1.0f : 0.0f;
    multiply(b, WB_I8_DYNAMIC, false, 3, 4, 8, 0);
    compare(b, 3, 4, 8, 0, 1e-6);
    close_bench(b);
}

static void test_int8_of_strange_weights(void **state) {
    (void)state;
    bench *b = open_bench();
    static const float strange[] = {0.0f, 1e-45f, 2.6e-43f, 1e-38f, 1e37f, NAN, INFINITY};
    for (size_t s = 0; s < sizeof strange / sizeof *strange; s++) {
        for (int i = 0; i < 4 * 8; i++) b->w[i] = i % 3 ? strange[s] : -strange[s] / 2.0f;
        multiply(b, WB_I8_DYNAMIC, false, 3, 4, 8, 0);
        // What a broken weight makes of its row is not promised; that finite ones are near is.
        if (isfinite(strange[s]) && strange[s] > 1e-40f) compare(b, 3, 4, 8, 0, 0.02);
        if (strange[s] == 0.0f)
            for (int i = 0; i < 12; i++) assert_true(b->y[i] == b->bias[i % 4]);
    }
    close_bench(b);
}

// What lies beyond the range becomes its end; a range of nothing makes every product the bias.
static void test_static_range(void **state) {
    (void)state;
    bench *b = open_bench();
    static const float ranges[] = {0.25f, 0.0f};
    for (int r = 0; r < 2; r++) {
        const wb_matrix_scales scales = {.x_max = ranges[r]};
        wb_linear linear;
        assert_int_equal(wb_linear_pack(&linear, &b->kernels, WB_I8_STATIC, false, &scales, b->w,
                                        b->bias, 20, 30, NULL),
                         WB_OK);
        for (int i = 0; i < 2 * 30; i++) b->x[i] = i < 30 ? 1e30f : 0.25f;
        wb_linear_forward(
            &b->team,
            &(wb_product){
                .linear = &linear, .n = 20, .y = b->y, .ld_y = 20, .x = b->x, .ld_x = 30, .m = 2});
        for (int j = 0; j < 20; j++) {
            assert_true(b->y[j] == b->y[20 + j]);
            assert_true(r == 0 || b->y[j] == b->bias[j]);
        }
        wb_linear_free(&linear);
    }
    wb_linear linear;
    wb_error err;
    assert_int_equal(
        wb_linear_pack(&linear, &b->kernels, WB_I8_STATIC, false, NULL, b->w, b->bias, 4, 8, &err),
        WB_ERR_ARGUMENT);
    assert_null(linear.panels);
    close_bench(b);
}

enum { UP_N = 150, UP_K = 40, DOWN_N = 20 };

// Two products, one after the other.
static void multiply_both(bench *b, const wb_linear *up, const wb_linear *down, float *between,
                          void *narrow) {
    wb_linear_forward(&b->team, &(wb_product){.linear = up,
                                              .n = UP_N,
                                              .y = between,
                                              .ld_y = UP_N,
                                              .x = b->x,
                                              .ld_x = UP_K,
                                              .m = MAX_M,
                                              .activation = WB_GELU,
                                              .next = down,
                                              .y_narrow = narrow});
    wb_linear_forward(&b->team, &(wb_product){.linear = down,
                                              .n = DOWN_N,
                                              .y = b->y,
                                              .ld_y = DOWN_N,
                                              .x = between,
                                              .ld_x = UP_N,
                                              .m = MAX_M,
                                              .x_narrow = narrow});
}

// What flows from product to product in their precision changes no bit.
static void test_narrow_between_products(void **state) {
    (void)state;
    static const wb_precision narrow[] = {WB_I8_STATIC, WB_BF16};
    bench *b = open_bench();
    const wb_matrix_scales scales[2] = {{.x_max = 0.5f}, {.x_max = 1.5f}};
    for (int p = 0; p < 2; p++) {
        wb_linear up, down;
        assert_int_equal(wb_linear_pack(&up, &b->kernels, narrow[p], false, &scales[0], b->w,
                                        b->bias, UP_N, UP_K, NULL),
                         WB_OK);
        assert_int_equal(wb_linear_pack(&down, &b->kernels, narrow[p], false, &scales[1], b->w,
                                        b->bias, DOWN_N, UP_N, NULL),
                         WB_OK);
        float between[MAX_M * UP_N], wide[MAX_M * DOWN_N];
        uint16_t kept[MAX_M * UP_N];
        multiply_both(b, &up, &down, between, NULL);
        memcpy(wide, b->y, sizeof wide);
        const bool can_bf16 = b->kernels.gemm_bf16_to_bf16;
        assert_int_equal(wb_linear_keeps_narrow(&b->team, &up, &down), p == 0 || can_bf16);
        if (p == 0 || can_bf16) {
            for (int i = 0; i < MAX_M * UP_N; i++) between[i] = NAN;
            memset(b->y, 0, sizeof wide);
            multiply_both(b, &up, &down, between, kept);
            assert_memory_equal(wide, b->y, sizeof wide);
        }
        wb_linear_free(&up);
        wb_linear_free(&down);
    }
    close_bench(b);
}

// Not where the next product wants f32, and not where somebody looks at what is in between.
static void test_narrow_only_where_both_are(void **state) {
    (void)state;
    bench *b = open_bench();
    const wb_linear i8 = {.precision = WB_I8_STATIC}, dynamic = {.precision = WB_I8_DYNAMIC},
                    f32 = {.precision = WB_F32};
    assert_false(wb_linear_keeps_narrow(&b->team, &i8, &f32));
    assert_false(wb_linear_keeps_narrow(&b->team, &dynamic, &dynamic));
    assert_false(wb_linear_keeps_narrow(&b->team, &f32, &f32));
    const wb_product_tap tap = {.see = NULL};
    b->team.tap = &tap;
    assert_false(wb_linear_keeps_narrow(&b->team, &i8, &i8));
    close_bench(b);
}

// Doubles the inputs of the first product it sees, and only those.
static const float *double_inputs(void *context, const wb_product *product) {
    static float doubled[MAX_M * MAX_K];
    int *n_seen = context;
    if ((*n_seen)++ > 0) return NULL;
    for (int i = 0; i < product->m; i++)
        for (int j = 0; j < product->linear->k; j++)
            doubled[i * product->linear->k + j] = 2.0f * product->x[i * product->ld_x + j];
    return doubled;
}

static void test_tap(void **state) {
    (void)state;
    bench *b = open_bench();
    wb_linear linear;
    int n_seen = 0;
    const wb_product_tap tap = {.see = double_inputs, .context = &n_seen};
    for (int i = 0; i < MAX_N; i++) b->bias[i] = 0.0f;
    assert_int_equal(
        wb_linear_pack(&linear, &b->kernels, WB_F32, false, NULL, b->w, b->bias, 30, 50, NULL),
        WB_OK);
    float first[7 * 30];
    for (int i = 0; i < 2; i++) {
        b->team.tap = &tap;
        wb_linear_forward(
            &b->team,
            &(wb_product){
                .linear = &linear, .n = 30, .y = b->y, .ld_y = 30, .x = b->x, .ld_x = 50, .m = 7});
        if (i == 0) memcpy(first, b->y, sizeof first);
    }
    assert_int_equal(n_seen, 2);
    for (int i = 0; i < 7 * 30; i++) assert_true(first[i] == 2.0f * b->y[i]);
    wb_linear_free(&linear);
    close_bench(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_precision),
        cmocka_unit_test(test_autocast),
        cmocka_unit_test(test_from_a_column_on),
        cmocka_unit_test(test_int8_uses_all_steps),
        cmocka_unit_test(test_int8_of_strange_weights),
        cmocka_unit_test(test_static_range),
        cmocka_unit_test(test_narrow_between_products),
        cmocka_unit_test(test_narrow_only_where_both_are),
        cmocka_unit_test(test_tap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
