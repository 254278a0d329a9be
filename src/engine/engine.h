// SPDX-License-Identifier: Apache-2.0
// The public handles from inside: where text, checkpoint, plan and model meet. Nothing is
// computed here; the engine opens, hands over and describes.
#ifndef WB_ENGINE_H
#define WB_ENGINE_H

#include "base/base.h"
#include "cpu/cpu.h"
#include "format/checkpoint.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "plan/plan.h"
#include "plan/scales.h"
#include "text/tokenizer.h"
#include "wattbert/wattbert.h"

struct wb_model {
    wb_model_info info;
    wb_shape shape;
    wb_checkpoint *checkpoint;
    wb_tokenizer *tokenizer;
    const wb_tensor *words;  // [vocab_size, d_model]
    char *path;
};

struct wb_inputs {
    const wb_model *model;
    wb_id_lists lists;
    // The same arrays, owned and writable.
    int32_t *ids;
    size_t *offsets;
    int *by_length;
};

struct wb_engine {
    const wb_model *model;
    wb_cpu cpu;
    wb_kernels kernels;
    wb_plan plan;
    wb_weights *weights;
    wb_pool *pool;
    wb_workspace *workspaces;  // [plan.n_threads]
    wb_plan_words words;
    wb_matrix_plan *matrices;  // [plan.n_matrices]
    wb_plan_info info;
    struct wb_artefact *artefact;  // static scales; NULL where the plan needs none
};

// ---- model.c ----

wb_tensor_source wb_model_source(const wb_model *model);

// ---- machine.c ----

// This process's CPU, its flags lowered by WATTBERT_ISA.
void wb_machine_detect(wb_cpu *cpu);

// ---- scales.c ----

// *out <- what calibration found, where the plan's precisions need it, and given to the plan; else
// NULL. Borrowed from the engine.
wb_status wb_engine_scales(const wb_scales **out, wb_engine *engine, const wb_options *options,
                           wb_error *err);

// ---- calibrate.c ----

// Decides the precision of every matrix of engine->plan by measurement. The engine has a
// model, kernels, a plan and a pool, but no weights yet.
wb_status wb_engine_calibrate(wb_engine *engine, const wb_inputs *calibration, wb_error *err);

// ---- sentences.c ----

enum { WB_N_SENTENCES = 32 };
extern const char *const wb_calibration_sentences[WB_N_SENTENCES];

// ---- forward.c ----

// All threads on one batch, or worker alone.
wb_team wb_engine_team(wb_engine *engine, bool is_split, int worker);

// Batches of n that each thread takes whole; the rest, too few to keep all threads busy, are
// split.
int wb_count_whole_batches(const wb_plan *plan, int n_batches);

#endif
