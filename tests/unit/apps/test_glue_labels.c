// SPDX-License-Identifier: Apache-2.0
// The order of labels: names decide, training examples find it where there are none, and what
// is not certain is said.
#include "glue/labels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static wb_model_info model(const char *const *labels, int n_labels) {
    return (wb_model_info){
        .path = "model", .n_labels = n_labels, .labels = labels, .has_label_names = 1};
}

static void assert_order(const glue_label_order *order, int a, int b, int c) {
    assert_int_equal(order->map[0], a);
    assert_int_equal(order->map[1], b);
    if (order->n_labels > 2) assert_int_equal(order->map[2], c);
}

static void test_names(void **state) {
    (void)state;
    glue_label_order order;
    const char *const roberta[] = {"CONTRADICTION", "NEUTRAL", "ENTAILMENT"};
    wb_model_info info = model(roberta, 3);
    assert_true(glue_order_by_names(&order, glue_task_find("mnli"), &info));
    assert_order(&order, 2, 1, 0);
    const char *const sentiment[] = {"POSITIVE", "NEGATIVE"};
    info = model(sentiment, 2);
    assert_true(glue_order_by_names(&order, glue_task_find("sst2"), &info));
    assert_order(&order, 1, 0, 0);
    const char *const nli[] = {"not-entailment", "Entailment"};
    info = model(nli, 2);
    assert_true(glue_order_by_names(&order, glue_task_find("rte"), &info));
    assert_order(&order, 1, 0, 0);
    assert_true(glue_order_by_names(&order, glue_task_find("wnli"), &info));
    assert_order(&order, 0, 1, 0);
}

static void test_names_that_say_nothing(void **state) {
    (void)state;
    glue_label_order order;
    const char *const digits[] = {"0", "1", "2"}, *const moods[] = {"joy", "anger"};
    const char *const twice[] = {"positive", "pos"};
    wb_model_info info = model(digits, 3);
    assert_false(glue_order_by_names(&order, glue_task_find("mnli"), &info));
    info = model(moods, 2);
    assert_false(glue_order_by_names(&order, glue_task_find("sst2"), &info));
    info = model(twice, 2);
    assert_false(glue_order_by_names(&order, glue_task_find("sst2"), &info));
    info = model(digits, 3);
    info.has_label_names = 0;
    assert_false(glue_order_by_names(&order, glue_task_find("mnli"), &info));
}

enum { N = 300 };

// logits of a model that is right with probability `right` and whose output map[i] means label i.
static void imitate(float *logits, double *truth, const int *outputs, int n_labels, double right) {
    wb_random random = {17};
    memset(logits, 0, (size_t)N * (size_t)n_labels * sizeof *logits);
    for (int i = 0; i < N; i++) {
        const int label = (int)wb_random_below(&random, (uint64_t)n_labels);
        const int shift = wb_random_unit(&random) < right
                              ? 0
                              : 1 + (int)wb_random_below(&random, (uint64_t)n_labels - 1);
        truth[i] = label;
        logits[i * n_labels + outputs[(label + shift) % n_labels]] = 1.0f;
    }
}

static void test_search_finds_every_order(void **state) {
    (void)state;
    static float logits[N * 3];
    static double truth[N];
    const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int k = 0; k < 6; k++) {
        int outputs[3];
        for (int i = 0; i < 3; i++) outputs[orders[k][i]] = i;
        imitate(logits, truth, outputs, 3, 0.7);
        glue_label_order order;
        glue_order_by_search(&order, glue_task_find("mnli"), logits, truth, N);
        assert_order(&order, orders[k][0], orders[k][1], orders[k][2]);
        assert_non_null(strstr(order.source, "found on 300 training examples, accuracy 0."));
        assert_string_equal(order.warning, "");
    }
}

static void test_search_of_two(void **state) {
    (void)state;
    static float logits[N * 2];
    static double truth[N];
    const int swapped[] = {1, 0};
    glue_label_order order;
    imitate(logits, truth, swapped, 2, 0.8);
    glue_order_by_search(&order, glue_task_find("cola"), logits, truth, N);
    assert_order(&order, 1, 0, 0);
    // A model that guesses says nothing about its order: GLUE's, and a warning.
    imitate(logits, truth, swapped, 2, 0.52);
    glue_order_by_search(&order, glue_task_find("cola"), logits, truth, N);
    assert_order(&order, 0, 1, 0);
    assert_non_null(strstr(order.warning, "--label-order"));
    glue_order_by_search(&order, glue_task_find("cola"), NULL, NULL, 0);
    assert_order(&order, 0, 1, 0);
    assert_non_null(strstr(order.warning, "assumed"));
}

static void test_given(void **state) {
    (void)state;
    glue_label_order order;
    const glue_task *mnli = glue_task_find("mnli"), *cola = glue_task_find("cola");
    assert_true(glue_order_parse(&order, mnli, "2,0,1"));
    assert_order(&order, 2, 0, 1);
    assert_true(glue_order_parse(&order, cola, "1,0"));
    const char *const wrong[] = {"", "2,0", "2,0,0", "2,0,1,", "2 0 1", "3,0,1", "2,0,1,2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(glue_order_parse(&order, mnli, wrong[i]));
}

static void test_predict(void **state) {
    (void)state;
    const float logits[] = {0.5f, 2.0f, -1.0f, 3.0f, 3.0f, 0.0f, NAN, 0.0f, 1.0f};
    glue_label_order order;
    double predicted[3];
    assert_true(glue_order_parse(&order, glue_task_find("mnli"), "2,0,1"));
    assert_int_equal(glue_predict(predicted, &order, logits, 3), 1);
    assert_true(predicted[0] == 0.0);
    assert_true(predicted[1] == 2.0);  // the first of equals
    char text[64];
    glue_order_print(text, sizeof text, &order);
    assert_string_equal(text, "2 0 1 (given)");
    const float score[] = {3.25f};
    const glue_label_order regression = {.n_labels = 1};
    assert_int_equal(glue_predict(predicted, &regression, score, 1), 0);
    assert_true(predicted[0] == 3.25);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_that_say_nothing),
        cmocka_unit_test(test_search_finds_every_order),
        cmocka_unit_test(test_search_of_two),
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_predict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
