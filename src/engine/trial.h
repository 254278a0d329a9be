// SPDX-License-Identifier: Apache-2.0
// Calibration texts through a model in f32, and through the same with matrices changed: what both
// calibrations, of `mixed` and of static scales, learn about a matrix.
#ifndef WB_ENGINE_TRIAL_H
#define WB_ENGINE_TRIAL_H

#include "engine/engine.h"

typedef struct wb_trial {
    wb_engine *engine;  // has a model, kernels, a plan and a pool, but no weights yet
    wb_plan plan;       // f32 everywhere, packed
    wb_weights *weights;
    wb_workspace *workspaces;
    wb_tensor_source source;
    wb_id_lists lists;        // of all texts
    int n_batches;            // used, of at most max_tokens, whatever the threads
    wb_batch batch;           // the one at work, borrowed from workspaces[0]
    float **inputs;           // [n_layers] of [n_rows, d_model]: what enters each in f32; batch 0
    float *logits, *changed;  // [n_texts, n_labels] of all batches
    int n_texts;              // of all batches
    double spread;            // rms of the logits' distance from their label's mean
} wb_trial;

// *trial <- the texts in batches of max_tokens, nothing computed yet. Close it in any case.
wb_status wb_trial_open(wb_trial *trial, wb_engine *engine, const wb_inputs *texts, int max_tokens,
                        wb_error *err);
void wb_trial_close(wb_trial *trial);

// The trial's own team: its plan and weights, the engine's threads.
wb_team wb_trial_team(wb_trial *trial, bool is_split);

// The matrix of the plan whose place this is; -1: of none.
int wb_trial_find(const wb_trial *trial, const wb_linear *place);

// trial->batch <- batch number index, the first being 0.
void wb_trial_form_batch(wb_trial *trial, int index);
// logits[batch.n_texts, n_labels] <- the batch at work through whatever stands in the weights'
// places; tap may be NULL.
void wb_trial_run(wb_trial *trial, float *logits, const wb_product_tap *tap);
// Runs all batches in f32 and keeps what errors are measured by. Batch 0 is at work after it.
wb_status wb_trial_run_reference(wb_trial *trial, wb_error *err);

// Relative change of the logits of batch 0, rms against the spread of all, when *changed stands in
// the place of one matrix; infinite where the logits have no spread. After the reference; tap may
// be NULL.
double wb_trial_error(wb_trial *trial, int matrix, const wb_linear *changed,
                      const wb_product_tap *tap);
// The same of all batches, with whatever stands in the weights' places now.
double wb_trial_error_of_all(wb_trial *trial, const wb_product_tap *tap);

#endif
