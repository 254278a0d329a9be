// SPDX-License-Identifier: Apache-2.0
// Where a plan meets calibration: which matrices run in the static precision, and which ones the
// artefact's maker found too sensitive for it.
#include "plan/scales.h"

#include <math.h>

// From a table, because libraries differ in the last bit of 2^x and int8 must not.
float wb_smooth_step(int step) {
    static const float eighths[8] = {1.0f,        1.09050773f, 1.18920712f, 1.29683955f,
                                     1.41421356f, 1.54221083f, 1.68179283f, 1.83400809f};
    const int eighth = step & 7;
    return ldexpf(eighths[eighth], (step - eighth) / 8);
}

int wb_smooth_step_of(float smooth) {
    return (int)lrint(8.0 * log2((double)smooth));
}

bool wb_plan_needs_scales(const wb_plan *plan) {
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_precision precision = plan->matrices[i].precision;
        if (precision == WB_I8_STATIC || precision == WB_FP8_STATIC) return true;
    }
    return false;
}

static double error_of(const wb_matrix_scales *scales, wb_precision precision) {
    switch (precision) {
        case WB_I8_STATIC: return scales->i8_error;
        case WB_I8_DYNAMIC: return scales->i8_dynamic_error;
        case WB_FP8_STATIC: return scales->fp8_error;
        case WB_F32: return 0.0;
        default: return -1.0;
    }
}

void wb_plan_use_scales(wb_plan *plan, const wb_scales *scales) {
    plan->scales = scales;
    const bool is_fp8 = plan->matrices[0].precision == WB_FP8_STATIC;
    const wb_precision wanted = is_fp8 ? WB_FP8_STATIC : WB_I8_STATIC;
    for (int i = 0; i < wb_plan_pre_classifier(plan); i++) {
        const wb_matrix_scales *of_matrix = &scales->matrices[i];
        wb_matrix *matrix = &plan->matrices[i];
        matrix->precision = is_fp8 ? of_matrix->fp8 : of_matrix->i8;
        matrix->error = error_of(of_matrix, matrix->precision);
        if (matrix->precision != wanted) matrix->refused_error = error_of(of_matrix, wanted);
    }
}
