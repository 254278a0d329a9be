// SPDX-License-Identifier: Apache-2.0
// The whole forward over one batch: the picture at the top of model.h, in code.
#include <string.h>

#include "model/model.h"

// Shows x[n_rows, d_model] to whoever looks.
static void tap(const wb_tap *t, wb_tap_point point, int layer, const float *x, int n_rows) {
    if (t) t->see(t->context, point, layer, x, n_rows);
}

// Layers from first_layer on over s->x, in place, then the head. A pruned last layer leaves the
// rows the head reads in s->pooled; otherwise they are gathered there.
static void forward_layers(const wb_team *team, const wb_batch *batch, int first_layer,
                           float *logits, const wb_tap *t) {
    const wb_workspace *s = wb_team_workspace(team);
    const wb_plan *plan = team->plan;
    const int n_layers = plan->shape.n_layers, d = plan->shape.d_model;
    float *x = s->x;
    int n_rows = batch->n_rows;
    for (int layer = first_layer; layer < n_layers; layer++) {
        const bool is_pruned = plan->is_last_layer_pruned && layer == n_layers - 1;
        float *y = is_pruned ? s->pooled : x;
        wb_attention_forward(team, layer, batch, y, x);
        x = y;
        if (is_pruned) n_rows = batch->n_texts;
        tap(t, WB_TAP_ATTENTION, layer, x, n_rows);
        wb_ffn_forward(team, layer, x, x, n_rows);
        tap(t, WB_TAP_LAYER, layer, x, n_rows);
    }
    if (x != s->pooled) wb_pool_first_rows(batch, d, s->pooled, x);
    wb_head_forward(team, logits, s->pooled, batch->n_texts);
}

void wb_forward_batch(const wb_team *team, const wb_batch *batch, float *logits, const wb_tap *t) {
    float *x = wb_team_workspace(team)->x;
    wb_embed_forward(team, batch, x);
    tap(t, WB_TAP_EMBEDDINGS, 0, x, batch->n_rows);
    forward_layers(team, batch, 0, logits, t);
}

void wb_forward_from(const wb_team *team, const wb_batch *batch, int first_layer, const float *x,
                     float *logits) {
    const size_t n = (size_t)batch->n_rows * (size_t)team->plan->shape.d_model;
    memcpy(wb_team_workspace(team)->x, x, n * sizeof *x);
    forward_layers(team, batch, first_layer, logits, NULL);
}
