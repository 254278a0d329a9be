// SPDX-License-Identifier: Apache-2.0
// The feed-forward half of a layer, in blocks of rows: what lies between its two products is
// four times as wide as x and stays in cache only if it is not made for all rows at once.
#include "model/model.h"

// y[m, d_model] <- norm(x + down(activation(up(x)))), m at most a block; next as in wb_product.
static void forward_block(const wb_team *team, const wb_layer_weights *weights, float *y,
                          const float *x, int m, const wb_linear *next) {
    const wb_workspace *s = wb_team_workspace(team);
    const wb_shape *shape = &team->weights->shape;
    const int d = shape->d_model, d_ff = shape->d_ff;
    const wb_linear *up = &weights->matrices[WB_MATRIX_FFN_UP];
    const wb_linear *down = &weights->matrices[WB_MATRIX_FFN_DOWN];
    // In bf16 6 instead of 12 and 6 KB a row of the second-level cache: 1.12 to 1.18 of a whole
    // forward's rate on 16 threads, 1.03 on one (a shared Xeon with AMX). In i8-static 3 instead of
    // 12 and 3: 1.01 to 1.02 on two threads (Zen 5).
    void *narrow = wb_linear_keeps_narrow(team, up, down) ? s->wide : NULL;

    wb_linear_forward(team, &(wb_product){.linear = up,
                                          .n = d_ff,
                                          .y = s->wide,
                                          .y_narrow = narrow,
                                          .ld_y = d_ff,
                                          .x = x,
                                          .ld_x = d,
                                          .m = m,
                                          .activation = shape->activation,
                                          .next = down});
    wb_linear_forward(team, &(wb_product){.linear = down,
                                          .n = d,
                                          .y = s->hidden,
                                          .ld_y = d,
                                          .x = s->wide,
                                          .x_narrow = narrow,
                                          .ld_x = d_ff,
                                          .m = m,
                                          .next = next});
    wb_norm_forward(team, &weights->ffn_norm, y, s->hidden, x, m);
}

void wb_ffn_forward(const wb_team *team, int layer, float *y, const float *x, int m) {
    const wb_layer_weights *weights = &team->weights->layers[layer];
    const size_t d = (size_t)team->weights->shape.d_model;
    const bool is_last = layer == team->weights->shape.n_layers - 1;
    const wb_linear *after = is_last ? NULL : &weights[1].matrices[WB_MATRIX_QKV];
    for (int row = 0, n_rows; row < m; row += n_rows) {
        n_rows = wb_plan_next_block(team->plan, m - row);
        const wb_linear *next = row + n_rows < m ? &weights->matrices[WB_MATRIX_FFN_UP] : after;
        forward_block(team, weights, y + (size_t)row * d, x + (size_t)row * d, n_rows, next);
    }
}
