// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file of static scales: what is accepted has a legal range, precision and vector
// for every matrix. The corpus is of a model of one layer, 4 wide.
#include <float.h>
#include <stdlib.h>

#include "engine/artefact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static const wb_shape shape = {.n_layers = 1,
                               .d_model = 4,
                               .n_heads = 2,
                               .d_head = 2,
                               .d_ff = 6,
                               .vocab_size = 60,
                               .max_positions = 12,
                               .n_labels = 2,
                               .max_length = 12};

static void check(const wb_matrix_scales *scales, int k) {
    if (!(scales->x_max >= 0.0f && scales->x_max <= FLT_MAX)) abort();
    if (!(scales->fp8_x_max >= 0.0f && scales->fp8_x_max <= FLT_MAX)) abort();
    if (scales->i8 != WB_I8_STATIC && scales->i8 != WB_I8_DYNAMIC && scales->i8 != WB_F32) abort();
    if (scales->fp8 != WB_FP8_STATIC && scales->fp8 != WB_F16) abort();
    for (int i = 0; scales->smooth && i < k; i++)
        if (!(scales->smooth[i] >= 0x1p-31f && scales->smooth[i] <= 0x1p31f)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    const wb_cpu cpu = {.n_cores = 1};
    const wb_options options = wb_default_options();
    wb_kernels kernels;
    wb_plan plan;
    wb_artefact *artefact;
    wb_error err = {0};
    wb_kernels_select(&kernels, 0);
    if (wb_plan_init(&plan, &shape, &options, &kernels, &cpu, &err)) abort();
    const wb_status status = wb_artefact_parse(&artefact, &source, &plan, NULL, &err);
    if (status && (err.status != status || !err.message[0] || artefact)) abort();
    for (int i = 0; artefact && i < plan.n_matrices; i++)
        check(&artefact->matrices[i], plan.matrices[i].k);
    wb_artefact_close(artefact);
    wb_plan_free(&plan);
    return 0;
}
