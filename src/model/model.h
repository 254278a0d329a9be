// SPDX-License-Identifier: Apache-2.0
// DistilBERT from token ids to logits, as a plan says. Nothing here knows texts, files or
// meters: the engine hands in tensors by name and lists of ids. Weights are packed once;
// after that nothing is allocated and nothing can fail.
//
//   ids ──► embed ──► x[n_rows, d_model] ──► attention ──► ffn ──► .. ──► head ──► logits
//           positions,                       \_____ each layer ___/       row 0 of
//           layer norm                                                    each text
#ifndef WB_MODEL_H
#define WB_MODEL_H

#include "base/base.h"
#include "kernels/kernels.h"
#include "plan/plan.h"
#include "plan/scales.h"

// ---- pack.c: a matrix packed in its precision; its product is in linear.c ----

typedef struct wb_linear {
    int n, k;  // w[n, k]
    wb_precision precision;
    bool is_autocast;    // panels are f32 and are cast to precision at each use
    void *panels;        // [wb_linear_panels()] of panel_bytes
    size_t panel_bytes;  // of the stored panel
    float *bias;         // [n]
    float *w_scale;      // [n]; int8 only
    float x_scale;       // of all activations, and
    float *x_factor;     // [k]: what each column is multiplied by to be quantized; i8-static only
    void *memory;        // of all arrays, owned; NULL where they belong to a wb_weights
} wb_linear;

// *linear <- w[n, k] and bias[n] packed in a precision; copies both. scales are read by i8-static
// alone, which needs them; others take NULL.
wb_status wb_linear_pack(wb_linear *linear, const wb_kernels *kernels, wb_precision precision,
                         bool is_autocast, const wb_matrix_scales *scales, const float *w,
                         const float *bias, int n, int k, wb_error *err);
void wb_linear_free(wb_linear *linear);

// The same in steps. *linear <- arrays that lie in memory (NULL: nowhere yet), which starts on a
// cache line and may be read-only where it was packed before; the bytes that takes.
size_t wb_linear_place(wb_linear *linear, const wb_kernels *kernels, wb_precision precision,
                       bool is_autocast, const wb_matrix_scales *scales, int n, int k,
                       void *memory);
int wb_linear_panels(const wb_linear *linear, const wb_kernels *kernels);
// What belongs to no panel; then each panel, by any thread: w are the rows of its own columns.
void wb_linear_begin(wb_linear *linear, const wb_matrix_scales *scales, const float *bias);
void wb_linear_pack_panel(wb_linear *linear, const wb_kernels *kernels,
                          const wb_matrix_scales *scales, int panel, const float *w, void *scratch);
size_t wb_linear_scratch_bytes(const wb_linear *linear, const wb_kernels *kernels);

// Bytes of scratch a thread needs to cast one panel of this matrix; 0 without autocast.
size_t wb_linear_cast_bytes(const wb_linear *linear, const wb_kernels *kernels);

// ---- weights.c ----

#define WB_NORM_EPSILON 1e-12f  // DistilBERT's, in every layer norm

typedef struct wb_norm {
    float *gamma, *beta;  // [d_model]
} wb_norm;

typedef struct wb_layer_weights {
    wb_linear matrices[WB_MATRICES_PER_LAYER];
    wb_norm attention_norm, ffn_norm;
} wb_layer_weights;

// Where tensors come from. read: y[n] <- elements [first, first + n) of the tensor called name as
// f32; every tensor of the shape exists. word_embeddings is read at every forward, so read must
// stay valid, must not fail, and may be called from any thread.
typedef struct wb_tensor_source {
    void (*read)(const void *context, const char *name, size_t first, size_t n, float *y);
    void (*read_word)(const void *context, int id, float *y);  // y[d_model]
    const void *context;
} wb_tensor_source;

typedef struct wb_weights {
    wb_shape shape;
    wb_tensor_source source;  // of word embeddings, [vocab_size, d_model]
    float *positions;         // [max_positions, d_model]
    wb_norm embedding_norm;
    wb_layer_weights *layers;  // [n_layers]
    wb_linear pre_classifier, classifier;
    // All of the above but the word embeddings in one block, whose layout follows from the plan and
    // the kernels: where it is packed, it can be kept, and used as it lies.
    const void *packed;  // [n_bytes], on a cache line
    size_t n_bytes;
    void *memory;  // packed, where it is owned
} wb_weights;

// *weights <- every tensor packed as the plan says, by all threads of pool (NULL: by the caller).
// The same bytes with any number of threads. WB_ERR_MEMORY
wb_status wb_weights_open(wb_weights **out, const wb_plan *plan, const wb_kernels *kernels,
                          const wb_tensor_source *source, wb_pool *pool, wb_error *err);
// *weights <- what the same plan and kernels packed before: packed[n_bytes] is borrowed, on a cache
// line, and only read. WB_ERR_FORMAT where these are not their bytes; WB_ERR_MEMORY
wb_status wb_weights_adopt(wb_weights **out, const wb_plan *plan, const wb_kernels *kernels,
                           const wb_tensor_source *source, const void *packed, size_t n_bytes,
                           wb_error *err);
// *mark <- where in such a block each array lies; another order of them is another mark.
wb_status wb_weights_mark_layout(uint64_t *mark, const wb_plan *plan, const wb_kernels *kernels,
                                 wb_error *err);
void wb_weights_close(wb_weights *weights);

// *linear <- one matrix of the plan, in another precision.
wb_status wb_weights_pack_matrix(wb_linear *linear, const wb_plan *plan, int matrix,
                                 wb_precision precision, const wb_kernels *kernels,
                                 const wb_tensor_source *source, wb_error *err);
// w[n, k], bias[n] <- one matrix of the plan as the tensors have it.
void wb_weights_read_matrix(float *w, float *bias, const wb_plan *plan, int matrix,
                            const wb_tensor_source *source);
// Where it belongs.
wb_linear *wb_weights_matrix(wb_weights *weights, int matrix);

// ---- batch.c: which texts go through together ----

// Token ids of many texts in the caller's order.
typedef struct wb_id_lists {
    int n_texts;
    const int32_t *ids;     // of all texts
    const size_t *offsets;  // [n_texts + 1]; text i has ids[offsets[i] .. offsets[i + 1])
    const int *by_length;   // [n_texts]: a permutation, shortest text first
} wb_id_lists;

typedef struct wb_batch_text {
    const int32_t *ids;  // [n_ids] as listed
    int n_ids;
    int n_valid;    // ids used: n_ids, or less where the text is cut
    int first_row;  // of the batch's rows
    int n_rows;     // n_valid and padding
    int index;      // of the text in its lists
} wb_batch_text;

typedef struct wb_batch {
    int n_texts, n_rows;
    uint64_t n_valid;      // rows that are no padding
    wb_batch_text *texts;  // [max_texts]
} wb_batch;

// Walks lists batch by batch as the plan's packing says.
typedef struct wb_batch_cursor {
    const wb_plan *plan;
    const wb_id_lists *lists;
    int next_text;          // in the order of the walk
    int next_batch;         // batches formed so far
    int n_batches;          // that the whole walk forms
    uint64_t n_tokens;      // of all texts
    uint64_t tokens_taken;  // by the batches so far
    // Packed: a round has a batch for each thread, all of the same share of the tokens.
    bool is_longest_first;  // threads take batches side by side: short texts make the last alike
    int round_end;          // the first batch of the next round
    uint64_t share;         // of each batch of this
    bool leaves_over;       // no batch exceeds it
    uint64_t boundary;      // tokens taken where the newest batch is full
} wb_batch_cursor;

void wb_batch_cursor_init(wb_batch_cursor *cursor, const wb_plan *plan, const wb_id_lists *lists);
// *batch <- the next one; false at the end.
bool wb_batch_next(wb_batch *batch, wb_batch_cursor *cursor);

// ---- workspace.c: what a thread writes to during a forward ----

// Floats from a row of scores to the next: each begins a cache line, or what is stored masked at
// the end of one row would hold up loads of the next. 25 rows of 25 keys: softmax takes 264 instead
// of 786 ns (EPYC Zen 5).
static inline int wb_scores_stride(int n_keys) {
    return (n_keys + 15) / 16 * 16;
}

typedef struct wb_workspace {
    wb_batch batch;
    float *x;           // [max_rows, d_model]: what flows from layer to layer
    float *pooled;      // [max_texts, d_model]: the rows the head reads
    float *pre_logits;  // [block, d_model]
    float *logits;      // [max_texts, n_labels]
    // Of one block of rows; text_block is that, or the longest text where that is longer.
    float *qkv;      // [text_block, 3 d_model]
    float *context;  // [text_block, d_model]
    float *hidden;   // [text_block, d_model]
    float *wide;     // [block, d_ff]
    void *narrow;    // [text_block, d_model] or [block, d_ff] as bf16, f16 or i8
    float *x_scale;  // [text_block] of narrow, int8 only
    // Of the one thread this workspace belongs to, also while all work on one batch.
    float *scores;  // [max_length] rows of wb_scores_stride(); materialised attention only
    float *attention_scratch;
    void *cast_panel;  // autocast only
    void *memory;      // all of the above
} wb_workspace;

wb_status wb_workspace_init(wb_workspace *workspace, const wb_plan *plan, const wb_weights *weights,
                            const wb_kernels *kernels, wb_error *err);
void wb_workspace_free(wb_workspace *workspace);

// ---- team.c: who computes a batch ----

// One thread with a batch of its own (pool NULL), or all threads on one batch. What belongs
// to the batch lies in the workspace of the caller's worker; a task's scratch in that of the
// worker it runs on.
typedef struct wb_team {
    const wb_plan *plan;
    const wb_kernels *kernels;
    const wb_weights *weights;
    wb_workspace *workspaces;  // [n_threads]
    wb_pool *pool;
    int worker;                        // the caller's index
    const struct wb_product_tap *tap;  // NULL: none
} wb_team;

static inline wb_workspace *wb_team_workspace(const wb_team *team) {
    return &team->workspaces[team->worker];
}
void wb_team_run(const wb_team *team, wb_task *task, void *context, int n_tasks);
// The same with a share of neighbouring tasks for each thread to begin with, and [begin, end) of
// it.
void wb_team_run_shares(const wb_team *team, wb_task *task, void *context, int n_tasks);
void wb_team_share(int *begin, int *end, const wb_team *team, int n_tasks, int worker);
// Tasks to cut n equal pieces of work into: 1 for a thread alone; n >= 1.
int wb_team_tasks(const wb_team *team, int n);
// The same for m rows of some width that take a few ns an element: 1 for few of them.
int wb_team_row_tasks(const wb_team *team, int m, int width);
// [begin, end) <- part task of n_tasks about equal parts of [0, n), cut at multiples of step.
void wb_team_cut(int *begin, int *end, int n, int step, int task, int n_tasks);

// One product: y[m, n] <- activation(x[m, k] . w[first .. first + n, k]^T + bias).
typedef struct wb_product {
    const wb_linear *linear;
    int first;  // column; a multiple of the kernels' tile_n
    int n;
    float *y;
    int ld_y;
    const float *x;
    int ld_x;
    int m;  // at most the workspace's block
    wb_activation activation;
    const wb_linear *next;  // of the product after this one: its weights are fetched at the end of
                            // this; NULL: not known
    // Instead of y and of x, whose rows then have no gaps: what flows from this product into the
    // next and from another into this, in their precision without being f32 in between, where
    // wb_linear_keeps_narrow() says so. NULL: not.
    void *y_narrow;
    const void *x_narrow;
} wb_product;

void wb_linear_forward(const wb_team *team, const wb_product *product);
// May from's y be y_narrow, and to's x that x_narrow? The bits are the same either way.
bool wb_linear_keeps_narrow(const wb_team *team, const wb_linear *from, const wb_linear *to);

// Looks at the inputs of products before they are multiplied; for calibration.
typedef struct wb_product_tap {
    // Returns the x[m, k] to multiply instead, rows without gaps, or NULL: the product's own.
    const float *(*see)(void *context, const wb_product *product);
    void *context;
} wb_product_tap;

// y[m, d_model] <- layer norm of a[m, d_model] + b[m, d_model], rows without gaps; y may be a or b.
void wb_norm_forward(const wb_team *team, const wb_norm *norm, float *y, const float *a,
                     const float *b, int m);

// ---- embed.c, attention.c, ffn.c, head.c: the components ----

// x[batch.n_rows, d_model] <- word and position embeddings, normalised.
void wb_embed_forward(const wb_team *team, const wb_batch *batch, float *x);

// y <- norm(x + attention(x)) of one layer over the rows of a batch; y may be x. The last layer of
// a pruned plan writes one row a text, y[n_texts, d_model], and then y may not be x.
void wb_attention_forward(const wb_team *team, int layer, const wb_batch *batch, float *y,
                          const float *x);

// y[m, d_model] <- norm(x + ffn(x)) of one layer; y may be x.
void wb_ffn_forward(const wb_team *team, int layer, float *y, const float *x, int m);

// pooled[n_texts, d_model] <- the first row of each text.
void wb_pool_first_rows(const wb_batch *batch, int d_model, float *pooled, const float *x);
// logits[n_texts, n_labels] <- the classifier over pooled[n_texts, d_model].
void wb_head_forward(const wb_team *team, float *logits, const float *pooled, int n_texts);

// ---- forward.c ----

// Looks at activations as they flow by; for tests, replays and measurements of sensitivity.
typedef enum wb_tap_point { WB_TAP_EMBEDDINGS, WB_TAP_ATTENTION, WB_TAP_LAYER } wb_tap_point;
typedef struct wb_tap {
    // x[n_rows, d_model] after the embeddings (layer 0), a layer's attention, a layer. A pruned
    // plan's last layer has one row a text.
    void (*see)(void *context, wb_tap_point point, int layer, const float *x, int n_rows);
    void *context;
} wb_tap;

// logits[n_texts, n_labels] <- the whole forward over one batch. tap may be NULL.
void wb_forward_batch(const wb_team *team, const wb_batch *batch, float *logits, const wb_tap *tap);

// The same from x[n_rows, d_model] as it enters layer first_layer; overwrites the workspace's x.
void wb_forward_from(const wb_team *team, const wb_batch *batch, int first_layer, const float *x,
                     float *logits);

#endif
