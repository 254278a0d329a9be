// SPDX-License-Identifier: Apache-2.0
// Can a technique run here? The plan's own check, asked without a model: for tables that say
// why a row is missing before anything is opened.
#include "engine/engine.h"

static wb_status check_on_cpu(const wb_technique_spec *spec, wb_error *err) {
    wb_cpu cpu;
    wb_kernels kernels;
    wb_machine_detect(&cpu);
    wb_kernels_select(&kernels, cpu.flags);
    return wb_technique_check(spec, &kernels, err);
}

wb_status wb_technique_runs(const char *name, const char *device, wb_error *err) {
    const wb_technique_spec *spec = wb_technique_find(name);
    if (!spec)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "no technique is called \"%.64s\", see wb_technique_at() for their names",
                       name);
    wb_device_name wanted;
    wb_status status = wb_device_parse(&wanted, device, err);
    if (status) return status;
    if (!wanted.is_cuda) return check_on_cpu(spec, err);
    wb_board board;
    status = wb_board_find(&board, wanted.ordinal, err);
    if (status) return wanted.is_auto ? check_on_cpu(spec, err) : status;
    const wb_gpu_arithmetic gpu = wb_board_arithmetic(&board);
    status = wb_technique_check_cuda(spec, &gpu, err);
    wb_board_close(&board);
    return status;
}
