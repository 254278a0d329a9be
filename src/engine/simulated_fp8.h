// SPDX-License-Identifier: Apache-2.0
// fp8 products as a GPU with static scales computes them, in f32: weights rounded once, inputs
// rounded before each product, sums in f32. Only calibration runs this; no technique does.
#ifndef WB_ENGINE_SIMULATED_FP8_H
#define WB_ENGINE_SIMULATED_FP8_H

#include "engine/trial.h"

typedef struct wb_fp8_simulation {
    wb_trial *trial;
    const wb_matrix_scales *matrices;  // [n_matrices]
    bool *is_on;                       // [n_matrices]: whose inputs are rounded
    float *x;                          // the rounded rows of one product
} wb_fp8_simulation;

// *simulation <- of no matrix yet. Close it in any case.
wb_status wb_fp8_open(wb_fp8_simulation *simulation, wb_trial *trial,
                      const wb_matrix_scales *matrices, wb_error *err);
void wb_fp8_close(wb_fp8_simulation *simulation);

// *linear <- the weights of one matrix, rounded to e4m3 with one scale for all of them.
wb_status wb_fp8_pack(wb_linear *linear, const wb_fp8_simulation *simulation, int matrix,
                      wb_error *err);
// A product tap that rounds the inputs of the matrices that are on.
wb_product_tap wb_fp8_tap(wb_fp8_simulation *simulation);

#endif
