// SPDX-License-Identifier: Apache-2.0
// Token ids of a text, or of a pair of texts, on one line.
//
//     tokenize MODEL_DIR [TEXT [PAIR]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wattbert/wattbert.h>

static int print_ids(const wb_model *model, const wb_text *text) {
    wb_error err;
    const int capacity = wb_model_describe(model)->max_length;  // always suffices
    int n_ids = 0;
    int32_t *ids = calloc((size_t)capacity, sizeof *ids);
    if (!ids) return 1;
    const wb_status status = wb_tokenize(model, text, 0, ids, capacity, &n_ids, &err);
    if (status) fprintf(stderr, "tokenize: %s\n", err.message);
    for (int i = 0; i < n_ids; i++) printf("%s%d", i ? " " : "", (int)ids[i]);
    if (!status) printf("\n");
    free(ids);
    return status ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: tokenize MODEL_DIR [TEXT [PAIR]]\n");
        return 2;
    }
    const char *text = argc > 2 ? argv[2] : "a charming journey", *pair = argc > 3 ? argv[3] : NULL;
    wb_model *model;
    wb_error err;
    if (wb_model_open(&model, argv[1], &err)) {
        fprintf(stderr, "tokenize: %s\n", err.message);
        return 1;
    }
    const int exit_code = print_ids(model, &(wb_text){.text = text,
                                                      .n_bytes = strlen(text),
                                                      .pair = pair,
                                                      .pair_bytes = pair ? strlen(pair) : 0});
    wb_model_close(model);
    return exit_code;
}
