// SPDX-License-Identifier: Apache-2.0
// Can a technique run here? The plan's own check, asked without a model: for tables that say
// why a row is missing before anything is opened.
#include "engine/engine.h"

wb_status wb_technique_runs(const char *name, wb_error *err) {
    const wb_technique_spec *spec = wb_technique_find(name);
    if (!spec)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "no technique is called \"%.64s\", see wb_technique_at() for their names",
                       name);
    wb_cpu cpu;
    wb_kernels kernels;
    wb_machine_detect(&cpu);
    wb_kernels_select(&kernels, cpu.flags);
    return wb_technique_check(spec, &kernels, err);
}
