// SPDX-License-Identifier: Apache-2.0
// Self-attention of one layer over a batch, in blocks of whole texts: query, key and value
// in one product, then each head of each text by itself, then the output product, residual
// and norm. A text never sees another's rows, so packing changes nothing.
#include <math.h>
#include <string.h>

#include "model/model.h"

// Some texts of a batch on their way through one layer; row 0 is the first text's first row.
typedef struct block {
    const wb_team *team;
    const wb_layer_weights *weights;
    const wb_batch_text *texts;
    int n_texts, n_rows;
    bool is_pruned;  // one query a text
    bool is_last;    // of its layer
    float *query;    // [n_rows, 3 d_model], or [n_texts, d_model] where pruned
    int ld_query;
} block;

// context[n_query, d_head] of one head of one text <- softmax(q k^T / sqrt(d_head)) v. Task
// i * n_heads + head. Query, key and value of a head lie side by side in a row of qkv, so that no
// transposition separates the product from here:
//
//     qkv row:  | q of head 0 | q of head 1 | .. | k of head 0 | .. | v of head 0 | .. |
static void attend_head(void *context, int task, int worker) {
    const block *b = context;
    const wb_kernels *kernels = b->team->kernels;
    const wb_shape *shape = &b->team->weights->shape;
    const wb_workspace *shared = wb_team_workspace(b->team);
    const wb_workspace *own = &b->team->workspaces[worker];
    const int d = shape->d_model, d_head = shape->d_head, ld_qkv = 3 * d;
    const int i = task / shape->n_heads, column = task % shape->n_heads * d_head;
    const wb_batch_text *text = &b->texts[i];
    const int row = text->first_row - b->texts[0].first_row;

    const float *key = shared->qkv + (size_t)row * (size_t)ld_qkv + d + column;
    const float *value = key + d;
    const int query_row = b->is_pruned ? i : row, n_query = b->is_pruned ? 1 : text->n_rows;
    const float *query = b->query + (size_t)query_row * (size_t)b->ld_query + column;
    float *y = shared->context + (size_t)query_row * (size_t)d + column;
    const float scale = 1.0f / sqrtf((float)d_head);
    if (b->team->plan->attention == WB_ATTENTION_FLASH) {
        // Masked keys are at the end, so a tiled kernel need not visit them.
        kernels->attention_flash(y, d, query, key, value, ld_qkv, n_query, text->n_valid, d_head,
                                 scale, own->attention_scratch);
        return;
    }
    const int n_keys = text->n_rows, ld_s = wb_scores_stride(n_keys);
    kernels->attention_scores(own->scores, ld_s, query, key, ld_qkv, n_query, n_keys, d_head, scale,
                              own->attention_scratch);
    kernels->softmax(own->scores, ld_s, n_query, n_keys, text->n_valid);
    kernels->attention_context(y, d, own->scores, ld_s, value, ld_qkv, n_query, n_keys, d_head);
}

// context <- all heads of all texts of the block, in any order.
static void attend(block *b) {
    const wb_team *team = b->team;
    const int n_tasks = b->n_texts * team->weights->shape.n_heads;
    wb_team_run(team, attend_head, b, n_tasks);
}

// y[n_rows, d_model] <- the whole block.
static void forward_block(block *b, float *y, const float *x) {
    const wb_team *team = b->team;
    const wb_workspace *s = wb_team_workspace(team);
    const wb_linear *qkv = &b->weights->matrices[WB_MATRIX_QKV];
    const wb_linear *out = &b->weights->matrices[WB_MATRIX_ATTENTION_OUT];
    const wb_linear *up = &b->weights->matrices[WB_MATRIX_FFN_UP];
    const int d = team->weights->shape.d_model, m = b->n_rows;

    wb_linear_forward(team, &(wb_product){.linear = qkv,
                                          .n = 3 * d,
                                          .y = s->qkv,
                                          .ld_y = 3 * d,
                                          .x = x,
                                          .ld_x = d,
                                          .m = m,
                                          .next = out});
    b->query = s->qkv;
    b->ld_query = 3 * d;
    attend(b);
    wb_linear_forward(team, &(wb_product){.linear = out,
                                          .n = d,
                                          .y = s->hidden,
                                          .ld_y = d,
                                          .x = s->context,
                                          .ld_x = d,
                                          .m = m,
                                          .next = b->is_last ? up : qkv});
    wb_norm_forward(team, &b->weights->attention_norm, y, s->hidden, x, m);
}

// y[n_texts, d_model] <- the first rows of the block's texts. Keys and values are needed of all
// rows, all else of one row a text.
static void forward_pruned_block(block *b, float *y, const float *x) {
    const wb_team *team = b->team;
    const wb_workspace *s = wb_team_workspace(team);
    const wb_linear *qkv = &b->weights->matrices[WB_MATRIX_QKV];
    const wb_linear *out = &b->weights->matrices[WB_MATRIX_ATTENTION_OUT];
    const int d = team->weights->shape.d_model, tile_n = team->kernels->tile_n;

    // A product starts at a panel: the last few queries come along where d_model is odd.
    const int first = d / tile_n * tile_n;
    wb_linear_forward(team, &(wb_product){.linear = qkv,
                                          .first = first,
                                          .n = 3 * d - first,
                                          .y = s->qkv + first,
                                          .ld_y = 3 * d,
                                          .x = x,
                                          .ld_x = d,
                                          .m = b->n_rows});
    for (int i = 0; i < b->n_texts; i++) {
        const int row = b->texts[i].first_row - b->texts[0].first_row;
        memcpy(y + (size_t)i * (size_t)d, x + (size_t)row * (size_t)d, (size_t)d * sizeof *y);
    }
    wb_linear_forward(
        team,
        &(wb_product){
            .linear = qkv, .n = d, .y = s->hidden, .ld_y = d, .x = y, .ld_x = d, .m = b->n_texts});
    b->query = s->hidden;
    b->ld_query = d;
    attend(b);
    wb_linear_forward(team, &(wb_product){.linear = out,
                                          .n = d,
                                          .y = s->hidden,
                                          .ld_y = d,
                                          .x = s->context,
                                          .ld_x = d,
                                          .m = b->n_texts});
    wb_norm_forward(team, &b->weights->attention_norm, y, s->hidden, y, b->n_texts);
}

// Texts from first on that make a block: as many as come closest to an equal share of the rows left
// and fit a block, at least one.
static int count_block_texts(const wb_batch *batch, int first, const wb_plan *plan, int *n_rows) {
    const int share = wb_plan_next_block(plan, batch->n_rows - batch->texts[first].first_row);
    int n = 0;
    for (*n_rows = 0; first + n < batch->n_texts; n++) {
        const int rows = batch->texts[first + n].n_rows;
        if (n > 0 && (*n_rows + rows > plan->block_rows || *n_rows + rows / 2 >= share)) break;
        *n_rows += rows;
    }
    return n;
}

void wb_attention_forward(const wb_team *team, int layer, const wb_batch *batch, float *y,
                          const float *x) {
    const wb_plan *plan = team->plan;
    const size_t d = (size_t)plan->shape.d_model;
    const bool is_pruned = plan->is_last_layer_pruned && layer == plan->shape.n_layers - 1;
    block b = {.team = team, .weights = &team->weights->layers[layer], .is_pruned = is_pruned};
    for (int first = 0; first < batch->n_texts; first += b.n_texts) {
        b.texts = &batch->texts[first];
        b.n_texts = count_block_texts(batch, first, plan, &b.n_rows);
        b.is_last = first + b.n_texts == batch->n_texts;
        const size_t row = (size_t)b.texts[0].first_row;
        if (is_pruned)
            forward_pruned_block(&b, y + (size_t)first * d, x + row * d);
        else
            forward_block(&b, y + row * d, x + row * d);
    }
}
