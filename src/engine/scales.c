// SPDX-License-Identifier: Apache-2.0
// Where a calibration enters an engine: the options name its file, the plan says whether it is
// needed, weights and GPU get it as data.
#include "engine/artefact.h"
#include "engine/engine.h"

wb_status wb_engine_scales(const wb_scales **out, wb_engine *engine, const wb_options *options,
                           wb_error *err) {
    *out = NULL;
    wb_plan *plan = &engine->plan;
    if (!wb_plan_needs_scales(plan)) return WB_OK;
    const wb_status status =
        wb_artefact_open(&engine->artefact, options->scales, engine->model, plan, err);
    if (status) return status;
    *out = &engine->artefact->scales;
    wb_plan_use_scales(plan, *out);
    return WB_OK;
}
