// SPDX-License-Identifier: Apache-2.0
// A whole DistilBERT classifier of a few kilobytes and writers of every file a model folder can
// have: the valid folders of the tests, and what their broken ones are made of.
#ifndef WB_TEST_TINY_MODEL_H
#define WB_TEST_TINY_MODEL_H

#include "bytes.h"
#include "format/checkpoint.h"

enum {
    TINY_LAYERS = 2,
    TINY_D_MODEL = 8,
    TINY_HEADS = 2,
    TINY_D_FF = 16,
    TINY_VOCAB = 24,
    TINY_POSITIONS = 16,
    TINY_LABELS = 2,
    TINY_TENSORS = 8 + 16 * TINY_LAYERS,
    TINY_MOST_TENSORS = TINY_TENSORS + 4,  // room for unexpected ones
};

typedef struct tiny_tensor {
    char name[128];
    wb_dtype dtype;
    int rank;
    int64_t shape[5], stride[5];
    int64_t first;  // element of its storage, which is that much longer
    float *values;  // [n_elements]
    size_t n_elements;
} tiny_tensor;

typedef struct tiny_model {
    tiny_tensor tensors[TINY_MOST_TENSORS];
    int n;
} tiny_model;

// Values are seeded by the tensor's name and are exact in f16 and bf16 too.
void tiny_open(tiny_model *model, wb_dtype dtype);
void tiny_close(tiny_model *model);

tiny_tensor *tiny_find(tiny_model *model, const char *name);
// Values are made anew for the shape.
void tiny_reshape(tiny_tensor *tensor, int rank, int64_t rows, int64_t columns);
tiny_tensor *tiny_add(tiny_model *model, const char *name, wb_dtype dtype, int rank, int64_t rows,
                      int64_t columns);
void tiny_remove(tiny_model *model, const char *name);

// Bytes of one stored element.
size_t tiny_element_bytes(wb_dtype dtype);
// Appends the tensor's values as they are stored.
void put_values(bytes *b, const tiny_tensor *tensor);

// ---- Files; each appends to *file -------------------------------------------

void put_config(bytes *file);
void put_vocab(bytes *file);
void put_tokenizer(bytes *file);  // tokenizer.json with the same vocabulary
// Tensors [first, first + n) of the model.
void put_safetensors(bytes *file, const tiny_model *model, int first, int n);
void put_torch(bytes *file, const tiny_model *model, int first, int n);
// The index of two shards with n_first tensors in the first; ending is "safetensors" or "bin".
void put_index(bytes *file, const tiny_model *model, int n_first, const char *stem,
               const char *ending);

// ---- The parts of put_torch ----

// data.pkl as CPython's pickler writes it for torch.save.
void put_pickle(bytes *pickle, const tiny_model *model, int first, int n);
// The archive of torch.save with this data.pkl and the model's storages.
void put_archive(bytes *file, const bytes *pickle, const tiny_model *model, int first, int n);

// Any archive: entries one by one, then the directory.
typedef struct archive_writer {
    bytes *file;
    bytes directory;
    const char *folder;
    int n;
} archive_writer;

void put_entry(archive_writer *a, const char *name, const void *data, size_t n);
void put_directory(archive_writer *a);

#endif
