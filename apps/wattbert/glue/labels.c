// SPDX-License-Identifier: Apache-2.0
// Names first, training examples where there are only LABEL_0, LABEL_1. With at most three
// labels all six orders are simply tried.
#include "glue/labels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Lexicographic, so that GLUE's own order is the first of equals.
static const int permutations[6][GLUE_MAX_LABELS] = {
    {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0},
};

static void identity(glue_label_order *order, const glue_task *task) {
    *order = (glue_label_order){.n_labels = task->n_labels, .map = {0, 1, 2}};
}

bool glue_order_by_names(glue_label_order *order, const glue_task *task,
                         const wb_model_info *info) {
    identity(order, task);
    if (task->n_labels == 1) {
        snprintf(order->source, sizeof order->source, "regression, no order");
        return true;
    }
    if (!info->has_label_names || info->n_labels != task->n_labels) return false;
    unsigned seen = 0;
    for (int i = 0; i < task->n_labels; i++) {
        const size_t n_bytes = strlen(info->labels[i]);
        // A name that is only a digit says no more than LABEL_0.
        const int label = n_bytes > 1 ? glue_label_parse(task, info->labels[i], n_bytes) : -1;
        if (label < 0) return false;
        order->map[i] = label;
        seen |= 1u << label;
    }
    snprintf(order->source, sizeof order->source, "names in config.json");
    return seen == (1u << task->n_labels) - 1;
}

static int argmax(const float *logits, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

// counts[output][label] of n examples.
static void count_outputs(int counts[GLUE_MAX_LABELS][GLUE_MAX_LABELS], const float *logits,
                          const double *truth, int n, int n_labels) {
    memset(counts, 0, GLUE_MAX_LABELS * GLUE_MAX_LABELS * sizeof(int));
    for (int i = 0; i < n; i++) counts[argmax(logits + i * n_labels, n_labels)][(int)truth[i]]++;
}

static int count_right(int counts[GLUE_MAX_LABELS][GLUE_MAX_LABELS], const int *map, int n_labels) {
    int right = 0;
    for (int i = 0; i < n_labels; i++) right += counts[i][map[i]];
    return right;
}

// An order is trusted where it beats the next one by 3 standard deviations of a difference of
// n coin flips; chance then picks a wrong one in about 1 of 700 cases.
static bool is_clear(int right, int other, int n) {
    return right - other > 3.0 * sqrt(n);
}

void glue_order_by_search(glue_label_order *order, const glue_task *task, const float *logits,
                          const double *truth, int n) {
    identity(order, task);
    const int n_labels = task->n_labels, n_orders = n_labels == 2 ? 3 : 6;
    if (n == 0) {
        snprintf(order->source, sizeof order->source, "assumed to be GLUE's, no training file");
        snprintf(order->warning, sizeof order->warning,
                 "label order: config.json names no labels and there is no training file to find "
                 "it with, GLUE's order is assumed: give --label-order if that is wrong");
        return;
    }
    int counts[GLUE_MAX_LABELS][GLUE_MAX_LABELS];
    count_outputs(counts, logits, truth, n, n_labels);
    int best = 0, best_right = -1, next_right = -1;
    // With two labels the third is never an output: of the six orders, {0, 1} and {1, 0} come
    // first at places 0 and 2.
    for (int i = 0; i < n_orders; i += n_labels == 2 ? 2 : 1) {
        const int right = count_right(counts, permutations[i], n_labels);
        if (right > best_right) {
            next_right = best_right;
            best_right = right;
            best = i;
        } else if (right > next_right) {
            next_right = right;
        }
    }
    const bool clear = is_clear(best_right, next_right, n);
    // Binary checkpoints without names keep GLUE's order, and a weak model's guesses are no
    // evidence against it.
    if (n_labels == 2 && best != 0 && !clear) best = 0;
    memcpy(order->map, permutations[best], sizeof order->map);
    snprintf(order->source, sizeof order->source, "found on %d training examples, accuracy %.2f", n,
             (double)count_right(counts, order->map, n_labels) / n);
    if (!clear)
        snprintf(order->warning, sizeof order->warning,
                 "label order: %d training examples do not settle it (best order %d right, next "
                 "%d): give --label-order if it is wrong",
                 n, best_right, next_right);
}

bool glue_order_parse(glue_label_order *order, const glue_task *task, const char *text) {
    identity(order, task);
    unsigned seen = 0;
    for (int i = 0; i < task->n_labels; i++) {
        const int label = text[0] - '0';
        if (label < 0 || label >= task->n_labels) return false;
        order->map[i] = label;
        seen |= 1u << label;
        text++;
        if (i + 1 < task->n_labels && *text++ != ',') return false;
    }
    snprintf(order->source, sizeof order->source, "given");
    return !*text && seen == (1u << task->n_labels) - 1;
}

int glue_predict(double *predicted, const glue_label_order *order, const float *logits, int n) {
    int n_bad = 0;
    for (int i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * (size_t)order->n_labels;
        bool is_bad = false;
        for (int k = 0; k < order->n_labels; k++) is_bad |= !isfinite(row[k]);
        n_bad += is_bad;
        if (order->n_labels == 1)
            predicted[i] = row[0];
        else
            predicted[i] = order->map[argmax(row, order->n_labels)];
    }
    return n_bad;
}

void glue_order_print(char *out, size_t capacity, const glue_label_order *order) {
    int n = 0;
    for (int i = 0; i < order->n_labels && n >= 0 && (size_t)n < capacity; i++)
        n += snprintf(out + n, capacity - (size_t)n, "%d ", order->map[i]);
    if (n >= 0 && (size_t)n < capacity)
        snprintf(out + n, capacity - (size_t)n, "(%s)", order->source);
}
