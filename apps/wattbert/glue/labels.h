// SPDX-License-Identifier: Apache-2.0
// Which GLUE label each output of a model means. Published checkpoints disagree: MNLI's
// LABEL_0 is entailment in some and contradiction in others, and reading it naively turns a
// score of 0.7 into 0.14. Never decided silently: the source goes into every result.
#ifndef GLUE_LABELS_H
#define GLUE_LABELS_H

#include "glue/task.h"
#include "wattbert/wattbert.h"

typedef struct glue_label_order {
    int n_labels;
    int map[GLUE_MAX_LABELS];  // output i means GLUE's label map[i]
    char source[160];          // "names in config.json", "found on 300 training examples, ..."
    char warning[256];         // "" or what the user must know
} glue_label_order;

// By the names in id2label; false where they do not name all of the task's labels.
bool glue_order_by_names(glue_label_order *order, const glue_task *task, const wb_model_info *info);

// By the permutation under which logits[n, n_labels] agree best with truth[n]; n may be 0, and
// then GLUE's own order is assumed, with a warning. Two labels keep GLUE's order unless the other
// one is better beyond chance.
void glue_order_by_search(glue_label_order *order, const glue_task *task, const float *logits,
                          const double *truth, int n);

// From "2,0,1"; false unless it is a permutation of the task's labels.
bool glue_order_parse(glue_label_order *order, const glue_task *task, const char *text);

// predicted[n] <- GLUE's label of the largest logit (the first of equals), or the logit itself
// where the task is a regression. Returns how many rows hold a logit that is no finite number.
int glue_predict(double *predicted, const glue_label_order *order, const float *logits, int n);

// "2 0 1 (found on ...)", the form of results.csv.
void glue_order_print(char *out, size_t capacity, const glue_label_order *order);

#endif
