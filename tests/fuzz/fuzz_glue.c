// SPDX-License-Identifier: Apache-2.0
// Fuzz target: GLUE files. Any bytes under any task give examples whose texts lie inside the
// input and whose labels are the task's, or one error that names a line.
#include <math.h>
#include <stdlib.h>

#include "glue/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

// Reading every byte lets the sanitizers see a text that leaves the file.
static unsigned read_text(const char *text, size_t n_bytes) {
    unsigned sum = 0;
    for (size_t i = 0; i < n_bytes; i++) sum += (unsigned char)text[i];
    return sum;
}

static void check_example(const glue_task *task, const wb_text *text, double label) {
    if (task->n_labels > 1 ? label < 0.0 || label >= task->n_labels : !isfinite(label)) abort();
    if ((text->pair != NULL) != task->has_pairs) abort();
    if (read_text(text->text, text->n_bytes) + read_text(text->pair, text->pair_bytes) == ~0u)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const glue_task *task;
    for (int i = 0; (task = glue_task_at(i)) != NULL; i++) {
        glue_data *examples;
        wb_error err = {.message = ""};
        if (glue_data_parse(&examples, task, (const char *)data, n_bytes, "fuzz", &err)) {
            if (examples || !err.message[0]) abort();
            continue;
        }
        for (int k = 0; k < examples->n_examples; k++)
            check_example(task, &examples->texts[k], examples->labels[k]);
        glue_data_close(examples);
    }
    return 0;
}
