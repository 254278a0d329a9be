// SPDX-License-Identifier: Apache-2.0
// The contract of every kernel of this folder, and how it is launched. Each function puts one
// kernel on a stream and returns a cudaError_t as unsigned, 0 being success; none allocates or
// waits. All pointers are device memory; rows are contiguous, 16-byte aligned, their widths
// multiples of
// 8. Rows past a batch's last, up to its bucket, may hold anything: no kernel mixes rows but
// attention, which is told where each text ends.
//
// Sums over rows, softmax and layer norm are in f32, whatever the cells.
#ifndef WB_CUDA_LAUNCH_H
#define WB_CUDA_LAUNCH_H

#include "cuda/device.h"
#include "cuda/product.h"

// How a row is written for the product that reads it next. f32, f16 and bf16 cells are the value
// itself; fp8 and i8 cells are value * multiplier, rounded to nearest even and saturated, where
//   dynamic (row_scale)   multiplier = Q / max|row|, and row_scale[row] <- max|row| / Q
//   static                multiplier = column_multiplier[column], or that one number
// with Q 448 for fp8 and 127 for i8.
typedef struct wb_narrow {
    void *rows;  // [m, ld]; NULL: not written
    wb_cell cell;
    int ld;
    float *row_scale;                // [m], or NULL: static
    const float *column_multiplier;  // [width], or NULL
    float multiplier;
} wb_narrow;

// ---- rows.cu ----

// x[m, d] <- norm(words[ids[i]] + positions[position[i]]), and once more as narrow says.
typedef struct wb_embed_args {
    const int32_t *ids, *position;  // [m]
    const void *words, *positions;  // [vocab_size, d], [max_positions, d] in cell
    const float *gamma, *beta;      // [d]
    void *x;                        // [m, d] in cell
    wb_cell cell;
    wb_narrow narrow;
    int m, d;
} wb_embed_args;
unsigned wb_launch_embed(const wb_embed_args *args, wb_stream stream);

// x[m, d] <- norm(a + b), and once more as narrow says; x may be b.
typedef struct wb_norm_args {
    const void *a;  // [m, d] in a_cell
    wb_cell a_cell;
    const void *b;  // [m, d] in x_cell, or NULL: zeros
    const float *gamma, *beta;
    void *x;
    wb_cell x_cell;
    wb_narrow narrow;
    int m, d;
} wb_norm_args;
unsigned wb_launch_norm(const wb_norm_args *args, wb_stream stream);

// What a product leaves to do where the library's epilogue cannot: each row of sums becomes
// activation(sum * x_scale * w_scale + bias), written as narrow says.
typedef struct wb_finish_args {
    const void *sums;  // [m, ld_sums]
    wb_cell cell;      // f32, f16, bf16 or i32
    int ld_sums;
    const float *row_scale;  // [m], or NULL: all x_scale
    float x_scale;
    const float *column_scale;  // [n], or NULL: all 1
    const float *bias;          // [n], or NULL: zeros
    wb_activation activation;
    wb_narrow narrow;
    int m, n;
} wb_finish_args;
unsigned wb_launch_finish(const wb_finish_args *args, wb_stream stream);

// The largest width norm and finish take.
enum { WB_CUDA_MOST_NORM = 2048, WB_CUDA_MOST_WIDTH = 8192 };

// ---- move.cu ----

// to[n_bytes] <- from[n_bytes], which may be pinned host memory; n_bytes a multiple of 16, few.
unsigned wb_launch_copy(void *to, const void *from, size_t n_bytes, wb_stream stream);

// Rows picked out of up to three arrays: to[i, :] <- from[first_rows[i], :], row_bytes each.
typedef struct wb_gather_part {
    void *to;
    const void *from;
    int row_bytes;  // a multiple of 4; 0: no such part
} wb_gather_part;
typedef struct wb_gather_args {
    wb_gather_part parts[3];
    const int32_t *texts;  // [m, 2]: the first row of each text, and its valid length
    int m;
} wb_gather_args;
unsigned wb_launch_gather(const wb_gather_args *args, wb_stream stream);

// to[n] <- from[n] between f32, f16 and bf16; n a multiple of 8.
unsigned wb_launch_cast(void *to, wb_cell to_cell, const void *from, wb_cell from_cell, size_t n,
                        wb_stream stream);

// logits[m, n_labels] <- x[m, d] . w[n_labels, d]^T + bias, all f32.
typedef struct wb_classify_args {
    const float *x, *w, *bias;
    float *logits;
    int m, d, n_labels;
} wb_classify_args;
unsigned wb_launch_classify(const wb_classify_args *args, wb_stream stream);

// ---- skinny.cu ----

// y[m, n] <- activation(x[m, k] . w[n, k]^T + bias + residual) for few rows.
typedef struct wb_skinny_args {
    const void *x, *w;     // in cell
    const float *bias;     // [n]
    const void *residual;  // [m, ld_y] in cell, or NULL
    void *y;               // [m, ld_y] in y_cell
    wb_cell cell, y_cell;  // f16 or bf16; the same, or f32
    int ld_y, m, n, k;
    wb_activation activation;
} wb_skinny_args;
bool wb_skinny_takes(const wb_skinny_args *args);
unsigned wb_launch_skinny(const wb_skinny_args *args, wb_stream stream);

// ---- fold.cu and whole.cu ----

enum { WB_WHOLE_ROWS = 32, WB_WHOLE_LAYERS = 12 };

typedef struct wb_whole_product {
    const void *units;  // w[n, k] in cell, as fold leaves it
    const float *bias;  // [n]
    const float *sums;  // [n]: of w's rows where a norm is folded in, else NULL
} wb_whole_product;

typedef struct wb_whole_norm {
    const float *gamma, *beta;  // [d]
} wb_whole_norm;

// units <- w[n, k] in cell as whole.cu reads it: 8 rows at a time, of these 32 columns, of these
// what each lane of a warp multiplies with, 8 cells. Lane l has those of row l / 4 and columns
// [4 (l % 4), + 4), and 16 columns on; or, in order, of columns 2 (l % 4) and the next, and so on
// every 8 columns.
//
// With gamma, the norm before the product is folded in: w gamma instead of w, sums[n] the sums of
// its rows, folded_bias[n] <- bias + w beta, so that
//
//     norm(s) w^T + bias = (s (w gamma)^T - mean(s) sums) / deviation(s) + folded_bias
typedef struct wb_fold_args {
    const float *w;                    // [n, k]
    const float *bias, *gamma, *beta;  // [n], [k], [k]; all NULL or none
    void *units;
    float *sums, *folded_bias;
    wb_cell cell;  // f16 or bf16
    int n, k;      // multiples of 8 and of 32
    bool is_in_order;
} wb_fold_args;
unsigned wb_launch_fold(const wb_fold_args *args, wb_stream stream);

// Where things lie in a block's shared memory, in bytes; filled by prepare.
typedef struct wb_whole_room {
    int at[3];  // of qkv and up, of out, of down
    int scratch[2], inbox, stats, moments, vectors, keys, flags, n_bytes;
} wb_whole_room;

// logits[n_texts, n_labels] <- a model's whole forward of m rows; the input is in the arguments.
typedef struct wb_whole_args {
    int32_t ids[WB_WHOLE_ROWS];
    uint16_t position[WB_WHOLE_ROWS];
    uint8_t first_key[WB_WHOLE_ROWS], end_key[WB_WHOLE_ROWS];  // rows that each row attends to
    int8_t text[WB_WHOLE_ROWS];  // of which it is the first row, or -1
    int m, n_texts;
    int n_layers, d, d_ff, n_heads, d_head, n_labels;
    wb_cell cell;  // f16 or bf16: of all rows, tables and matrices but the classifier
    wb_activation activation;
    int log_clusters;               // of blocks, so many; chosen by prepare, as is
    int n_kept;                     // the products whose matrices the cache shall keep
    const void *words, *positions;  // [vocab_size, d], [max_positions, d]
    wb_whole_product
        products[4 * WB_WHOLE_LAYERS + 1];  // of each layer qkv, out, up, down; then the head's
    wb_whole_norm norms[2 * WB_WHOLE_LAYERS + 1];  // embeddings', then after each block
    const float *classifier_w, *classifier_bias;   // [n_labels, d], [n_labels]
    wb_whole_room room;
    // What this forward leaves from step to step, and what the one before has left, to be emptied:
    // each results_bytes, which prepare counts, all bytes 0xff at first.
    unsigned char *results, *spent;
    int results_bytes;
    float *logits;  // may be pinned host memory
} wb_whole_args;
// Whether the current GPU can run it with such sizes: Hopper's clusters and copy engine, d a
// multiple of 64 up to 768, d_ff of 128 up to 3,072, heads of 32 or 64. Once, before launching.
bool wb_whole_prepare(wb_whole_args *args);
unsigned wb_launch_whole(const wb_whole_args *args, wb_stream stream);

// ---- product_fp8.cu ----

// A product in fp8 with one scale a tensor, results in f16, bf16 or fp8, all of the epilogue in the
// kernel; on compute capability 9.0 only. k a multiple of 128 up to 768, n of 64, ld_y of 16.
bool wb_product_fp8_takes(const wb_gpu_product *product);
unsigned wb_launch_product_fp8(const wb_gpu_product *product, wb_stream stream);

// ---- attention: one item is one text, or 64 of its queries ----

typedef struct wb_item {
    int first_row;    // of the text
    int n_rows;       // queries of the text, padding included
    int n_valid;      // keys
    int first_query;  // of this item; an item ends at the next 64 queries or the text's end
    int text;         // of the batch: the row of its query and context where there is one a text
    int64_t score;    // where the text's first head's scores begin; materialised attention only
} wb_item;

// Items of one launch, by the kernel that takes them. A batch has texts of several classes.
typedef enum wb_item_class {
    WB_ITEMS_32,    // whole texts of at most 32 rows
    WB_ITEMS_64,    // of at most 64
    WB_ITEMS_LONG,  // 64 queries of a longer one
    WB_N_ITEM_CLASSES
} wb_item_class;

typedef struct wb_attention_args {
    const void *query;  // [rows, ld_query]: heads side by side
    int ld_query;
    const void *key, *value;  // [rows, ld_key]
    int ld_key;
    wb_cell cell;       // of query, key, value and scores: f32, f16 or bf16
    wb_narrow context;  // [rows, n_heads d_head]; static or not quantized
    const wb_item *items;
    const int32_t *n_items;  // read on the device: a graph is replayed with other batches
    int most_items;          // that *n_items may be
    wb_item_class item_class;
    int n_heads, d_head;
    int n_multiprocessors;
    bool is_first_only;  // one query a text, at query[text, ld_query] -> context[text]: the last
                         // layer of a pruned plan
    void *scores;        // materialised attention only; never with is_first_only
} wb_attention_args;

// context <- softmax(q k^T / sqrt(d_head)) v, scores never in memory. f16 and bf16 with heads of 32
// or 64 on tensor cores, all else as below.
unsigned wb_launch_attention_flash(const wb_attention_args *args, wb_stream stream);

// The same in f32 on the plain units, for heads of 32 or 64.
unsigned wb_launch_attention_f32(const wb_attention_args *args, wb_stream stream);

// The same one query at a time, for any cells and heads of at most 256.
unsigned wb_launch_attention_rows(const wb_attention_args *args, wb_stream stream);

// The materialised form: scores to memory, softmax over them, their product with the values. All
// items are of the class long. A row of scores has n_rows rounded up to 8 cells.
unsigned wb_launch_attention_standard(const wb_attention_args *args, wb_stream stream);

#endif
