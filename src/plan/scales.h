// SPDX-License-Identifier: Apache-2.0
// What calibration found out about the inputs of a model's products, for plans whose activation
// scales are fixed before the run (i8-static, fp8). `wattbert quantize` makes the artefact
// that holds it; CPU and GPU read the same one.
#ifndef WB_SCALES_H
#define WB_SCALES_H

#include "base/base.h"

// Of one matrix w[n, k] and its input x[m, k]: the product is computed as
// (x[m, k] / smooth[k]) . (w[n, k] smooth[k])^T, SmoothQuant's migration of outliers into the
// weights (Xiao et al. 2023), with x / smooth quantized by one scale for the whole tensor.
typedef struct wb_matrix_scales {
    float x_max;            // largest |x / smooth| to represent; what is above it saturates
    const float *smooth;    // [k], or NULL: all 1
    double i8_error, fp8_error;  // relative change of the logits when only this matrix changes
} wb_matrix_scales;

typedef struct wb_scales {
    int n_matrices;                    // as in the plan: the layers' in order, then the head's two
    const wb_matrix_scales *matrices;  // [n_matrices]
} wb_scales;

#endif
