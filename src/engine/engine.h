// SPDX-License-Identifier: Apache-2.0
// The public handles from inside: where text, checkpoint, plan and model meet. Nothing is
// computed here; the engine opens, hands over and describes.
#ifndef WB_ENGINE_H
#define WB_ENGINE_H

#include "base/base.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"
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

// The shared object that runs on GPUs, loaded.
typedef struct wb_door {
    const wb_cuda_door *functions;  // NULL where it is not loaded
    void *library;
    char path[512];
} wb_door;

// The GPU's side of an engine; zero on the CPU.
typedef struct wb_board {
    wb_door door;
    wb_cuda_device device;
    wb_cuda *cuda;  // NULL: the engine runs on the CPU
    wb_cuda_words words;
    bool is_lost;                   // WB_ERR_DEVICE came back: cuda may only be closed
    uint64_t n_captures;            // so far; the GPU keeps the last one
    char device_name[24], isa[16];  // "cuda:0", "sm_90"
} wb_board;

// Packed weights that came from a file or went to one: cache.c
typedef struct wb_engine_cache {
    wb_file file;  // mapped as long as the weights are its own
    wb_cache_state state;
    char words[640];
} wb_engine_cache;

typedef struct wb_words wb_words;  // word embeddings on the CPU: words.c

struct wb_engine {
    const wb_model *model;
    wb_cpu cpu;
    wb_board board;
    wb_kernels kernels;  // of the CPU; unused on a GPU
    wb_plan plan;
    wb_weights *weights;
    wb_words *embeddings;  // NULL on a GPU
    wb_engine_cache cache;
    wb_pool *pool;
    wb_binding *binding;  // of the caller while it computes; NULL: threads run where they like
    char pinning[256];
    wb_workspace *workspaces;  // [plan.n_threads]; NULL on a GPU
    char fallback[512];        // why "auto" took the CPU
    wb_plan_words words;
    wb_matrix_plan *matrices;  // [plan.n_matrices]
    wb_plan_info info;
    struct wb_artefact *artefact;  // static scales; NULL where the plan needs none
};

// ---- model.c ----

wb_tensor_source wb_model_source(const wb_model *model);

// ---- words.c ----

wb_status wb_words_open(wb_words **out, const wb_model *model, wb_error *err);
void wb_words_close(wb_words *words);
// The model's tensors, with words read this way.
wb_tensor_source wb_words_source(const wb_words *words);

// ---- pin.c ----

// Binds the engine's threads and says in engine->pinning to what, or why not. WB_ERR_MEMORY
wb_status wb_engine_pin(wb_engine *engine, wb_error *err);

// ---- machine.c ----

// This process's CPU, its flags lowered by WATTBERT_ISA.
void wb_machine_detect(wb_cpu *cpu);

// ---- inputs.c ----

// Texts that one thread encodes at a time: enough to outweigh handing them out.
typedef struct wb_piece {
    int first, n_texts;
    int32_t *ids;  // [n_ids], owned
    size_t n_ids;
    wb_status status;  // of encoding it
    wb_error problem;
} wb_piece;

// *pieces <- all texts cut into n_pieces, none encoded yet.
wb_status wb_pieces_open(wb_piece **pieces, int *n_pieces, const wb_text *texts, int n_texts,
                         wb_error *err);
void wb_pieces_close(wb_piece *pieces, int n_pieces);
// piece->ids <- its texts; lengths[first ..] <- their ids. From any thread.
void wb_piece_encode(wb_piece *piece, const wb_model *model, const wb_text *texts, int max_length,
                     size_t *lengths);
// *length <- the tokens a text may have: the caller's limit (0: none) within the model's.
wb_status wb_effective_length(int *length, const wb_model *model, int max_length, wb_error *err);
// wb_inputs_open with the threads of a pool; NULL: alone.
wb_status wb_inputs_encode(wb_inputs **out, const wb_model *model, const wb_text *texts,
                           int n_texts, int max_length, wb_pool *pool, wb_error *err);

// ---- door.c ----

// WB_ERR_ABSENT where there is no object or it cannot be loaded, WB_ERR_UNSUPPORTED where it
// belongs to another version.
wb_status wb_door_open(wb_door *door, wb_error *err);
void wb_door_close(wb_door *door);

// ---- gpu.c ----

// What a caller asked for.
typedef struct wb_device_name {
    bool is_cuda;  // "cuda", "cuda:1", "auto"
    bool is_auto;
    int ordinal;
} wb_device_name;

wb_status wb_device_parse(wb_device_name *out, const char *name, wb_error *err);
// *board <- a GPU that can be used, nothing opened on it yet.
wb_status wb_board_find(wb_board *board, int ordinal, wb_error *err);
// Uploads the model as the engine's plan says.
wb_status wb_board_open(wb_engine *engine, const wb_scales *scales, wb_error *err);
void wb_board_close(wb_board *board);
wb_gpu_arithmetic wb_board_arithmetic(const wb_board *board);
// One job; a GPU that was lost stays lost.
wb_status wb_board_run(wb_board *board, wb_cuda_job *job, wb_error *err);

// ---- scales.c ----

// *out <- what calibration found, where the plan's precisions need it, and given to the plan; else
// NULL. Borrowed from the engine.
wb_status wb_engine_scales(const wb_scales **out, wb_engine *engine, const wb_options *options,
                           wb_error *err);

// ---- stream.c ----

// Texts to logits in waves: the engine's pool encodes the texts of the next while the GPU computes.
// For packed plans on a GPU.
wb_status wb_stream_classify(wb_engine *engine, const wb_text *texts, int n_texts, float *logits,
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
