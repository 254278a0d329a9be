// SPDX-License-Identifier: Apache-2.0
// A mistyped device is a usage error, like a mistyped technique; a GPU that is not there is the
// machine's fault, and the library says why.
#include "device.h"

#include <string.h>

#include "app.h"
#include "base/base.h"

static bool is_device(const char *name) {
    if (strcmp(name, "cpu") == 0 || strcmp(name, "cuda") == 0 || strcmp(name, "auto") == 0)
        return true;
    if (strncmp(name, "cuda:", 5) != 0) return false;
    const size_t n_digits = strspn(name + 5, "0123456789");
    return n_digits > 0 && n_digits < 4 && !name[5 + n_digits];
}

int device_check(const char *command, const char *name) {
    if (!name || is_device(name)) return -1;
    return app_fail(EXIT_USAGE, "%s: no device \"%s\", give cpu, cuda, cuda:1 or auto", command,
                    name);
}

void device_describe(char *out, size_t capacity, const wb_gpu_info *gpu) {
    snprintf(out, capacity,
             "%s, %.1f GiB, compute capability %d.%d, CUDA %d.%d, driver for CUDA %d.%d", gpu->name,
             (double)gpu->memory_bytes / (1 << 30), gpu->compute_major, gpu->compute_minor,
             gpu->runtime_version / 1000, gpu->runtime_version % 1000 / 10,
             gpu->driver_version / 1000, gpu->driver_version % 1000 / 10);
}

void device_note(const wb_plan_info *plan) {
    if (plan->fallback[0]) fprintf(stderr, "wattbert: note: runs on the CPU: %s\n", plan->fallback);
    if (plan->cache_state == WB_CACHE_FAILED)
        fprintf(stderr, "wattbert: note: packed weights %s\n", plan->cache);
    if (strncmp(plan->pinning, "not ", 4) == 0)
        fprintf(stderr, "wattbert: note: threads %s\n", plan->pinning);
}

wb_status device_meter_open(wb_meter **out, const wb_meter_options *options, const char *uuid,
                            wb_error *err) {
    wb_meter_options o = options ? *options : wb_default_meter_options();
    const bool is_chosen = o.source || o.replay;
    if (!is_chosen && uuid[0]) o.source = "nvml";
    if (uuid[0]) o.gpu_uuid = uuid;
    wb_error problem = {0};
    const wb_status status = wb_meter_open(out, &o, &problem);
    if (!status) return WB_OK;
    return wb_fail(err, status, problem.offset, "%s%s", problem.message,
                   !is_chosen && uuid[0] ? "; --energy-source names another counter" : "");
}
