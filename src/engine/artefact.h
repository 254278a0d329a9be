// SPDX-License-Identifier: Apache-2.0
// The file that wb_quantize writes: static scales, in JSON that a person can read, with the names
// and hashes of what they were made from. Whoever reads it trusts no number in it.
#ifndef WB_ENGINE_ARTEFACT_H
#define WB_ENGINE_ARTEFACT_H

#include "engine/engine.h"
#include "format/source.h"
#include "plan/scales.h"

enum { WB_ARTEFACT_VERSION = 1, WB_ARTEFACT_NAME = 256 };
#define WB_ARTEFACT_FILE "scales.json"

// Which model an artefact belongs to.
typedef struct wb_origin {
    char name[WB_ARTEFACT_NAME];  // of the folder, for messages
    char weights_file[WB_ARTEFACT_NAME];
    char weights_sha256[WB_SHA256_TEXT];  // for people; takes a second, so it is not compared
    char config_sha256[WB_SHA256_TEXT];
    uint64_t fingerprint;  // of the weights' bytes, compared at every open
} wb_origin;

typedef struct wb_artefact {
    char made_by[32];  // "wattbert 0.1.0"
    wb_origin model;
    char texts_name[WB_ARTEFACT_NAME], texts_sha256[WB_SHA256_TEXT];  // "" where not known
    int64_t n_texts, n_tokens;
    double max_error;            // asked for
    double i8_error, fp8_error;  // of the logits, all matrices together
    wb_matrix_scales *matrices;  // [scales.n_matrices]; owned, each smooth too
    wb_scales scales;            // the same, for plans
} wb_artefact;

// *origin <- what can be told of a model without reading its weights twice: all but weights_sha256.
void wb_origin_of(wb_origin *origin, const wb_model *model);

// *out <- an artefact of one wb_matrix_scales for each matrix of the plan.
wb_status wb_artefact_create(wb_artefact **out, const wb_plan *plan, wb_error *err);
void wb_artefact_close(wb_artefact *artefact);

// *out <- the bytes of a file, which must have a matrix for each of the plan's in their order and
// shapes, and be of the model expected (NULL: of any).
//   WB_ERR_FORMAT, WB_ERR_MODEL (made for another model), WB_ERR_MEMORY
wb_status wb_artefact_parse(wb_artefact **out, const wb_source *source, const wb_plan *plan,
                            const wb_origin *expected, wb_error *err);
// The same from path, a file or a folder with one called WB_ARTEFACT_FILE, for a model and its
// plan. WB_ERR_IO as well
wb_status wb_artefact_open(wb_artefact **out, const char *path, const wb_model *model,
                           const wb_plan *plan, wb_error *err);

// WB_ERR_IO, WB_ERR_DENIED, WB_ERR_MEMORY
wb_status wb_artefact_write(const wb_artefact *artefact, const wb_plan *plan, const char *path,
                            wb_error *err);

#endif
