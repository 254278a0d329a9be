// SPDX-License-Identifier: Apache-2.0
// Word embeddings: a third of the model, of which a text needs a few rows. They stay in the file,
// and rows are kept as they are used, the most frequent words being among the first. A mapping
// would bring 64 KB to 2 MB into the process with each row of 3 KB, so that after a batch of 4,096
// tokens nearly the whole table is resident; reading alone would cost a system call a token, 1.0 us
// against 0.3 (Zen 4, DistilBERT's table in the system's cache).
#include <stdatomic.h>
#include <string.h>

#include "engine/engine.h"

// Of copies: 2,048 rows of 768.
enum { MOST_BYTES = 6 << 20 };

struct wb_words {
    const wb_model *model;
    size_t d_model;
    int n_slots;
    float *rows;         // [n_slots, d_model]
    atomic_int *places;  // [vocab_size]: a row's slot plus 1; 0: not copied
    atomic_int n_used;   // slots taken; more than n_slots where they ran out
};

static const float *find_row(const wb_words *words, int id) {
    const int place = atomic_load_explicit(&words->places[id], memory_order_acquire);
    return place ? words->rows + (size_t)(place - 1) * words->d_model : NULL;
}

// Two threads may copy one row: both copies are right, and one slot is lost.
static void keep_row(wb_words *words, int id, const float *row) {
    if (atomic_load_explicit(&words->n_used, memory_order_relaxed) >= words->n_slots) return;
    const int slot = atomic_fetch_add_explicit(&words->n_used, 1, memory_order_relaxed);
    if (slot >= words->n_slots) return;
    memcpy(words->rows + (size_t)slot * words->d_model, row, words->d_model * sizeof *row);
    atomic_store_explicit(&words->places[id], slot + 1, memory_order_release);
}

static void read_word(const void *context, int id, float *y) {
    wb_words *words = (wb_words *)(uintptr_t)context;
    const float *kept = find_row(words, id);
    if (kept) {
        memcpy(y, kept, words->d_model * sizeof *y);
        return;
    }
    wb_checkpoint_read(y, words->model->checkpoint, words->model->words,
                       (size_t)id * words->d_model, words->d_model);
    keep_row(words, id, y);
}

static void read_tensor(const void *context, const char *name, size_t first, size_t n, float *y) {
    const wb_words *words = context;
    const wb_tensor_source source = wb_model_source(words->model);
    source.read(source.context, name, first, n, y);
}

wb_status wb_words_open(wb_words **out, const wb_model *model, wb_error *err) {
    *out = NULL;
    const wb_shape *shape = &model->shape;
    const size_t row_bytes = (size_t)shape->d_model * sizeof(float);
    const size_t n_rows = MOST_BYTES / row_bytes, vocab_size = (size_t)shape->vocab_size;
    wb_words *words = wb_alloc_zeroed(sizeof *words);
    if (!words) return wb_fail(err, WB_ERR_MEMORY, 0, "word embeddings");
    words->model = model;
    words->d_model = (size_t)shape->d_model;
    words->n_slots = (int)(n_rows < vocab_size ? n_rows : vocab_size);
    words->rows = wb_alloc((size_t)words->n_slots * row_bytes);
    words->places = wb_alloc_array(vocab_size, sizeof *words->places);
    if (!words->rows || !words->places) {
        wb_words_close(words);
        return wb_fail(err, WB_ERR_MEMORY, 0, "word embeddings");
    }
    *out = words;
    return WB_OK;
}

void wb_words_close(wb_words *words) {
    if (!words) return;
    wb_free(words->places);
    wb_free(words->rows);
    wb_free(words);
}

wb_tensor_source wb_words_source(const wb_words *words) {
    return (wb_tensor_source){.read = read_tensor, .read_word = read_word, .context = words};
}
