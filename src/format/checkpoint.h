// SPDX-License-Identifier: Apache-2.0
// A Hugging Face model folder as bytes with names: the configuration and the tensors
// of config.json with model.safetensors or pytorch_model.bin, single or sharded. Nothing in a
// file is trusted, nothing in it is run, tensors stay mapped where they lie.
#ifndef WB_CHECKPOINT_H
#define WB_CHECKPOINT_H

#include "base/base.h"

typedef enum wb_dtype {
    WB_DTYPE_F32,
    WB_DTYPE_F16,
    WB_DTYPE_BF16,
    WB_DTYPE_I64,
    WB_DTYPE_OTHER
} wb_dtype;

typedef enum wb_config_activation {
    WB_CONFIG_GELU,
    WB_CONFIG_RELU,
    WB_CONFIG_SILU
} wb_config_activation;

enum { WB_MAX_RANK = 4 };

typedef struct wb_tensor {
    const char *name;  // borrowed from the checkpoint
    wb_dtype dtype;
    int rank;
    int64_t shape[WB_MAX_RANK];
    const uint8_t *data;  // borrowed, little-endian, contiguous, any alignment
    size_t n_bytes;
} wb_tensor;

typedef struct wb_config {
    int n_layers, d_model, n_heads, d_head, d_ff, vocab_size, max_positions, n_labels;
    wb_config_activation activation;
    bool is_regression;    // problem_type "regression" or n_labels == 1
    bool has_sinusoidal;   // sinusoidal_pos_embds: the table is in the file all the same
    bool has_label_names;  // id2label has names other than LABEL_i
    char **labels;         // [n_labels], owned
    bool
        is_multi_label;  // problem_type "multi_label_classification": a sigmoid a label, no softmax
} wb_config;

typedef struct wb_checkpoint wb_checkpoint;

// Reads config.json and the weights, and checks that every tensor a DistilBERT classifier of this
// configuration needs is there once in the right shape, and nothing unexpected is. The error names
// the tensor. pytorch_model.bin: a zip of stored entries with a pickle, read by a restricted
// interpreter that rebuilds tensors and knows no other object.
//   WB_ERR_IO, WB_ERR_FORMAT, WB_ERR_MODEL, WB_ERR_MEMORY
wb_status wb_checkpoint_open(wb_checkpoint **out, const char *dir, wb_error *err);
void wb_checkpoint_close(wb_checkpoint *checkpoint);

const wb_config *wb_checkpoint_config(const wb_checkpoint *checkpoint);
// "model.safetensors", "pytorch_model.bin", or the index's name. Of several, the first that is
// there in the order of transformers: safetensors, its index, pytorch, its index.
const char *wb_checkpoint_weights_file(const wb_checkpoint *checkpoint);
// out <- SHA-256 of the weights file, of shards one after the other: as sha256sum and
// `cat model-*.safetensors | sha256sum` print it. About a second for 268 MB.
void wb_checkpoint_weights_sha256(const wb_checkpoint *checkpoint, char out[WB_SHA256_TEXT]);
const char *wb_checkpoint_config_sha256(const wb_checkpoint *checkpoint);
// wb_fingerprint of the same weights bytes: what is quick enough to compare at every open.
uint64_t wb_checkpoint_fingerprint(const wb_checkpoint *checkpoint);
// A mark of which weights these are that reads almost none of them: config.json, each weights
// file's size and time of modification, each tensor's name, shape and first 4 KB. Another model,
// another training, a changed head and a replaced file have another mark; a file that was changed
// in place, beyond those 4 KB, and was given its old time back has not.
uint64_t wb_checkpoint_identity(const wb_checkpoint *checkpoint);
// Takes the weights files' pages out of this process's memory until they are read again.
void wb_checkpoint_release(const wb_checkpoint *checkpoint);
// NULL where there is none. Names as in the file,
// "distilbert.transformer.layer.0.attention.q_lin.weight"; a layer norm's old names .gamma and
// .beta are found as .weight and .bias. The tensors of the classifier are F32, F16 or BF16.
const wb_tensor *wb_checkpoint_tensor(const wb_checkpoint *checkpoint, const char *name);

// y[n] <- elements [first, first + n) of an F32, F16 or BF16 tensor as f32, exactly. The range must
// lie inside.
void wb_tensor_widen(float *y, const wb_tensor *tensor, size_t first, size_t n);
// The same past the mapping, with a system call: for a few rows of a large tensor, of which a
// mapping would bring in the neighbours. Where the file cannot be read, through the mapping.
void wb_checkpoint_read(float *y, const wb_checkpoint *checkpoint, const wb_tensor *tensor,
                        size_t first, size_t n);

#endif
