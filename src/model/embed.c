// SPDX-License-Identifier: Apache-2.0
// Embeddings: a word's row and its position's row, added and normalised. Positions count from
// 0 in every text wherever its rows lie in the batch, which is all that packing asks for here.
#include <string.h>

#include "model/model.h"

enum { PADDING_ID = 0 };  // [PAD] where there is one; its rows are masked, any id would do

// One call of wb_embed_forward, as its tasks see it.
typedef struct embed_run {
    const wb_team *team;
    const wb_batch *batch;
    float *x;
    int n_tasks;
} embed_run;

// The id of a text's row. A text that is cut keeps its last token, [SEP], as the tokenizer
// would have kept it.
static int id_at(const wb_batch_text *text, int row) {
    if (row >= text->n_valid) return PADDING_ID;
    return row == text->n_valid - 1 ? text->ids[text->n_ids - 1] : text->ids[row];
}

// x[n_rows, d_model] of a share of the texts. The position table's first n_rows rows are added as
// they lie, in the pass that normalises.
static void embed_texts(void *context, int task, int worker) {
    (void)worker;
    const embed_run *run = context;
    const wb_weights *weights = run->team->weights;
    const wb_norm *norm = &weights->embedding_norm;
    const int d = weights->shape.d_model;
    int begin, end;
    wb_team_cut(&begin, &end, run->batch->n_texts, 1, task, run->n_tasks);
    for (int i = begin; i < end; i++) {
        const wb_batch_text *text = &run->batch->texts[i];
        float *x = run->x + (size_t)text->first_row * (size_t)d;
        for (int row = 0; row < text->n_rows; row++)
            weights->source.read_word(weights->source.context, id_at(text, row),
                                      x + (size_t)row * (size_t)d);
        run->team->kernels->add_norm(x, d, x, d, weights->positions, d, norm->gamma, norm->beta,
                                     WB_NORM_EPSILON, text->n_rows, d);
    }
}

void wb_embed_forward(const wb_team *team, const wb_batch *batch, float *x) {
    embed_run run = {.team = team, .batch = batch, .x = x};
    const int row_tasks = wb_team_row_tasks(team, batch->n_rows, team->weights->shape.d_model);
    run.n_tasks = row_tasks < batch->n_texts ? row_tasks : batch->n_texts;
    wb_team_run(team, embed_texts, &run, run.n_tasks);
}
