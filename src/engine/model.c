// SPDX-License-Identifier: Apache-2.0
// A model folder opened: checkpoint and tokenizer, checked against each other once, so that
// no id can point outside the embeddings later.
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

const char *wb_version(void) {
    return WATTBERT_VERSION;
}

// ---- Tensors for the layers below ----

static bool is_last(const wb_tensor *tensor, size_t end) {
    size_t n_elements = 1;
    for (int i = 0; i < tensor->rank; i++) n_elements *= (size_t)tensor->shape[i];
    return end == n_elements;
}

// A tensor whose end is read is packed but for what other threads still hold, and its pages are let
// go: a model that is opened takes the room of its packed weights, not of the file as well.
static void read_tensor(const void *context, const char *name, size_t first, size_t n, float *y) {
    const wb_model *model = context;
    // Never NULL: wb_checkpoint_open() has found every tensor of the shape.
    const wb_tensor *tensor = wb_checkpoint_tensor(model->checkpoint, name);
    wb_tensor_widen(y, tensor, first, n);
    if (is_last(tensor, first + n)) wb_file_release(tensor->data, tensor->n_bytes);
}

static void read_word(const void *context, int id, float *y) {
    const wb_model *model = context;
    const size_t d = (size_t)model->shape.d_model;
    wb_tensor_widen(y, model->words, (size_t)id * d, d);
}

wb_tensor_source wb_model_source(const wb_model *model) {
    return (wb_tensor_source){.read = read_tensor, .read_word = read_word, .context = model};
}

// ---- Opening ----

// The scores of one text and head are max_length squared: 64 Ki tokens would be 16 GiB, and no
// DistilBERT has more than 512.
enum { LONGEST_TEXT = 1 << 14 };

// The file's word for it; kernels have their own enumeration and know no files.
static wb_activation activation_of(const wb_config *config) {
    switch (config->activation) {
        case WB_CONFIG_RELU: return WB_RELU;
        case WB_CONFIG_SILU: return WB_SILU;
        default: return WB_GELU;
    }
}

// A text is limited by the position table and by what the tokenizer's configuration states.
static void read_shape(wb_model *model) {
    const wb_config *config = wb_checkpoint_config(model->checkpoint);
    const int stated = wb_tokenizer_max_length(model->tokenizer);
    int max_length = config->max_positions < LONGEST_TEXT ? config->max_positions : LONGEST_TEXT;
    if (stated > 0 && stated < max_length) max_length = stated;
    model->shape = (wb_shape){.n_layers = config->n_layers,
                              .d_model = config->d_model,
                              .n_heads = config->n_heads,
                              .d_head = config->d_head,
                              .d_ff = config->d_ff,
                              .vocab_size = config->vocab_size,
                              .max_positions = config->max_positions,
                              .n_labels = config->n_labels,
                              .max_length = max_length,
                              .activation = activation_of(config)};
}

// As torch counts them: every weight, bias and norm, embeddings included.
static uint64_t count_parameters(const wb_shape *shape) {
    const uint64_t d = (uint64_t)shape->d_model, d_ff = (uint64_t)shape->d_ff;
    const uint64_t n_labels = (uint64_t)shape->n_labels;
    const uint64_t embeddings =
        (uint64_t)shape->vocab_size * d + (uint64_t)shape->max_positions * d;
    const uint64_t attention = 4 * (d * d + d), ffn = d_ff * d + d_ff + d * d_ff + d;
    const uint64_t norms = 4 * d, head = d * d + d + n_labels * d + n_labels;
    return embeddings + 2 * d + (uint64_t)shape->n_layers * (attention + ffn + norms) + head;
}

static const char *dtype_name(wb_dtype dtype) {
    switch (dtype) {
        case WB_DTYPE_F16: return "f16";
        case WB_DTYPE_BF16: return "bf16";
        default: return "f32";
    }
}

// What neither file shows alone. Ids below the table's end are all a forward relies on.
static wb_status check_fit(const wb_model *model, const char *dir, wb_error *err) {
    const int n_pieces = wb_tokenizer_size(model->tokenizer);
    if (n_pieces > model->shape.vocab_size)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: the vocabulary has %d pieces but the embeddings only %d rows, the "
                       "files do not belong together",
                       dir, n_pieces, model->shape.vocab_size);
    if (model->shape.max_length < 3)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: texts of at most %d tokens hold nothing between [CLS] and [SEP]", dir,
                       model->shape.max_length);
    return WB_OK;
}

// Borrows from the model throughout; labels live in the checkpoint's configuration.
static void describe(wb_model *model) {
    const wb_config *config = wb_checkpoint_config(model->checkpoint);
    const wb_shape *shape = &model->shape;
    model->info = (wb_model_info){
        .path = model->path,
        .n_layers = shape->n_layers,
        .d_model = shape->d_model,
        .n_heads = shape->n_heads,
        .d_head = shape->d_head,
        .d_ff = shape->d_ff,
        .vocab_size = shape->vocab_size,
        .max_length = shape->max_length,
        .n_labels = shape->n_labels,
        .is_regression = config->is_regression,
        .is_multi_label = config->is_multi_label,
        .labels = (const char *const *)config->labels,
        .has_label_names = config->has_label_names,
        .n_parameters = count_parameters(shape),
        .weights_dtype = dtype_name(model->words->dtype),
        .weights_file = wb_checkpoint_weights_file(model->checkpoint),
    };
}

wb_status wb_model_open(wb_model **out, const char *dir, wb_error *err) {
    *out = NULL;
    wb_model *model = wb_alloc_zeroed(sizeof *model);
    if (!model) return wb_fail(err, WB_ERR_MEMORY, 0, "model %s", dir);
    wb_status status = WB_OK;
    model->path = wb_string_copy(dir, strlen(dir));
    if (!model->path) status = wb_fail(err, WB_ERR_MEMORY, 0, "model %s", dir);
    if (!status) status = wb_checkpoint_open(&model->checkpoint, dir, err);
    if (!status) status = wb_tokenizer_open(&model->tokenizer, dir, err);
    if (!status) {
        model->words =
            wb_checkpoint_tensor(model->checkpoint, "distilbert.embeddings.word_embeddings.weight");
        read_shape(model);
        status = check_fit(model, dir, err);
    }
    if (status) {
        wb_model_close(model);
        return status;
    }
    describe(model);
    *out = model;
    return WB_OK;
}

void wb_model_close(wb_model *model) {
    if (!model) return;
    wb_tokenizer_close(model->tokenizer);
    wb_checkpoint_close(model->checkpoint);
    wb_free(model->path);
    wb_free(model);
}

const wb_model_info *wb_model_describe(const wb_model *model) {
    return &model->info;
}
