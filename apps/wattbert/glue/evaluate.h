// SPDX-License-Identifier: Apache-2.0
// A model on a task: whether they fit, what its outputs mean, what it predicts and scores.
// `eval` does it once, `study` for every technique.
#ifndef GLUE_EVALUATE_H
#define GLUE_EVALUATE_H

#include "glue/dataset.h"
#include "glue/labels.h"
#include "glue/metrics.h"

enum { GLUE_ORDER_EXAMPLES = 300 };

// WB_ERR_ARGUMENT where the model has another number of outputs than the task has labels.
wb_status glue_check_model(const glue_task *task, const wb_model_info *info, wb_error *err);

// *order <- what the outputs mean: given ("2,0,1", may be NULL), else by the names in config.json,
// else found on GLUE_ORDER_EXAMPLES training examples below dir (may be NULL), which engine
// classifies. Where nothing tells, two labels are assumed in GLUE's order with a warning.
//   WB_ERR_ARGUMENT  given is no order; or three labels and nothing tells
wb_status glue_order_decide(glue_label_order *order, const glue_task *task, const wb_model *model,
                            wb_engine *engine, const char *dir, const char *given, wb_error *err);

typedef struct glue_result {
    int n_examples;
    double *predicted;  // [n_examples] GLUE's labels, or scores
    glue_scores scores;
    glue_interval headline;
    int n_bad;  // examples with a logit that is no finite number
} glue_result;

// *out <- predictions and scores of logits[n_examples, n_labels]; glue_result_close it.
wb_status glue_result_open(glue_result *out, const glue_data *data, const glue_label_order *order,
                           const float *logits, uint64_t seed, wb_error *err);
void glue_result_close(glue_result *result);

#endif
