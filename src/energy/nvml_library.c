// SPDX-License-Identifier: Apache-2.0
// Finding libnvidia-ml.so.1 and its functions. Under a root only the root's own library counts,
// so that a recorded machine never shows the GPU of the machine it is played on.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "energy/nvml.h"

static const struct {
    const char *symbol, *older;  // older: the name before, with the same arguments; NULL: none
    size_t offset;
    bool is_required;
} FUNCTIONS[] = {
    {"nvmlInit_v2", NULL, offsetof(wb_nvml, init), true},
    {"nvmlShutdown", NULL, offsetof(wb_nvml, shutdown), true},
    {"nvmlDeviceGetHandleByIndex_v2", NULL, offsetof(wb_nvml, device_by_index), true},
    {"nvmlErrorString", NULL, offsetof(wb_nvml, error_string), true},
    {"nvmlDeviceGetTotalEnergyConsumption", NULL, offsetof(wb_nvml, total_energy), false},
    {"nvmlDeviceGetPowerUsage", NULL, offsetof(wb_nvml, power_usage), false},
    {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2",
     offsetof(wb_nvml, compute_processes), false},
    {"nvmlDeviceGetMigMode", NULL, offsetof(wb_nvml, mig_mode), false},
    {"nvmlDeviceGetName", NULL, offsetof(wb_nvml, device_name), false},
    {"nvmlSystemGetDriverVersion", NULL, offsetof(wb_nvml, driver_version), false},
    {"nvmlDeviceGetHandleByUUID", NULL, offsetof(wb_nvml, device_by_uuid), false},
    {"nvmlDeviceGetIndex", NULL, offsetof(wb_nvml, device_index), false},
    {"nvmlDeviceGetClockInfo", NULL, offsetof(wb_nvml, clock_mhz), false},
    {"nvmlDeviceGetTemperature", NULL, offsetof(wb_nvml, temperature), false},
    {"nvmlDeviceGetEnforcedPowerLimit", NULL, offsetof(wb_nvml, power_limit), false},
    {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
     offsetof(wb_nvml, slowdowns), false},
};

// Fills the table. Only what every driver since 2012 has is required; boards and drivers lack the
// rest one by one.
static wb_status find_functions(wb_nvml *nvml, const char *path, wb_error *err) {
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        void *found = dlsym(nvml->library, FUNCTIONS[i].symbol);
        if (!found && FUNCTIONS[i].older) found = dlsym(nvml->library, FUNCTIONS[i].older);
        if (!found && FUNCTIONS[i].is_required)
            return wb_fail(err, WB_ERR_ABSENT, 0,
                           "%s has no %s, the NVIDIA driver is too old; update it", path,
                           FUNCTIONS[i].symbol);
        // POSIX lets dlsym's result be a function; ISO C has no cast for it, but memcpy does.
        memcpy((char *)nvml + FUNCTIONS[i].offset, &found, sizeof found);
    }
    return WB_OK;
}

wb_status wb_nvml_load(wb_nvml *nvml, const char *root, wb_error *err) {
    *nvml = (wb_nvml){0};
    char path[600];
    snprintf(path, sizeof path, "%s%s", root,
             root[0] ? "/usr/lib/libnvidia-ml.so.1" : "libnvidia-ml.so.1");
    nvml->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library)
        return wb_fail(err, WB_ERR_ABSENT, 0, "%s cannot be loaded: no NVIDIA driver here", path);
    const wb_status status = find_functions(nvml, path, err);
    if (status) wb_nvml_unload(nvml);
    return status;
}

void wb_nvml_unload(wb_nvml *nvml) {
    if (nvml->library) dlclose(nvml->library);
    *nvml = (wb_nvml){0};
}
