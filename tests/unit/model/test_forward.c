// SPDX-License-Identifier: Apache-2.0
// The whole forward of models of odd sizes: against the reference in double precision, and
// bit against bit where the plan promises it: any batch, any threads, any block size, any
// instruction set.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../support/model_harness.h"

enum { N_TEXTS = 7, MAX_LABELS = 300 };

// Nothing is a multiple of anything a register or a panel holds, but the last.
static const wb_shape shapes[] = {
    {.n_layers = 2,
     .d_model = 21,
     .n_heads = 3,
     .d_head = 7,
     .d_ff = 50,
     .vocab_size = 37,
     .max_positions = 40,
     .n_labels = 3,
     .max_length = 33,
     .activation = WB_GELU},
    {.n_layers = 1,
     .d_model = 5,
     .n_heads = 5,
     .d_head = 1,
     .d_ff = 3,
     .vocab_size = 2,
     .max_positions = 3,
     .n_labels = 1,
     .max_length = 3,
     .activation = WB_RELU},
    {.n_layers = 3,
     .d_model = 70,
     .n_heads = 2,
     .d_head = 35,
     .d_ff = 129,
     .vocab_size = 90,
     .max_positions = 150,
     .n_labels = 300,
     .max_length = 150,
     .activation = WB_SILU},
    {.n_layers = 2,
     .d_model = 64,
     .n_heads = 4,
     .d_head = 16,
     .d_ff = 128,
     .vocab_size = 50,
     .max_positions = 80,
     .n_labels = 2,
     .max_length = 80,
     .activation = WB_GELU},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static int longest_of(const wb_shape *shape) {
    return shape->max_length < 70 ? shape->max_length : 70;
}

static void fill(texts *t, const wb_shape *shape) {
    texts_fill(t, N_TEXTS, longest_of(shape), shape->vocab_size, 7);
}

static void run(float *logits, const wb_shape *shape, const harness_options *options,
                const texts *t) {
    harness *h = harness_open(shape, options);
    harness_forward(h, &t->lists, logits, NULL);
    harness_close(h);
}

static double largest_difference(const float *a, const float *b, int n) {
    double largest = 0.0;
    for (int i = 0; i < n; i++) {
        const double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= largest)) largest = difference;  // NaN counts
    }
    return largest;
}

static double rms(const float *a, const float *b, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        const double x = (double)a[i] - (b ? (double)b[i] : 0.0);
        sum += x * x / n;
    }
    return sqrt(sum);
}

// ---- Against the reference ----

// Logits are sums of about d_model terms of order 1 after some hundred roundings of 6e-8 each:
// 2e-5 leaves a factor of 10 to the largest seen (2e-6), and any wrong index is 1e-2 or more.
#define F32_TOLERANCE 2e-5

static void compare(const wb_shape *shape, const harness_options *options, const texts *t,
                    const double *want) {
    float logits[N_TEXTS * MAX_LABELS];
    run(logits, shape, options, t);
    for (int i = 0; i < N_TEXTS * shape->n_labels; i++)
        if (!(fabs((double)logits[i] - want[i]) <= F32_TOLERANCE))
            fail_msg("%s, %d threads, d_model %d: text %d label %d is %.7f, not %.7f",
                     options->technique, options->n_threads, shape->d_model, i / shape->n_labels,
                     i % shape->n_labels, (double)logits[i], want[i]);
}

static void test_f32_against_reference(void **state) {
    (void)state;
    for (int s = 0; s < N_SHAPES; s++) {
        const wb_shape *shape = &shapes[s];
        texts t;
        fill(&t, shape);
        double want[N_TEXTS * MAX_LABELS];
        for (int i = 0; i < N_TEXTS; i++)
            reference_forward(shape, want + i * shape->n_labels, t.ids + t.offsets[i],
                              (int)text_length(&t, i));
        const int length = longest_of(shape);
        const harness_options options[] = {
            {.technique = "baseline", .n_threads = 1, .padded_length = length},
            {.technique = "baseline", .n_threads = 3, .is_sorted = true},
            {.technique = "f32-flash", .n_threads = 3, .padded_length = length},
            {.technique = "f32-flash", .n_threads = 1, .is_sorted = true},
            {.technique = "baseline+packed", .n_threads = 3},
            {.technique = "f32-flash+packed", .n_threads = 1},
        };
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            compare(shape, &options[i], &t, want);
    }
}

// ---- Bit against bit ----

// Every one of others[n] gives the bits of first.
static void same_bits(const wb_shape *shape, const harness_options *first,
                      const harness_options *others, int n) {
    texts t;
    fill(&t, shape);
    float want[N_TEXTS * MAX_LABELS], got[N_TEXTS * MAX_LABELS];
    run(want, shape, first, &t);
    const int n_logits = N_TEXTS * shape->n_labels;
    for (int i = 0; i < n; i++) {
        run(got, shape, &others[i], &t);
        if (memcmp(got, want, (size_t)n_logits * sizeof *got) == 0) continue;
        fail_msg("%s %s and %s %s: d_model %d, logits differ by %g", first->technique,
                 first->isa ? first->isa : "", others[i].technique,
                 others[i].isa ? others[i].isa : "", shape->d_model,
                 largest_difference(got, want, n_logits));
    }
}

static const char *const invariant[] = {"f32-flash+packed",    "baseline+packed",
                                        "i8-dynamic+packed",   "bf16+packed",
                                        "autocast-f16+packed", "flash+packed"};
enum { N_INVARIANT = sizeof invariant / sizeof *invariant };

static void test_alone_or_in_any_batch(void **state) {
    (void)state;
    for (int s = 0; s < N_SHAPES; s++)
        for (int i = 0; i < N_INVARIANT; i++) {
            const wb_shape *shape = &shapes[s];
            const harness_options options = {.technique = invariant[i], .is_emulated = true};
            texts t;
            fill(&t, shape);
            float together[N_TEXTS * MAX_LABELS], alone[MAX_LABELS];
            harness *h = harness_open(shape, &options);
            harness_forward(h, &t.lists, together, NULL);
            for (int text = 0; text < N_TEXTS; text++) {
                size_t offsets[2];
                int order[1];
                const wb_id_lists one = texts_one(&t, text, offsets, order);
                harness_forward(h, &one, alone, NULL);
                const size_t n = (size_t)shape->n_labels;
                assert_memory_equal(alone, together + (size_t)text * n, n * sizeof *alone);
            }
            harness_close(h);
        }
}

static void test_any_threads_blocks_and_budget(void **state) {
    (void)state;
    for (int s = 0; s < N_SHAPES; s++)
        for (int i = 0; i < N_INVARIANT; i++) {
            const harness_options one = {.technique = invariant[i], .is_emulated = true};
            harness_options others[2] = {one, one};
            others[0].n_threads = 4;
            others[1].n_threads = 3;
            others[1].block_rows = 7;
            others[1].token_budget = 50;
            same_bits(&shapes[s], &one, others, 2);
        }
}

static void test_isas_agree(void **state) {
    (void)state;
    static const char *const techniques[] = {"baseline", "f32-flash+packed", "i8-dynamic",
                                             "i8-dynamic+packed"};
    for (int s = 0; s < N_SHAPES; s++)
        for (int i = 0; i < 4; i++) {
            const harness_options scalar = {.technique = techniques[i], .isa = "scalar"};
            const harness_options others[2] = {{.technique = techniques[i], .isa = "avx2"},
                                               {.technique = techniques[i]}};
            same_bits(&shapes[s], &scalar, others, 2);
        }
}

static const wb_kernels *beneath;
static atomic_int n_narrow;

// As kernels.h states gemm_bf16_to_bf16, for a machine that has none.
static void multiply_and_cast(uint16_t *y, int ld_y, const uint16_t *x, int ld_x,
                              const void *packed, int m, int n, int k,
                              const wb_epilogue *epilogue) {
    float *wide = malloc((size_t)m * (size_t)n * sizeof *wide);
    if (!wide) abort();
    beneath->gemm_bf16(wide, n, x, ld_x, packed, m, n, k, epilogue);
    beneath->cast_bf16(y, ld_y, wide, n, m, n);
    free(wide);
    n_narrow++;
}

// A product that leaves bf16 for the next one changes no bit.
static void test_bf16_between_products(void **state) {
    (void)state;
    for (int s = 0; s < N_SHAPES; s++)
        for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
            texts t;
            fill(&t, &shapes[s]);
            float f32[N_TEXTS * MAX_LABELS], bf16[N_TEXTS * MAX_LABELS];
            harness *h = harness_open(&shapes[s], &(harness_options){.technique = "bf16+packed",
                                                                     .n_threads = n_threads,
                                                                     .is_emulated = true});
            h->kernels.gemm_bf16_to_bf16 = NULL;
            harness_forward(h, &t.lists, f32, NULL);
            beneath = &h->kernels;
            h->kernels.gemm_bf16_to_bf16 = multiply_and_cast;
            n_narrow = 0;
            harness_forward(h, &t.lists, bf16, NULL);
            assert_true(n_narrow > 0);
            assert_memory_equal(f32, bf16, N_TEXTS * (size_t)shapes[s].n_labels * sizeof *f32);
            harness_close(h);
        }
}

// Casting at each use rounds as packing once does.
static void test_autocast_equals_stored(void **state) {
    (void)state;
    for (int s = 0; s < N_SHAPES; s++) {
        same_bits(&shapes[s], &(harness_options){.technique = "autocast-bf16", .is_emulated = true},
                  &(harness_options){.technique = "bf16", .is_emulated = true}, 1);
        same_bits(&shapes[s],
                  &(harness_options){.technique = "autocast-f16+packed", .is_emulated = true},
                  &(harness_options){.technique = "f16+packed", .is_emulated = true}, 1);
    }
}

// Rows that no logit depends on change nothing, whether they are padding or the last layer's.
static void test_padded_and_packed_agree(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"baseline", "baseline+packed"},
                                           {"f32-flash", "f32-flash+packed"}};
    for (int s = 0; s < N_SHAPES; s++)
        for (int i = 0; i < 2; i++) {
            texts t;
            fill(&t, &shapes[s]);
            const int n = N_TEXTS * shapes[s].n_labels;
            float padded[N_TEXTS * MAX_LABELS], packed[N_TEXTS * MAX_LABELS];
            run(padded, &shapes[s],
                &(harness_options){.technique = pairs[i][0],
                                   .padded_length = longest_of(&shapes[s])},
                &t);
            run(packed, &shapes[s], &(harness_options){.technique = pairs[i][1]}, &t);
            assert_true(largest_difference(padded, packed, n) <= 1e-5);
        }
}

// ---- Lower precisions ----

// Relative to the logits' own size. bf16 keeps 8 bits: 2^-9 of each of the operands, averaged
// over k and added up over a few layers. int8 keeps 1/254 of the largest of a row, about 1/80
// of a usual element.
static void test_lower_precisions_are_near(void **state) {
    (void)state;
    static const struct {
        const char *technique;
        double share;
    } bounds[] = {{"bf16+packed", 0.02},
                  {"autocast-bf16", 0.02},
                  {"f16-flash+packed", 0.003},
                  {"i8-dynamic", 0.05},
                  {"i8-dynamic+packed", 0.05}};
    for (int s = 2; s < N_SHAPES; s++) {
        texts t;
        fill(&t, &shapes[s]);
        const int n = N_TEXTS * shapes[s].n_labels;
        float f32[N_TEXTS * MAX_LABELS], other[N_TEXTS * MAX_LABELS];
        run(f32, &shapes[s], &(harness_options){.technique = "f32-flash+packed"}, &t);
        for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
            run(other, &shapes[s],
                &(harness_options){.technique = bounds[i].technique,
                                   .padded_length = longest_of(&shapes[s]),
                                   .is_emulated = true},
                &t);
            const double share = rms(f32, other, n) / rms(f32, NULL, n);
            if (!(share <= bounds[i].share) || share == 0.0)
                fail_msg("%s, d_model %d: logits move by %g of themselves, allowed %g",
                         bounds[i].technique, shapes[s].d_model, share, bounds[i].share);
        }
    }
}

// ---- The tap ----

typedef struct sight {
    int n_embeddings, n_attention, n_layers;
    int rows_of_last;
} sight;

static void see(void *context, wb_tap_point point, int layer, const float *x, int n_rows) {
    sight *seen = context;
    (void)x;
    (void)layer;
    seen->n_embeddings += point == WB_TAP_EMBEDDINGS;
    seen->n_attention += point == WB_TAP_ATTENTION;
    seen->n_layers += point == WB_TAP_LAYER;
    seen->rows_of_last = n_rows;
}

static void test_tap_sees_every_component(void **state) {
    (void)state;
    const wb_shape *shape = &shapes[0];
    texts t;
    fill(&t, shape);
    float logits[N_TEXTS * MAX_LABELS];
    harness *h = harness_open(shape, &(harness_options){.technique = "f32-flash+packed"});
    sight seen = {0};
    harness_forward(h, &t.lists, logits, &(wb_tap){.see = see, .context = &seen});
    assert_int_equal(seen.n_embeddings, 1);
    assert_int_equal(seen.n_attention, 2);
    assert_int_equal(seen.n_layers, 2);
    assert_int_equal(seen.rows_of_last, N_TEXTS);  // pruned: one row a text
    harness_close(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_against_reference),
        cmocka_unit_test(test_alone_or_in_any_batch),
        cmocka_unit_test(test_any_threads_blocks_and_budget),
        cmocka_unit_test(test_isas_agree),
        cmocka_unit_test(test_bf16_between_products),
        cmocka_unit_test(test_autocast_equals_stored),
        cmocka_unit_test(test_padded_and_packed_agree),
        cmocka_unit_test(test_lower_precisions_are_near),
        cmocka_unit_test(test_tap_sees_every_component),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
