// SPDX-License-Identifier: Apache-2.0
// The life of the objects at the top of wattbert.h, as a program: a label for each text given.
//
//     classify MODEL_DIR [TEXT...]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wattbert/wattbert.h>

static int fail(const wb_error *err) {
    fprintf(stderr, "classify: %s\n", err->message);
    return 1;
}

static int most_probable(const float *logits, int n_labels) {
    int best = 0;
    for (int label = 1; label < n_labels; label++)
        if (logits[label] > logits[best]) best = label;
    return best;
}

static int classify(const char *dir, const wb_text *texts, int n_texts) {
    wb_model *model = NULL;
    wb_engine *engine = NULL;
    wb_error err;
    if (wb_model_open(&model, dir, &err)) return fail(&err);

    const wb_model_info *info = wb_model_describe(model);
    const size_t n_labels = (size_t)info->n_labels;
    float *logits = calloc((size_t)n_texts * n_labels, sizeof *logits);
    int exit_code = logits ? 0 : 1;
    if (logits && (wb_engine_open(&engine, model, NULL, &err) ||
                   wb_classify(engine, texts, n_texts, logits, &err)))
        exit_code = fail(&err);
    for (int i = 0; exit_code == 0 && i < n_texts; i++) {
        const float *of_text = logits + (size_t)i * n_labels;
        printf("%s\t%s\n", info->labels[most_probable(of_text, info->n_labels)], texts[i].text);
    }
    free(logits);
    wb_engine_close(engine);
    wb_model_close(model);
    return exit_code;
}

int main(int argc, char **argv) {
    static const wb_text sample = {.text = "a charming journey", .n_bytes = 18};
    if (argc < 2) {
        fprintf(stderr, "usage: classify MODEL_DIR [TEXT...]\n");
        return 2;
    }
    if (argc == 2) return classify(argv[1], &sample, 1);
    const int n_texts = argc - 2;
    wb_text *texts = calloc((size_t)n_texts, sizeof *texts);
    if (!texts) return 1;
    for (int i = 0; i < n_texts; i++)
        texts[i] = (wb_text){.text = argv[i + 2], .n_bytes = strlen(argv[i + 2])};
    const int exit_code = classify(argv[1], texts, n_texts);
    free(texts);
    return exit_code;
}
