// SPDX-License-Identifier: Apache-2.0
// Where a calibration enters an engine: the options name its file, the plan says whether it is
// needed, weights and GPU get it as data.
#include "engine/engine.h"

wb_status wb_engine_scales(const wb_scales **out, wb_engine *engine, const wb_options *options,
                           wb_error *err) {
    (void)engine;
    *out = NULL;
    if (!options->scales) return WB_OK;
    return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "%s: this build reads no calibrations",
                   options->scales);
}
