// SPDX-License-Identifier: Apache-2.0
// Techniques on one model, all or those named: what each runs on this machine, or why it cannot,
// and how far its logits are from baseline's.
//
//     techniques MODEL_DIR [TECHNIQUE...]
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wattbert/wattbert.h>

static const char text[] = "it never quite decides what it wants to be, and yet I smiled";

static double largest_difference(const float *a, const float *b, int n) {
    double largest = 0.0;
    for (int i = 0; i < n; i++) largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

// The table's line of one technique; reference[n_labels] is set by baseline, the first of all.
static int try_technique(const wb_model *model, const wb_technique *technique, float *reference,
                         float *logits) {
    wb_options options = wb_default_options();
    options.technique = technique->name;
    wb_engine *engine;
    wb_error err;
    const wb_status status = wb_engine_open(&engine, model, &options, &err);
    if (status == WB_ERR_UNSUPPORTED) {
        printf("%-22s skipped: %s\n", technique->name, err.message);
        return 0;
    }
    const wb_text one = {.text = text, .n_bytes = strlen(text)};
    if (status || wb_classify(engine, &one, 1, logits, &err)) {
        fprintf(stderr, "techniques: %s\n", err.message);
        wb_engine_close(engine);
        return 1;
    }
    const wb_plan_info *plan = wb_engine_plan(engine);
    const int n_labels = wb_model_describe(model)->n_labels;
    const int is_first = strcmp(technique->name, "baseline") == 0;
    if (is_first) memcpy(reference, logits, (size_t)n_labels * sizeof *logits);
    printf("%-22s %-24s %6.1f MB, moves logits by %.1e, runs %s\n", technique->name,
           plan->precision, (double)plan->weights_bytes * 1e-6,
           largest_difference(reference, logits, n_labels), plan->kernels);
    wb_engine_close(engine);
    return 0;
}

static int is_wanted(const wb_technique *technique, char **names, int n_names) {
    for (int i = 0; i < n_names; i++)
        if (strcmp(technique->name, names[i]) == 0) return 1;
    return n_names == 0 || strcmp(technique->name, "baseline") == 0;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: techniques MODEL_DIR [TECHNIQUE...]\n");
        return 2;
    }
    wb_model *model;
    wb_error err;
    if (wb_model_open(&model, argv[1], &err)) {
        fprintf(stderr, "techniques: %s\n", err.message);
        return 1;
    }
    const size_t n_labels = (size_t)wb_model_describe(model)->n_labels;
    float *reference = calloc(n_labels, sizeof *reference);
    float *logits = calloc(n_labels, sizeof *logits);
    int exit_code = reference && logits ? 0 : 1;
    const wb_technique *technique;
    for (int i = 0; exit_code == 0 && (technique = wb_technique_at(i)) != NULL; i++)
        if (is_wanted(technique, argv + 2, argc - 2))
            exit_code = try_technique(model, technique, reference, logits);
    free(reference);
    free(logits);
    wb_model_close(model);
    return exit_code;
}
