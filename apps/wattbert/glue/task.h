// SPDX-License-Identifier: Apache-2.0
// The nine tasks of GLUE (MNLI counts twice: matched and mismatched) as a table: where
// their files lie, what a label means, which score is the headline. Everything else in
// glue/ is told a task and knows none by name.
#ifndef GLUE_TASK_H
#define GLUE_TASK_H

#include <stdbool.h>
#include <stddef.h>

// The headline of a task, as GLUE's leaderboard counts it.
typedef enum glue_headline {
    GLUE_MATTHEWS,     // CoLA
    GLUE_ACCURACY,     // SST-2, QNLI, RTE, WNLI, MNLI
    GLUE_ACCURACY_F1,  // MRPC, QQP: the mean of both
    GLUE_CORRELATION,  // STS-B: the mean of Pearson and Spearman
} glue_headline;

enum { GLUE_MAX_LABELS = 3, GLUE_MAX_FILES = 4 };

typedef struct glue_task {
    const char *name;                       // "mnli-mm", as on the command line
    const char *family;                     // "mnli": what a model's folder is called after
    const char *folder;                     // "MNLI", below the GLUE folder
    const char *dev_files[GLUE_MAX_FILES];  // tried in order, NULL ends the list
    const char *train_files[GLUE_MAX_FILES];
    glue_headline headline;
    bool has_pairs;
    int n_labels;                               // 1: a score, regression
    const char *labels[GLUE_MAX_LABELS];        // GLUE's order; a file may also say 0, 1, 2
    const char *other_labels[GLUE_MAX_LABELS];  // a second spelling that checkpoints use, or NULL
} glue_task;

// NULL for an unknown name; names compare without case.
const glue_task *glue_task_find(const char *name);
// index from 0 in the order of the table; NULL past the end.
const glue_task *glue_task_at(int index);

// "matthews", "accuracy", "mean of accuracy and f1", "mean of pearson and spearman".
const char *glue_headline_name(glue_headline headline);

// GLUE's number of a label written as a name or a number, -1 for anything else. Names compare
// without case, and '-' and ' ' count as '_'.
int glue_label_parse(const glue_task *task, const char *text, size_t n_bytes);

#endif
