// SPDX-License-Identifier: Apache-2.0
// A mistyped technique is found before a model is read, and is a usage error, not one of
// the input.
#include "models.h"

#include <string.h>

#include "app.h"
#include "base/base.h"

wb_status models_open(wb_model **out, const char *dir, wb_error *err) {
    wb_error problem = {0};
    const wb_status status = wb_model_open(out, dir, &problem);
    if (!status) return WB_OK;
    return wb_fail(err, status, problem.offset, "%s%s", problem.message,
                   status == WB_ERR_IO ? ", give the folder of a Hugging Face model" : "");
}

bool models_has_technique(const char *name) {
    const wb_technique *technique;
    for (int i = 0; (technique = wb_technique_at(i)) != NULL; i++)
        if (strcmp(technique->name, name) == 0) return true;
    return false;
}

int models_check_technique(const char *command, const char *name) {
    if (!name || models_has_technique(name)) return -1;
    return app_fail(EXIT_USAGE, "%s: no technique \"%s\", wattbert plan MODEL lists them", command,
                    name);
}
