// SPDX-License-Identifier: Apache-2.0
// What calibration found out about the inputs of a model's products, for plans whose activation
// scales are fixed before the run (i8-static, fp8). `wattbert quantize` makes the artefact
// that holds it; CPU and GPU read the same one.
#ifndef WB_SCALES_H
#define WB_SCALES_H

#include "plan/plan.h"

// Of one matrix w[n, k] and its input x[m, k].
//
// int8: the product is computed as (x[m, k] / smooth[k]) . (w[n, k] smooth[k])^T, SmoothQuant's
// migration of outliers into the weights (Xiao et al. 2023), with x / smooth quantized by one scale
// for the whole tensor: q = round(x / smooth / (x_max / 127)), saturated.
//
// fp8: x alone, by one scale: e4m3(x / (fp8_x_max / 448)), saturated. A float's relative error does
// not depend on its size, so smoothing would gain nothing.
typedef struct wb_matrix_scales {
    float x_max;                 // int8: largest |x / smooth| to represent
    const float *smooth;         // [k], each a wb_smooth_step(); or NULL: all 1
    double i8_error, fp8_error;  // relative change of the logits when only this matrix changes
    float fp8_x_max;             // fp8: largest |x| to represent, all that calibration saw
    double i8_dynamic_error;
    wb_precision i8;   // what an i8-static plan runs it in: WB_I8_STATIC, or dearer where the error
                       // would be too large: WB_I8_DYNAMIC, WB_F32
    wb_precision fp8;  // the same of an fp8 plan: WB_FP8_STATIC or WB_F16
} wb_matrix_scales;

typedef struct wb_scales {
    int n_matrices;                    // as in the plan: the layers' in order, then the head's two
    const wb_matrix_scales *matrices;  // [n_matrices]
} wb_scales;

// Smoothing factors are whole eighths of an octave, 2^(step / 8), so that an artefact can state
// them exactly in a few bytes; a column is at most 4.4 % off its best range. |step| <=
// WB_MOST_SMOOTH.
enum { WB_MOST_SMOOTH = 240 };
float wb_smooth_step(int step);
int wb_smooth_step_of(float smooth);  // its inverse

// Whether weights of this plan can be packed only with scales: some precision is static.
bool wb_plan_needs_scales(const wb_plan *plan);

// Gives the layers' matrices of a plan for static scales their precisions and errors, and keeps a
// pointer to scales, which must be of the plan's model. The head's stay as they are.
void wb_plan_use_scales(wb_plan *plan, const wb_scales *scales);

#endif
