// SPDX-License-Identifier: Apache-2.0
// A plan is data that one can print: for every matrix its precision, and for the whole
// forward the attention kind, packing, batch rule, block sizes and threads. It is
// decided once, when an engine opens; model/ carries it out and decides nothing. A
// technique is a named plan.
#ifndef WB_PLAN_H
#define WB_PLAN_H

#include "base/base.h"
#include "cpu/cpu.h"
#include "kernels/kernels.h"
#include "wattbert/wattbert.h"

// The dimensions of a DistilBERT classifier; every one is at least 1.
typedef struct wb_shape {
    int n_layers, d_model, n_heads, d_head, d_ff;
    int vocab_size, max_positions, n_labels;
    int max_length;            // tokens a text may have, at most max_positions
    wb_activation activation;  // of the feed-forward block
} wb_shape;

typedef enum wb_device_kind { WB_DEVICE_CPU, WB_DEVICE_CUDA } wb_device_kind;
typedef enum wb_precision {
    WB_F32,
    WB_BF16,
    WB_F16,
    WB_I8_DYNAMIC,   // a scale per row of activations, found at run time
    WB_I8_STATIC,    // one scale for all of them, from calibration
    WB_TF32,         // GPU: f32 stored, products with 10 bits of mantissa
    WB_FP8_DYNAMIC,  // GPU: e4m3, scales as int8's
    WB_FP8_STATIC,
    WB_N_PRECISIONS
} wb_precision;
typedef enum wb_attention_kind { WB_ATTENTION_STANDARD, WB_ATTENTION_FLASH } wb_attention_kind;
typedef enum wb_packing { WB_PADDED, WB_SORTED, WB_PACKED } wb_packing;

// ---- technique.c: the table ----

typedef struct wb_technique_spec {
    wb_technique technique;
    wb_precision precision;  // of the matrices inside the layers; mixed: of those not yet decided
    wb_attention_kind attention;
    bool is_autocast;         // weights stay f32 and are cast at each use
    bool is_mixed;            // precision is chosen per matrix by measurement
    bool is_packed;           // nothing is computed that no logit depends on
    const char *unsupported;  // why no CPU runs it; NULL: some do
} wb_technique_spec;

// What a GPU has arithmetic for, as its back end says.
typedef struct wb_gpu_arithmetic {
    const char *name;                // "NVIDIA H100 80GB HBM3", for messages; borrowed
    bool has_bf16, has_fp8, has_i8;  // on tensor cores; tf32 came with bf16, f16 before
} wb_gpu_arithmetic;

const wb_technique_spec *wb_technique_find(const char *name);  // NULL where there is none
const char *wb_precision_name(wb_precision precision);

// WB_ERR_UNSUPPORTED, with the reason for the table, where the kernels have no arithmetic for it.
wb_status wb_technique_check(const wb_technique_spec *spec, const wb_kernels *kernels,
                             wb_error *err);
wb_status wb_technique_check_cuda(const wb_technique_spec *spec, const wb_gpu_arithmetic *gpu,
                                  wb_error *err);

// ---- plan.c ----

// The four products of a layer, in the order they run; query, key and value are one matrix.
typedef enum wb_layer_matrix {
    WB_MATRIX_QKV,
    WB_MATRIX_ATTENTION_OUT,
    WB_MATRIX_FFN_UP,
    WB_MATRIX_FFN_DOWN,
    WB_MATRICES_PER_LAYER
} wb_layer_matrix;

typedef struct wb_matrix {
    char name[32];  // "layer 2 ffn_up"
    int n, k;       // w[n, k]
    wb_precision precision;
    bool is_autocast;
    double error;          // of the logits when only this matrix changes; -1 where not measured
    double cost_ns;        // per token; -1 where not measured
    double refused_error;  // it would have in the static precision that it fell back from; else -1
} wb_matrix;

typedef struct wb_plan {
    const wb_technique_spec *spec;
    wb_device_kind device;
    wb_shape shape;
    wb_attention_kind attention;
    wb_packing packing;
    bool is_last_layer_pruned;  // its queries, output and feed-forward only for the row the head
                                // reads
    int n_threads;              // on a GPU: of the host, which tokenize
    int batch_size;             // texts a batch; padded and sorted
    int padded_length;          // tokens every text has; padded
    int token_budget;           // tokens a batch; packed
    int max_rows;               // rows a batch may have
    int max_texts;              // texts a batch may have
    int block_rows;  // the most rows a layer takes at a time, so that what lies between its
                     // products stays in cache
    int n_matrices;
    wb_matrix *matrices;  // [n_matrices]: the layers' in order, pre-classifier, classifier
    const struct wb_scales *scales;  // of static precisions, borrowed while weights are packed;
                                     // else NULL
} wb_plan;

// *plan <- the plan of options->technique. The kernels must be the set it will run on.
//   WB_ERR_ARGUMENT, WB_ERR_UNSUPPORTED, WB_ERR_MEMORY
wb_status wb_plan_init(wb_plan *plan, const wb_shape *shape, const wb_options *options,
                       const wb_kernels *kernels, const wb_cpu *cpu, wb_error *err);
// The same for a GPU; cpu is the host's, for its threads.
wb_status wb_plan_init_cuda(wb_plan *plan, const wb_shape *shape, const wb_options *options,
                            const wb_gpu_arithmetic *gpu, const wb_cpu *cpu, wb_error *err);
void wb_plan_free(wb_plan *plan);

// Indices into plan->matrices.
static inline int wb_plan_layer_matrix(int layer, wb_layer_matrix matrix) {
    return layer * WB_MATRICES_PER_LAYER + (int)matrix;
}
static inline int wb_plan_pre_classifier(const wb_plan *plan) {
    return plan->n_matrices - 2;
}
static inline int wb_plan_classifier(const wb_plan *plan) {
    return plan->n_matrices - 1;
}

// Rows of the next block where n_rows >= 1 are left, at most block_rows.
static inline int wb_plan_next_block(const wb_plan *plan, int n_rows) {
    // As equal as possible: the remainder, alone, would read all weights for few rows. 224 rows in
    // blocks of 168 and 56 or twice 112, DistilBERT's size, 16 threads of a shared Xeon with AMX:
    // bf16 56,800 against 69,900 tokens/s, int8 97,000 against 99,700.
    const int n_blocks = (n_rows + plan->block_rows - 1) / plan->block_rows;
    return (n_rows + n_blocks - 1) / n_blocks;
}

// The plan in words, for wb_plan_info.
typedef struct wb_plan_words {
    char precision[96];   // "mixed (18 bf16, 8 f32)"
    char batch_rule[48];  // "16 x 128 tokens"
    char kernels[256];    // the names of all kernels that run
} wb_plan_words;

// kernels NULL: words->kernels stays empty, for the GPU's back end to fill in.
void wb_plan_describe(wb_plan_words *words, const wb_plan *plan, const wb_kernels *kernels);
const char *wb_attention_name(wb_attention_kind attention);
const char *wb_packing_name(wb_packing packing);

// ---- cost.c: choosing a precision per matrix from measurements ----

// One precision a matrix might run in, as measured; error and cost as in wb_matrix.
typedef struct wb_candidate {
    wb_precision precision;
    double error, cost_ns;
} wb_candidate;

// Sets precision, error and cost of every matrix of the plan. candidates[n_matrices, n_each]; each
// matrix's first candidate has error 0. The cheapest assignment a greedy search finds whose errors,
// the root of the sum of their squares, stay within max_error.
void wb_cost_choose(wb_plan *plan, const wb_candidate *candidates, int n_each, double max_error);

#endif
