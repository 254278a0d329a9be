// SPDX-License-Identifier: Apache-2.0
// GLUE's tasks, one line each. The order of labels is the one of the released data sets
// (nyu-mll/glue): a file's 0 is labels[0].
#include "glue/task.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define DEV_FILES \
    { "dev.tsv", "dev.jsonl", "validation.jsonl" }
#define TRAIN_FILES \
    { "train.tsv", "train_subset.tsv", "train.jsonl" }

static const glue_task tasks[] = {
    {"cola",
     "cola",
     "CoLA",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_MATTHEWS,
     false,
     2,
     {"unacceptable", "acceptable"},
     {"incorrect", "correct"}},
    {"sst2",
     "sst2",
     "SST-2",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_ACCURACY,
     false,
     2,
     {"negative", "positive"},
     {"neg", "pos"}},
    {"mrpc",
     "mrpc",
     "MRPC",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_ACCURACY_F1,
     true,
     2,
     {"not_equivalent", "equivalent"},
     {"not_paraphrase", "paraphrase"}},
    {"qqp",
     "qqp",
     "QQP",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_ACCURACY_F1,
     true,
     2,
     {"not_duplicate", "duplicate"},
     {"not_paraphrase", "paraphrase"}},
    {"stsb", "stsb", "STS-B", DEV_FILES, TRAIN_FILES, GLUE_CORRELATION, true, 1, {0}, {0}},
    {"mnli",
     "mnli",
     "MNLI",
     {"dev_matched.tsv", "dev_matched.jsonl", "validation_matched.jsonl"},
     TRAIN_FILES,
     GLUE_ACCURACY,
     true,
     3,
     {"entailment", "neutral", "contradiction"},
     {0}},
    {"mnli-mm",
     "mnli",
     "MNLI",
     {"dev_mismatched.tsv", "dev_mismatched.jsonl", "validation_mismatched.jsonl"},
     TRAIN_FILES,
     GLUE_ACCURACY,
     true,
     3,
     {"entailment", "neutral", "contradiction"},
     {0}},
    {"qnli",
     "qnli",
     "QNLI",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_ACCURACY,
     true,
     2,
     {"entailment", "not_entailment"},
     {0}},
    {"rte",
     "rte",
     "RTE",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_ACCURACY,
     true,
     2,
     {"entailment", "not_entailment"},
     {0}},
    {"wnli",
     "wnli",
     "WNLI",
     DEV_FILES,
     TRAIN_FILES,
     GLUE_ACCURACY,
     true,
     2,
     {"not_entailment", "entailment"},
     {0}},
};
enum { N_TASKS = (int)(sizeof tasks / sizeof *tasks) };

const glue_task *glue_task_find(const char *name) {
    for (int i = 0; i < N_TASKS; i++)
        if (strcasecmp(tasks[i].name, name) == 0) return &tasks[i];
    return NULL;
}

const glue_task *glue_task_at(int index) {
    return index >= 0 && index < N_TASKS ? &tasks[index] : NULL;
}

const char *glue_headline_name(glue_headline headline) {
    switch (headline) {
        case GLUE_MATTHEWS: return "matthews";
        case GLUE_ACCURACY: return "accuracy";
        case GLUE_ACCURACY_F1: return "mean of accuracy and f1";
        case GLUE_CORRELATION: return "mean of pearson and spearman";
    }
    return "";
}

static bool is_same_label(const char *label, const char *text, size_t n_bytes) {
    if (!label || strlen(label) != n_bytes) return false;
    for (size_t i = 0; i < n_bytes; i++) {
        const char c = text[i] == '-' || text[i] == ' ' ? '_' : text[i];
        if (tolower((unsigned char)c) != label[i]) return false;
    }
    return true;
}

int glue_label_parse(const glue_task *task, const char *text, size_t n_bytes) {
    for (int i = 0; i < task->n_labels; i++) {
        if (n_bytes == 1 && text[0] == '0' + i) return i;
        if (is_same_label(task->labels[i], text, n_bytes)) return i;
        if (is_same_label(task->other_labels[i], text, n_bytes)) return i;
    }
    return -1;
}
