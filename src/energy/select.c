// SPDX-License-Identifier: Apache-2.0
// Which source a meter uses: the list in order of preference, what the caller asked for, and what
// is said of those that cannot be used.
#include <string.h>
#include <sys/stat.h>

#include "energy/meter.h"

// Counters of the processor come first, for that is where the work is done; of two that count the
// same, the one with fewer rights needed. nvml does not see the processor: it is used by name.
const wb_energy_source *const wb_energy_sources[] = {
    &wb_energy_rapl,      // Linux powercap: package, core, DRAM
    &wb_energy_perf,      // the same counters through perf
    &wb_energy_hwmon,     // sensors of the board
    &wb_energy_nvml,      // NVIDIA board, loaded with dlopen
    &wb_energy_replay,    // a recorded trace: tests and figures without hardware
    &wb_energy_modelled,  // CPU time x watts: a guess
    NULL,
};

const wb_energy_source *wb_energy_source_find(const char *name) {
    for (int i = 0; wb_energy_sources[i]; i++)
        if (strcmp(wb_energy_sources[i]->name, name) == 0) return wb_energy_sources[i];
    return NULL;
}

wb_meter_options wb_default_meter_options(void) {
    return (wb_meter_options){.watts_per_core = WB_DEFAULT_WATTS_PER_CORE};
}

// ---- Options ----------------------------------------------------------------

// "/" and "" are this machine; anything else is a recorded one, and nothing of this machine may
// show through.
static wb_status set_root(wb_energy_host *host, const char *root, wb_error *err) {
    size_t n = root ? strlen(root) : 0;
    while (n > 0 && root[n - 1] == '/') n--;
    if (n == 0) return WB_OK;
    if (n >= sizeof host->root) return wb_fail(err, WB_ERR_ARGUMENT, 0, "%s: path too long", root);
    memcpy(host->root, root, n);
    struct stat info;
    if (stat(host->root, &info) != 0 || !S_ISDIR(info.st_mode))
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "root %s: no such folder, give one that holds a machine's /sys and /proc",
                       host->root);
    return WB_OK;
}

wb_status wb_energy_host_init(wb_energy_host *host, const wb_meter_options *options,
                              wb_error *err) {
    const wb_meter_options o = options ? *options : wb_default_meter_options();
    *host = (wb_energy_host){.clock = wb_real_clock(), .gpu_index = o.gpu_index};
    host->watts_per_core = o.watts_per_core == 0.0 ? WB_DEFAULT_WATTS_PER_CORE : o.watts_per_core;
    if (!(host->watts_per_core > 0.0) || host->watts_per_core > 1000.0)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%g watts per core, give more than 0, at most 1000",
                       o.watts_per_core);
    if (o.gpu_index < 0)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "GPU %d, the first is 0", o.gpu_index);
    if (o.gpu_uuid && strlen(o.gpu_uuid) >= sizeof host->gpu_uuid)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%.100s is no GPU's UUID", o.gpu_uuid);
    if (o.gpu_uuid) memcpy(host->gpu_uuid, o.gpu_uuid, strlen(o.gpu_uuid));
    if (o.replay && strlen(o.replay) >= sizeof host->replay)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%s: path too long", o.replay);
    if (o.replay) memcpy(host->replay, o.replay, strlen(o.replay));
    return set_root(host, o.root, err);
}

// ---- Choosing ---------------------------------------------------------------

// What each source says of itself and, for status, whether it can be used now.
wb_status wb_sources_probe(const wb_meter_options *options, wb_source_info *infos, int capacity,
                           int *n, wb_error *err) {
    *n = 0;
    wb_energy_host host;
    const wb_status status = wb_energy_host_init(&host, options, err);
    if (status) return status;
    for (; wb_energy_sources[*n] && *n < capacity; ++*n) {
        wb_meter *meter;
        const wb_status opened =
            wb_meter_open_source(&meter, wb_energy_sources[*n], &host, &infos[*n], err);
        wb_meter_close(meter);
        if (opened == WB_ERR_MEMORY) return opened;
    }
    return WB_OK;
}

// *out <- the first source that sees the processor and is believed; else one under a root that has
// not moved yet; else the model.
static wb_status open_best(wb_meter **out, const wb_energy_host *host, wb_error *err) {
    wb_meter *unproven = NULL;
    for (int i = 0; wb_energy_sources[i]; i++) {
        const wb_energy_source *source = wb_energy_sources[i];
        if (source == &wb_energy_nvml || source == &wb_energy_modelled) continue;
        wb_meter *meter;
        const wb_status status = wb_meter_open_source(&meter, source, host, NULL, NULL);
        if (!status && meter->view.sees_cpu && !meter->is_unproven) {
            wb_meter_close(unproven);
            *out = meter;
            return WB_OK;
        }
        if (!status && meter->view.sees_cpu && !unproven)
            unproven = meter;
        else
            wb_meter_close(meter);
    }
    *out = unproven;
    return unproven ? WB_OK : wb_meter_open_source(out, &wb_energy_modelled, host, NULL, err);
}

wb_status wb_meter_open(wb_meter **out, const wb_meter_options *options, wb_error *err) {
    *out = NULL;
    wb_energy_host host;
    const wb_status status = wb_energy_host_init(&host, options, err);
    if (status) return status;
    const char *name = options ? options->source : NULL;
    if (!name && host.replay[0]) name = wb_energy_replay.name;
    if (!name) return open_best(out, &host, err);
    const wb_energy_source *source = wb_energy_source_find(name);
    if (!source)
        return wb_fail(
            err, WB_ERR_ARGUMENT, 0,
            "no energy source is called \"%s\": rapl, perf, hwmon, nvml, replay, modelled", name);
    return wb_meter_open_source(out, source, &host, NULL, err);
}
