// SPDX-License-Identifier: Apache-2.0
// wattbert: DistilBERT text classifiers with the least energy a machine allows.
//
// The life of the objects (examples/classify.c is this program, built and run by CI):
//
//     wb_model *model;  wb_engine *engine;  wb_error err;
//     const wb_text text = {.text = "a charming journey", .n_bytes = 18};
//     float logits[2];
//     if (wb_model_open(&model, "distilbert-sst2", &err)) return fail(&err);
//     if (wb_engine_open(&engine, model, NULL, &err)) return fail(&err);
//     if (wb_classify(engine, &text, 1, logits, &err)) return fail(&err);
//     puts(wb_model_describe(model)->labels[logits[1] > logits[0]]);
//     wb_engine_close(engine);  wb_model_close(model);
//
// Conventions of this header
//   Shapes   in brackets, row-major, innermost last: logits[n_texts, n_labels].
//   Units    in the name: _ns nanoseconds, _bytes.
//   Errors   a function that can fail returns wb_status, 0 being success, and
//            describes the failure in *err. err may be NULL. After a failure
//            nothing is leaked and *out, if any, is NULL.
//   Owning   what _open() makes, _close() frees; _close(NULL) does nothing. A
//            pointer called "borrowed" dies with the object that is named.
//   Threads  one thread at a time per engine; engines share nothing but their
//            model, which is never written after wb_model_open().
//   Silence  the library never prints, never exits, never reads the environment
//            except WATTBERT_ISA (scalar, avx2, avx512, amx, neon: the highest kernel set to use).
//   Files    every length, offset and count in a file is untrusted.
#ifndef WATTBERT_WATTBERT_H
#define WATTBERT_WATTBERT_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wb_model wb_model;    // a checkpoint and its tokenizer, read once
typedef struct wb_engine wb_engine;  // a model packed for one plan, with its threads and workspace
typedef struct wb_inputs wb_inputs;  // encoded texts: token ids in the caller's order
typedef struct wb_replay wb_replay;  // captured activations, to run one component alone

// The version of the library that runs, "0.1.0"; static.
WB_API const char *wb_version(void);

// ---- Models ---------------------------------------------------------------

// What a checkpoint says of itself. Borrowed from the model.
typedef struct wb_model_info {
    const char *path;  // as given to wb_model_open
    int n_layers, d_model, n_heads, d_head, d_ff;
    int vocab_size;
    int max_length;  // tokens a text may have, special tokens included
    int n_labels;    // 1: regression, the logit is the score
    int is_regression;
    int is_multi_label;         // each label has a sigmoid of its own instead of a common softmax
    const char *const *labels;  // [n_labels] from id2label, or "LABEL_0".. where it is missing
    int has_label_names;        // 0: labels are only LABEL_0.., their meaning is unknown
    uint64_t n_parameters;
    const char *weights_dtype;  // "f32", "f16", "bf16": as stored
    const char *weights_file;   // "model.safetensors", "pytorch_model.bin", or its index
} wb_model_info;

// *out <- the Hugging Face folder dir: config.json, model.safetensors or
// pytorch_model.bin (single or sharded), vocab.txt or tokenizer.json.
// Weights files are mapped, not copied; they must not change while the model is open.
//   WB_ERR_IO, WB_ERR_FORMAT, WB_ERR_MODEL (names the tensor), WB_ERR_MEMORY
// Hostile folders give one of these: no code of a file is run, and memory stays
// within a small multiple of the files' sizes.
WB_CHECKED WB_API wb_status wb_model_open(wb_model **out, const char *dir, wb_error *err);
WB_API void wb_model_close(wb_model *model);

// Never NULL; borrowed from the model.
WB_API const wb_model_info *wb_model_describe(const wb_model *model);

// ---- Texts ----------------------------------------------------------------

// One text or a pair. Bytes need not be valid UTF-8 nor end in 0: each malformed
// sequence counts as one U+FFFD, as Hugging Face's tokenizers see it.
typedef struct wb_text {
    const char *text;
    size_t n_bytes;
    const char *pair;  // NULL: a single text. An empty pair ("", 0) is still a pair
    size_t pair_bytes;
} wb_text;

// ids[*n_ids] <- the token ids of one text, special tokens included, truncated
// (longest first) to max_length, or to the model's own maximum where max_length is 0.
// capacity is ids' length; min(max_length, model maximum) always suffices.
//   WB_ERR_ARGUMENT when it does not fit, WB_ERR_MEMORY
WB_CHECKED WB_API wb_status wb_tokenize(const wb_model *model, const wb_text *text, int max_length,
                                        int32_t *ids, int capacity, int *n_ids, wb_error *err);

// *out <- texts[n_texts] encoded as wb_tokenize does, ready for wb_forward.
// The texts may be freed afterwards; the model must outlive the inputs.
WB_CHECKED WB_API wb_status wb_inputs_open(wb_inputs **out, const wb_model *model,
                                           const wb_text *texts, int n_texts, int max_length,
                                           wb_error *err);
WB_API void wb_inputs_close(wb_inputs *inputs);

WB_API int wb_inputs_count(const wb_inputs *inputs);
WB_API uint64_t wb_inputs_tokens(const wb_inputs *inputs);  // all texts together
WB_API const int32_t *wb_inputs_ids(const wb_inputs *inputs, int text, int *n_ids);  // borrowed

// ---- Devices ----------------------------------------------------------------

// A device is called "cpu" (so are NULL and ""), "cuda" (the first GPU), "cuda:1" (the second), or
// "auto": the first GPU where one can be used, else the CPU; wb_plan_info says which it is and why.
// Under the other names nothing else runs than what they say.
//
// What runs on GPUs is a shared object of its own, libwattbert_cuda.so: looked for beside
// libwattbert.so, then where the system has its libraries. Without it everything else works.

typedef struct wb_gpu_info {
    int ordinal;                          // 1 of "cuda:1"
    char name[96];                        // "NVIDIA H100 80GB HBM3"
    char uuid[48];                        // "GPU-...", for wb_meter_options.gpu_uuid
    int compute_major, compute_minor;     // 9, 0
    int driver_version, runtime_version;  // of CUDA, 13000 is 13.0: the newest that the driver
                                          // runs, and what the object was built with
    uint64_t memory_bytes;
    int has_bf16, has_fp8, has_i8;  // not 0: arithmetic on tensor cores
    char library[512];              // the object's path
} wb_gpu_info;

// *out <- the GPU that device names; "auto" and NULL: the first.
//   WB_ERR_ARGUMENT     device is no name of a GPU
//   WB_ERR_ABSENT       there is no libwattbert_cuda.so, or what it needs is missing
//   WB_ERR_UNSUPPORTED  no such GPU, no driver, or one that is too old; err->message says which
WB_CHECKED WB_API wb_status wb_gpu_describe(wb_gpu_info *out, const char *device, wb_error *err);

// ---- Techniques and plans -------------------------------------------------

// A technique is a named plan; its "+packed" form is the same without what no logit depends on:
// padding, and in the last layer all rows but each text's first.
typedef struct wb_technique {
    const char *name;        // "autocast-bf16"
    const char *study_name;  // what the study called it, "MP BFloat16"; "" where it had none
    const char *summary;     // one sentence
} wb_technique;

// All techniques in the order of the table, "+packed" forms after the plain ones.
// index from 0; NULL past the end. Static.
WB_API const wb_technique *wb_technique_at(int index);

// WB_OK where this process may run the technique on device; i8-static needs wb_options.scales, too.
//   WB_ERR_UNSUPPORTED  device has no arithmetic for it; err->message is the reason
//   WB_ERR_ARGUMENT     no technique or no device has this name
//   and what wb_gpu_describe() returns
WB_CHECKED WB_API wb_status wb_technique_runs(const char *name, const char *device, wb_error *err);

// What became of wb_options.cache.
typedef enum wb_cache_state {
    WB_CACHE_NONE,     // not asked for, or on a GPU
    WB_CACHE_READ,     // the weights are the file's
    WB_CACHE_WRITTEN,  // they were packed, and are in the file for the next engine
    WB_CACHE_FAILED    // they were packed, and the file could not be written
} wb_cache_state;

// What one matrix runs in, and why.
typedef struct wb_matrix_plan {
    const char *name;  // "layer 2 ffn_up", "classifier"
    int n, k;          // w[n, k]
    const char
        *precision;  // "f32", "bf16", "i8-dynamic"; "+autocast" appended where cast at each use
    double error;    // relative change of the logits when only this matrix changes; -1 where not
                     // measured
    double cost_ns;  // measured nanoseconds per token of this product in this precision; -1 where
                     // not measured
    double refused_error;  // what error would be in the technique's static precision, where that is
                           // too large and this matrix runs in a dearer one; -1 elsewhere
} wb_matrix_plan;

// A plan in words and numbers. Borrowed from the engine.
typedef struct wb_plan_info {
    const char *technique;   // "bf16+packed"
    const char *precision;   // "f32", "bf16", "mixed (18 bf16, 8 f32)"
    const char *attention;   // "standard", "flash"
    const char *packing;     // "padded", "sorted", "packed"
    const char *isa;         // "avx512", "sm_90"
    const char *kernels;     // every kernel that runs: "gemm_bf16_avx512 attention_flash_avx512 .."
    const char *batch_rule;  // "16 x 128 tokens", "4096 tokens"
    int n_threads;           // on a GPU: of the host, which tokenize
    uint64_t weights_bytes;  // packed weights resident for this plan
    int n_matrices;
    const wb_matrix_plan *matrices;  // [n_matrices]
    const char *device;              // "cpu", "cuda:0": never "auto"
    const char *device_name;         // "AMD EPYC 9554 64-Core Processor", "NVIDIA H100 80GB HBM3"
    const char *device_uuid;         // of a GPU, "GPU-..."; "" of a CPU
    const char *fallback;            // why "auto" runs on the CPU; "" where nothing fell back
    wb_cache_state cache_state;
    const char *cache;  // "read from sst2/sst2.f32.avx512.wattbert", or what else became of it and
                        // why; "" where none was asked for
    const char *pinning;       // "cpus 0 2 4 6", or "not pinned: " and why; "" where not asked for
    uint64_t workspace_bytes;  // of a GPU's memory besides the weights, as long as the engine is
                               // open; 0 on a CPU
} wb_plan_info;

// ---- Engines --------------------------------------------------------------

typedef struct wb_options {
    const char *technique;  // "f32-flash+packed"
    int n_threads;          // 0: one per core of this process's affinity mask
    int batch_size;         // texts a batch in padded and sorted packing; 16, as the study
    int padded_length;      // tokens every text is padded to in padded packing; 128, as the study.
                            // Longer texts are cut
    int token_budget;  // most tokens a forward takes at once in packed packing; 0: from the cache
                       // sizes, on a GPU 65,536
    int sort_batches;  // not 0: batches in order of length, results still in input order; "sorted"
                       // packing
    const wb_inputs *calibration;  // texts for `mixed`'s sensitivity pass; NULL: 32 built-in
                                   // sentences. Borrowed during open
    const char *device;  // "cpu", "cuda", "cuda:1", "auto"; NULL: "cpu". Borrowed during open
    const char *scales;  // the artefact of wb_quantize, for i8-static and fp8; NULL: none. Read
                         // during open
    // A folder for packed weights, the model's own or any other: they are mapped from there, or
    // packed and written for the next time. NULL: none. Read during open; its file must not change
    // while the engine is open, and is to be trusted as much as the model's own files.
    const char *cache;
    // Not 0: each thread on a core of its own, in hwloc's order. The caller's thread is moved to
    // the first of them while wb_forward, wb_classify or wb_replay_run computes, and has its own
    // affinity back when they return.
    int pin;
} wb_options;

WB_API wb_options wb_default_options(void);

// *out <- model packed for options->technique (NULL options: the defaults).
// The model must outlive the engine.
//   WB_ERR_ARGUMENT     no such technique or device, or a number out of range
//   WB_ERR_UNSUPPORTED  the device has no arithmetic for it; err->message is the reason
//   WB_ERR_MEMORY       of the host or of the GPU
//   WB_ERR_DEVICE       the GPU failed
//   and what wb_gpu_describe() returns; of the scales' file WB_ERR_IO, WB_ERR_FORMAT, WB_ERR_MODEL
WB_CHECKED WB_API wb_status wb_engine_open(wb_engine **out, const wb_model *model,
                                           const wb_options *options, wb_error *err);
WB_API void wb_engine_close(wb_engine *engine);
WB_API const wb_plan_info *wb_engine_plan(const wb_engine *engine);

// What a forward did.
typedef struct wb_run {
    uint64_t real_tokens;      // tokens of texts, special tokens included
    uint64_t computed_tokens;  // and padding
    int n_batches;
    uint64_t *batch_ns;  // [batch_capacity] of the caller, or NULL: each batch's duration, in the
                         // order they were formed
    int batch_capacity;
} wb_run;

// logits[n_texts, n_labels] <- forward pass over all inputs, in input order.
// run may be NULL. Allocates nothing. On a CPU a text's logits are the same bits alone, in any
// batch and on any number of threads; on a GPU sums may be ordered by the size of the batch.
//   WB_ERR_ARGUMENT  inputs of another model
//   WB_ERR_MEMORY    the GPU had no room for what its driver needs besides; the engine stays usable
//   WB_ERR_DEVICE    the GPU was lost or failed: this engine can only be closed, and is not
//   replaced
//                    by the CPU
WB_CHECKED WB_API wb_status wb_forward(wb_engine *engine, const wb_inputs *inputs, float *logits,
                                       wb_run *run, wb_error *err);

// logits[n_texts, n_labels] <- texts tokenized and classified. n_texts may be 0. On a GPU the
// engine's threads tokenize the next texts while it computes.
WB_CHECKED WB_API wb_status wb_classify(wb_engine *engine, const wb_text *texts, int n_texts,
                                        float *logits, wb_error *err);

// ---- Calibration ------------------------------------------------------------

// What i8-static and the GPU's fp8 need before they can run: the range that each product's inputs
// have, found by running the model in f32 over texts like those to come. A few hundred do.
typedef struct wb_quantize_options {
    int n_threads;           // 0: one per core
    double max_error;        // 0.05: the logits, with everything quantized, may move by this share
                             // of their spread over the texts; matrices that would move them
                             // further run in a dearer precision. A smaller one costs energy
    const char *texts_name;  // what the file says the texts were: a file's name; NULL: nothing
    const char *texts_sha256;  // and its SHA-256 in hexadecimal; NULL: nothing
    void (*on_progress)(void *context, double share);  // from 0 to 1, now and then; may be NULL
    void *context;
} wb_quantize_options;

WB_API wb_quantize_options wb_default_quantize_options(void);

// What the artefact holds, in short; the file itself is JSON with a line for each matrix.
typedef struct wb_quantize_result {
    int n_texts;  // used
    uint64_t n_tokens;
    double i8_error, fp8_error;                   // of the logits, all matrices together
    int n_matrices;                               // inside the layers; the head stays f32
    int n_i8_static, n_i8_dynamic, n_fp8_static;  // the others are f32, or f16 beside fp8
    int n_smoothed;                               // whose outliers were moved into the weights
} wb_quantize_result;

// path <- static scales of model from texts, for wb_options.scales. options NULL: the defaults; out
// may be NULL. The same bytes on every instruction set and with any number of threads.
//   WB_ERR_ARGUMENT  fewer than 2 texts, texts of another model, or no positive max_error
//   WB_ERR_IO, WB_ERR_DENIED of path; WB_ERR_MEMORY
// Takes about 20 forwards of each precision over the measured texts and, at once, twice the
// weights in f32.
WB_CHECKED WB_API wb_status wb_quantize(const wb_model *model, const wb_inputs *texts,
                                        const wb_quantize_options *options, const char *path,
                                        wb_quantize_result *out, wb_error *err);

// ---- Components, for measuring ----------------------------------------------

typedef enum wb_component {
    WB_EMBEDDINGS,  // gather, positions, layer norm
    WB_ATTENTION,   // of all layers: query, key, value, scores, context, output, residual, layer
                    // norm
    WB_FFN,         // of all layers: both products, activation, residual, layer norm
    WB_HEAD,        // pooling, pre-classifier, classifier
    WB_WHOLE,       // the forward pass itself over the same batches
    WB_N_COMPONENTS = WB_WHOLE
} wb_component;

// *out <- the first batches of inputs whose activations fit max_bytes (at least
// one), run once and captured, so that a component can be replayed alone on
// exactly what it sees inside the forward pass. engine and inputs must outlive it. On a GPU
// max_bytes are of its memory, which wb_replay_close() gives back, and the engine keeps what was
// captured last: an older replay then fails with WB_ERR_ARGUMENT.
WB_CHECKED WB_API wb_status wb_replay_open(wb_replay **out, wb_engine *engine,
                                           const wb_inputs *inputs, size_t max_bytes,
                                           wb_error *err);
WB_API void wb_replay_close(wb_replay *replay);
WB_API uint64_t wb_replay_tokens(const wb_replay *replay);  // real tokens of the captured batches
WB_API int wb_replay_texts(const wb_replay *replay);

// Runs one component once over the captured batches, threads as in wb_forward.
WB_CHECKED WB_API wb_status wb_replay_run(wb_replay *replay, wb_component component, wb_error *err);

// ---- The machine ------------------------------------------------------------

typedef struct wb_machine {
    char cpu[64];                          // "AMD EPYC 9554 64-Core Processor"
    char isa[16];                          // the highest kernel set this process may use: "avx512"
    char features[128];                    // "avx2 fma avx512 avx512-vnni avx512-bf16"
    int n_cores;                           // of this process's affinity mask
    int n_threads;                         // the same, hardware threads
    size_t l1d_bytes, l2_bytes, l3_bytes;  // of one core; 0 where unknown
} wb_machine;

WB_API void wb_machine_describe(wb_machine *out);

#ifdef __cplusplus
}
#endif
#endif
