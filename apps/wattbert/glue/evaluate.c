// SPDX-License-Identifier: Apache-2.0
// Where models meet data sets. The training examples that settle a label order are drawn with
// a fixed seed over the whole file, so that a file sorted by label or source does no harm.
#include "glue/evaluate.h"

#include <stdio.h>
#include <string.h>

wb_status glue_check_model(const glue_task *task, const wb_model_info *info, wb_error *err) {
    if (info->n_labels == task->n_labels) return WB_OK;
    return wb_fail(err, WB_ERR_ARGUMENT, 0,
                   "%s has %d outputs and task %s has %d labels, give a model trained on it",
                   info->path, info->n_labels, task->name, task->n_labels);
}

// Classifies a sample of the training file and searches. A file that is missing or malformed
// leaves the search with no examples; it is no part of the score.
static wb_status search_order(glue_label_order *order, const glue_task *task, wb_engine *engine,
                              const char *dir, wb_error *err) {
    char path[4096];
    glue_data *data = NULL;
    wb_error problem = {.message = "no folder of GLUE files given"};
    const bool is_found = dir && !glue_data_find(path, sizeof path, task, dir, "train", &problem) &&
                          !glue_data_open(&data, task, path, &problem);
    if (!is_found) {
        if (task->n_labels > 2)
            return wb_fail(err, WB_ERR_ARGUMENT, 0,
                           "config.json names no labels and their order cannot be found (%s), "
                           "give --label-order",
                           problem.message);
        glue_order_by_search(order, task, NULL, NULL, 0);
        return WB_OK;
    }
    const int n = data->n_examples < GLUE_ORDER_EXAMPLES ? data->n_examples : GLUE_ORDER_EXAMPLES;
    int chosen[GLUE_ORDER_EXAMPLES];
    wb_text texts[GLUE_ORDER_EXAMPLES];
    double truth[GLUE_ORDER_EXAMPLES];
    float logits[GLUE_ORDER_EXAMPLES * GLUE_MAX_LABELS];
    glue_sample(chosen, n, data->n_examples, 1);
    for (int i = 0; i < n; i++) {
        texts[i] = data->texts[chosen[i]];
        truth[i] = data->labels[chosen[i]];
    }
    const wb_status status = wb_classify(engine, texts, n, logits, err);
    if (!status) glue_order_by_search(order, task, logits, truth, n);
    glue_data_close(data);
    return status;
}

wb_status glue_order_decide(glue_label_order *order, const glue_task *task, const wb_model *model,
                            wb_engine *engine, const char *dir, const char *given, wb_error *err) {
    if (given && task->n_labels > 1) {
        if (glue_order_parse(order, task, given)) return WB_OK;
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "label order \"%s\" is none of the %d labels of %s, write %s", given,
                       task->n_labels, task->name, task->n_labels == 3 ? "2,0,1" : "1,0");
    }
    if (glue_order_by_names(order, task, wb_model_describe(model))) return WB_OK;
    return search_order(order, task, engine, dir, err);
}

wb_status glue_result_open(glue_result *out, const glue_data *data, const glue_label_order *order,
                           const float *logits, uint64_t seed, wb_error *err) {
    const int n = data->n_examples;
    *out = (glue_result){.n_examples = n};
    out->predicted = wb_alloc_array((size_t)n, sizeof *out->predicted);
    if (!out->predicted) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d predictions", n);
    out->n_bad = glue_predict(out->predicted, order, logits, n);
    wb_status status = glue_score(&out->scores, data->task, out->predicted, data->labels, n, err);
    if (!status)
        status =
            glue_bootstrap(&out->headline, data->task, out->predicted, data->labels, n, seed, err);
    if (status) glue_result_close(out);
    return status;
}

void glue_result_close(glue_result *result) {
    wb_free(result->predicted);
    *result = (glue_result){0};
}
