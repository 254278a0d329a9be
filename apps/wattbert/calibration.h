// SPDX-License-Identifier: Apache-2.0
// Calibration texts from a file in any form that the program reads, and scales made from them: for
// `quantize`, and for studies that make their own.
#ifndef CALIBRATION_H
#define CALIBRATION_H

#include "base/base.h"
#include "glue/dataset.h"
#include "texts.h"

enum { CALIBRATION_TEXTS = 256 };  // used where nobody says otherwise

// Some texts of a file, in its order.
typedef struct calibration_texts {
    wb_text *texts;      // [n_texts]
    int n_texts, n_all;  // used, and in the file
    char sha256[WB_SHA256_TEXT];
    glue_data *data;  // of a GLUE file, whose texts lie there; else each text is a copy
} calibration_texts;

// *out <- at most n_texts of path, every choice equally likely, the same for the same seed. A task
// says that the file is in GLUE's layout; NULL: form says what its lines are.
//   WB_ERR_IO, WB_ERR_FORMAT, WB_ERR_MEMORY; WB_ERR_ARGUMENT where it has no texts
wb_status calibration_open(calibration_texts *out, const char *path, const glue_task *task,
                           text_form form, int n_texts, uint64_t seed, wb_error *err);
void calibration_close(calibration_texts *texts);

// file <- scales of a model from these texts. options' names are set here.
wb_status calibration_run(const calibration_texts *texts, const wb_model *model, const char *path,
                          wb_quantize_options options, const char *file, wb_quantize_result *result,
                          wb_error *err);

#endif
