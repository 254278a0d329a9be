// SPDX-License-Identifier: Apache-2.0
// Packed weights as bytes: the same whoever packs them and whatever the memory held before, and as
// good from a block that was packed elsewhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../support/model_harness.h"
#include "plan/scales.h"

static const wb_shape shape = {.n_layers = 2,
                               .d_model = 60,
                               .n_heads = 3,
                               .d_head = 20,
                               .d_ff = 131,
                               .vocab_size = 50,
                               .max_positions = 21,
                               .n_labels = 3,
                               .max_length = 21,
                               .activation = WB_GELU};
static const char *const techniques[] = {"f32-flash+packed", "bf16+packed", "f16+packed",
                                         "i8-dynamic+packed", "autocast-bf16"};
enum { N_TECHNIQUES = sizeof techniques / sizeof *techniques };

static harness *open_model(int technique, int n_threads) {
    return harness_open(&shape, &(harness_options){.technique = techniques[technique],
                                                   .n_threads = n_threads,
                                                   .is_emulated = true});
}

static void test_any_number_of_threads(void **state) {
    (void)state;
    for (int t = 0; t < N_TECHNIQUES; t++) {
        harness *one = open_model(t, 1);
        for (int n_threads = 2; n_threads <= 5; n_threads++) {
            harness *many = open_model(t, n_threads);
            assert_int_equal(many->weights->n_bytes, one->weights->n_bytes);
            assert_memory_equal(many->weights->packed, one->weights->packed, one->weights->n_bytes);
            harness_close(many);
        }
        harness_close(one);
    }
}

// w[n, k] in memory that was full of fill before.
static void pack_over(uint8_t *memory, int fill, const wb_kernels *kernels, wb_precision precision,
                      bool is_autocast, int n, int k) {
    static float w[131 * 77], smooth[77];
    wb_random random = {.state = 5};
    for (int i = 0; i < n * k; i++) w[i] = (float)wb_random_unit(&random) - 0.5f;
    for (int i = 0; i < k; i++) smooth[i] = wb_smooth_step(i % 5 - 2);
    const wb_matrix_scales scales = {.x_max = 0.7f, .smooth = smooth};
    wb_linear linear;
    const size_t n_bytes =
        wb_linear_place(&linear, kernels, precision, is_autocast, &scales, n, k, memory);
    void *scratch = wb_alloc(wb_linear_scratch_bytes(&linear, kernels));
    memset(memory, fill, n_bytes);
    memset(scratch, fill, wb_linear_scratch_bytes(&linear, kernels));
    wb_linear_begin(&linear, &scales, w);
    // Last panel first: the order is the threads'.
    for (int panel = wb_linear_panels(&linear, kernels); panel-- > 0;)
        wb_linear_pack_panel(&linear, kernels, &scales, panel,
                             w + (size_t)panel * (size_t)kernels->tile_n * (size_t)k, scratch);
    wb_free(scratch);
}

static void test_every_byte_is_written(void **state) {
    (void)state;
    static const int sizes[][2] = {{1, 1}, {17, 5}, {131, 77}, {64, 64}, {65, 31}, {100, 6}};
    wb_cpu cpu;
    wb_cpu_detect(&cpu);
    static const char *const sets[] = {NULL, "avx2", "scalar"};
    uint8_t *a = wb_alloc(1 << 20), *b = wb_alloc(1 << 20);
    for (int set = 0; set < 3; set++)
        for (int p = 0; p <= WB_I8_STATIC; p++)
            for (int s = 0; s < 6; s++)
                for (int is_autocast = 0; is_autocast <= (p == WB_BF16 || p == WB_F16);
                     is_autocast++) {
                    const int n = sizes[s][0], k = sizes[s][1];
                    wb_kernels kernels;
                    wb_linear nowhere;
                    wb_kernels_select(&kernels, wb_cpu_limit(cpu.flags, sets[set]));
                    const size_t n_bytes = wb_linear_place(&nowhere, &kernels, (wb_precision)p,
                                                           is_autocast, NULL, n, k, NULL);
                    assert_true(n_bytes <= 1 << 20);
                    assert_int_equal(n_bytes % 64, 0);
                    pack_over(a, 0x00, &kernels, (wb_precision)p, is_autocast, n, k);
                    pack_over(b, 0xff, &kernels, (wb_precision)p, is_autocast, n, k);
                    assert_memory_equal(a, b, n_bytes);
                }
    wb_free(a);
    wb_free(b);
}

static void test_adopted(void **state) {
    (void)state;
    static texts t;
    texts_fill(&t, 9, shape.max_length, shape.vocab_size, 4);
    for (int i = 0; i < N_TECHNIQUES; i++) {
        harness *h = open_model(i, 2);
        float packed[9 * 3], adopted[9 * 3];
        harness_forward(h, &t.lists, packed, NULL);
        wb_weights *own = h->weights, *borrowed;
        const wb_tensor_source source = random_source(&h->shape);
        assert_int_equal(wb_weights_adopt(&borrowed, &h->plan, &h->kernels, &source, own->packed,
                                          own->n_bytes - 64, NULL),
                         WB_ERR_FORMAT);
        assert_null(borrowed);
        assert_int_equal(wb_weights_adopt(&borrowed, &h->plan, &h->kernels, &source, own->packed,
                                          own->n_bytes, NULL),
                         WB_OK);
        h->weights = borrowed;
        harness_forward(h, &t.lists, adopted, NULL);
        assert_memory_equal(packed, adopted, sizeof packed);
        wb_weights_close(own);
        harness_close(h);
    }
}

// Equal where the block is laid out alike, and only there.
static void test_layout(void **state) {
    (void)state;
    uint64_t marks[N_TECHNIQUES], again;
    for (int i = 0; i < N_TECHNIQUES; i++) {
        harness *h = open_model(i, 1);
        assert_int_equal(wb_weights_mark_layout(&marks[i], &h->plan, &h->kernels, NULL), WB_OK);
        assert_int_equal(wb_weights_mark_layout(&again, &h->plan, &h->kernels, NULL), WB_OK);
        assert_true(marks[i] == again);
        h->plan.matrices[3].precision = i == 3 ? WB_F32 : WB_I8_DYNAMIC;
        assert_int_equal(wb_weights_mark_layout(&again, &h->plan, &h->kernels, NULL), WB_OK);
        assert_true((marks[i] != again) == !h->plan.matrices[3].is_autocast);  // that stores f32
        h->plan.matrices[3].precision = h->plan.matrices[2].precision;
        harness_close(h);
    }
    assert_true(marks[0] != marks[1] && marks[0] != marks[3] && marks[1] != marks[3]);
    assert_true(marks[0] == marks[4]);  // autocast keeps f32
}

// The library's rounding to even, for every quotient that is met and what broken files hold.
static void test_rounding(void **state) {
    (void)state;
    enum { K = 64 };
    wb_kernels kernels;
    wb_kernels_select(&kernels, 0);
    wb_random random = {.state = 8};
    for (int round = 0; round < 2000; round++) {
        float w[K], bias[1] = {0.0f}, x[K];
        for (int i = 0; i < K; i++)
            w[i] = round % 2 ? (float)((int)wb_random_below(&random, 509) - 254) / 2.0f
                             : (float)(wb_random_unit(&random) * 2.0 - 1.0);
        w[round % K] = round % 2 ? 127.0f : 1.0f;
        wb_linear linear;
        assert_int_equal(
            wb_linear_pack(&linear, &kernels, WB_I8_DYNAMIC, false, NULL, w, bias, 1, K, NULL),
            WB_OK);
        const float step = linear.w_scale[0];
        const int8_t *rows = (const int8_t *)linear.panels + (size_t)kernels.tile_n * 4;
        for (int i = 0; i < K; i++) {
            x[i] = nearbyintf(w[i] / step);
            const int8_t q = rows[(size_t)(i / 4) * (size_t)kernels.tile_n * 4 + (size_t)(i % 4)];
            assert_int_equal(q, (int)x[i]);
        }
        wb_linear_free(&linear);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_every_byte_is_written),
        cmocka_unit_test(test_adopted),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
