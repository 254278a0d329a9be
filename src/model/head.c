// SPDX-License-Identifier: Apache-2.0
// The classifier on the first row of each text, [CLS]: a linear layer with ReLU, whatever the
// model's activation, and one to the logits.
#include <string.h>

#include "model/model.h"

void wb_pool_first_rows(const wb_batch *batch, int d_model, float *pooled, const float *x) {
    const size_t d = (size_t)d_model;
    for (int i = 0; i < batch->n_texts; i++)
        memcpy(pooled + (size_t)i * d, x + (size_t)batch->texts[i].first_row * d,
               d * sizeof *pooled);
}

void wb_head_forward(const wb_team *team, float *logits, const float *pooled, int n_texts) {
    const wb_weights *weights = team->weights;
    const int d = weights->shape.d_model, n_labels = weights->shape.n_labels;
    float *pre = wb_team_workspace(team)->pre_logits;
    // A batch of short texts may have more of them than a block has rows.
    for (int row = 0, m; row < n_texts; row += m) {
        m = wb_plan_next_block(team->plan, n_texts - row);
        wb_linear_forward(team, &(wb_product){.linear = &weights->pre_classifier,
                                              .n = d,
                                              .y = pre,
                                              .ld_y = d,
                                              .x = pooled + (size_t)row * (size_t)d,
                                              .ld_x = d,
                                              .m = m,
                                              .activation = WB_RELU});
        wb_linear_forward(team, &(wb_product){.linear = &weights->classifier,
                                              .n = n_labels,
                                              .y = logits + (size_t)row * (size_t)n_labels,
                                              .ld_y = n_labels,
                                              .x = pre,
                                              .ld_x = d,
                                              .m = m});
    }
}
