// SPDX-License-Identifier: Apache-2.0
// The examples of one GLUE file: texts, and labels in GLUE's numbering. Layouts are told by
// the header line: GLUE's own of every task, sentence1 sentence2 label, and JSON lines. TSV
// texts point into the mapped file, so that nothing is copied.
#ifndef GLUE_DATASET_H
#define GLUE_DATASET_H

#include "base/base.h"
#include "glue/task.h"
#include "wattbert/wattbert.h"

typedef struct glue_data {
    const glue_task *task;
    int n_examples;
    wb_text *texts;  // [n_examples]
    double *labels;  // [n_examples] GLUE's label number; the score where n_labels is 1
    int n_owned;     // texts that are copies, of JSON lines, where escapes were decoded
    wb_file file;
} glue_data;

// path <- the file of split "dev" or "train" below dir, in the task's folder under GLUE's name
// or in lower case. WB_ERR_IO names what was looked for.
wb_status glue_data_find(char *path, size_t capacity, const glue_task *task, const char *dir,
                         const char *split, wb_error *err);

// *out <- the examples of a file. The file must not change while the data are open.
//   WB_ERR_IO, WB_ERR_FORMAT ("FILE: line 7: ...", the line also in offset), WB_ERR_MEMORY
wb_status glue_data_open(glue_data **out, const glue_task *task, const char *path, wb_error *err);
// The same from bytes[n_bytes], which must outlive the data; name stands for the path.
wb_status glue_data_parse(glue_data **out, const glue_task *task, const char *bytes, size_t n_bytes,
                          const char *name, wb_error *err);
void glue_data_close(glue_data *data);

// chosen[n] <- n of the numbers 0 .. n_all - 1, in rising order, every choice equally likely;
// the same for the same seed. n <= n_all.
void glue_sample(int *chosen, int n, int n_all, uint64_t seed);

#endif
