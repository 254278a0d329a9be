// SPDX-License-Identifier: Apache-2.0
// An NVIDIA board by its driver's counter of millijoules (Volta and later), or by summing its power
// where it has none. Seen on an H100 (driver 580): the counter steps every 100 ms, and one read
// takes 4 ms of a core, so the sampler slows itself down (meter.c); power takes 26 us.
#include "energy/nvml.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "energy/source.h"

enum { MAX_PROCESSES = 64 };

typedef struct nvml_state {
    const wb_energy_host *host;
    int index;  // as NVML counts
    wb_nvml nvml;
    wb_nvml_device *device;
    bool is_started;     // nvmlInit succeeded
    bool is_integrated;  // from power: there is no counter
    uint64_t last_mj, last_ns;
    double last_w, joules;
} nvml_state;

// Whose fault a code is, and what to do about the two that a user can change.
static wb_status fail_nvml(const nvml_state *s, int code, const char *what, wb_error *err) {
    const wb_status status = code == WB_NVML_NO_PERMISSION ? WB_ERR_DENIED
                             : code == WB_NVML_NOT_FOUND || code == WB_NVML_DRIVER_NOT_LOADED ||
                                     code == WB_NVML_NOT_SUPPORTED
                                 ? WB_ERR_ABSENT
                                 : WB_ERR_IO;
    const char *advice = code == WB_NVML_NO_PERMISSION ? ", let this user open /dev/nvidia*"
                         : code == WB_NVML_VERSION_MISMATCH
                             ? ", the driver was updated: restart the machine"
                             : "";
    return wb_fail(err, status, 0, "NVML, %s of GPU %d: %s%s", what, s->index,
                   s->nvml.error_string(code), advice);
}

// Processes on the GPU that are not this one. One that cannot be seen from here may be ourselves
// under the name of an outer PID namespace, so in a container one unknown process is let pass.
static int count_others(const nvml_state *s) {
    wb_nvml_process processes[MAX_PROCESSES];
    unsigned int n = MAX_PROCESSES;
    if (!s->nvml.compute_processes) return 0;
    const int code = s->nvml.compute_processes(s->device, &n, processes);
    if (code == WB_NVML_INSUFFICIENT_SIZE) return MAX_PROCESSES;
    if (code != WB_NVML_SUCCESS) return 0;
    int n_others = 0, n_unknown = 0;
    bool has_self = false;
    for (unsigned int i = 0; i < n; i++) {
        const pid_t pid = (pid_t)processes[i].pid;
        if (pid == getpid())
            has_self = true;
        else if (kill(pid, 0) != 0 && errno == ESRCH)
            n_unknown++;
        else
            n_others++;
    }
    if (!has_self && n_unknown == 1) n_unknown = 0;
    return n_others + n_unknown;
}

// Refuses a GPU whose joules are not only ours.
static wb_status refuse_shared(const nvml_state *s, wb_error *err) {
    unsigned int current = 0, pending = 0;
    if (s->nvml.mig_mode && s->nvml.mig_mode(s->device, &current, &pending) == WB_NVML_SUCCESS &&
        current)
        return wb_fail(
            err, WB_ERR_REFUSED, 0,
            "shared-gpu: GPU %d is split into instances (MIG) and its counter belongs to "
            "all of them, measure on a whole GPU",
            s->index);
    const int n_others = count_others(s);
    if (n_others == 0) return WB_OK;
    return wb_fail(err, WB_ERR_REFUSED, 0,
                   "shared-gpu: %d other process%s on GPU %d, its counter holds their joules too; "
                   "stop them or choose another GPU",
                   n_others, n_others == 1 ? " is" : "es are", s->index);
}

// By counter where there is one, else by power.
static wb_status start_counting(nvml_state *s, wb_error *err) {
    unsigned long long mj = 0;
    int code = s->nvml.total_energy ? s->nvml.total_energy(s->device, &mj) : WB_NVML_NOT_SUPPORTED;
    s->last_mj = mj;
    if (code == WB_NVML_SUCCESS) return WB_OK;
    if (code != WB_NVML_NOT_SUPPORTED) return fail_nvml(s, code, "energy", err);
    unsigned int mw = 0;
    s->is_integrated = true;
    code = s->nvml.power_usage ? s->nvml.power_usage(s->device, &mw) : WB_NVML_NOT_SUPPORTED;
    s->last_w = mw * 1e-3;
    if (code != WB_NVML_SUCCESS) return fail_nvml(s, code, "energy and power", err);
    return WB_OK;
}

// Names are for captions: a driver that will not tell them is no failure.
static void describe_device(const nvml_state *s, wb_energy_view *view) {
    char name[80] = "GPU", driver[32] = "unknown";
    if (s->nvml.device_name && s->nvml.device_name(s->device, name, sizeof name))
        snprintf(name, sizeof name, "GPU");
    if (s->nvml.driver_version && s->nvml.driver_version(driver, sizeof driver))
        snprintf(driver, sizeof driver, "unknown");
    snprintf(view->device, sizeof view->device, "%.79s (driver %.31s)", name, driver);
}

// By UUID where one was given: CUDA counts the fastest board first or only those it may see, NVML
// all by their place on the bus.
static wb_status find_device(nvml_state *s, wb_error *err) {
    const wb_energy_host *host = s->host;
    unsigned int index = 0;
    s->index = host->gpu_index;
    if (!host->gpu_uuid[0]) {
        const int code = s->nvml.device_by_index((unsigned int)s->index, &s->device);
        return code == WB_NVML_SUCCESS ? WB_OK : fail_nvml(s, code, "handle", err);
    }
    if (!s->nvml.device_by_uuid ||
        s->nvml.device_by_uuid(host->gpu_uuid, &s->device) != WB_NVML_SUCCESS)
        return wb_fail(err, WB_ERR_ABSENT, 0, "NVML knows no GPU %s, see nvidia-smi -L",
                       host->gpu_uuid);
    if (s->nvml.device_index && s->nvml.device_index(s->device, &index) == WB_NVML_SUCCESS)
        s->index = (int)index;
    return WB_OK;
}

static wb_status nvml_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                           wb_error *err) {
    nvml_state *s = state;
    s->host = host;
    wb_status status = wb_nvml_load(&s->nvml, host->root, err);
    if (status) return status;
    const int code = s->nvml.init();
    if (code != WB_NVML_SUCCESS) return fail_nvml(s, code, "start", err);
    s->is_started = true;
    status = find_device(s, err);
    if (status) return status;
    describe_device(s, view);
    status = refuse_shared(s, err);
    if (!status) status = start_counting(s, err);
    if (status) return status;
    s->last_ns = host->clock.now_ns(host->clock.context);
    char name[32];
    snprintf(name, sizeof name, "gpu-%d", s->index);
    wb_domain_add(view, name);
    view->is_integrated = s->is_integrated;
    if (!s->is_integrated) view->resolution_uj = 1000.0;
    return WB_OK;
}

// Watts between two reads by the trapezoid rule: the board averages its power over 25 ms to 1 s by
// itself, so reads every 5 ms miss nothing that it would show.
static wb_status read_power(nvml_state *s, double *joules, uint32_t *flags, wb_error *err) {
    unsigned int mw = 0;
    const int code = s->nvml.power_usage(s->device, &mw);
    if (code != WB_NVML_SUCCESS) return fail_nvml(s, code, "power", err);
    const uint64_t now_ns = s->host->clock.now_ns(s->host->clock.context);
    const double watts = mw * 1e-3;
    s->joules += 0.5 * (s->last_w + watts) * (double)(now_ns - s->last_ns) * 1e-9;
    s->last_w = watts;
    s->last_ns = now_ns;
    joules[0] = s->joules;
    flags[0] |= WB_FLAG_INTEGRATED;
    return WB_OK;
}

static wb_status nvml_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    nvml_state *s = state;
    if (s->is_integrated) return read_power(s, joules, flags, err);
    unsigned long long mj = 0;
    const int code = s->nvml.total_energy(s->device, &mj);
    if (code != WB_NVML_SUCCESS) return fail_nvml(s, code, "energy", err);
    // The counter starts at 0 when the driver is loaded and has 64 bits: back means reloaded.
    if (mj < s->last_mj) {
        flags[0] |= WB_FLAG_RESET;
        s->last_mj = mj;
    }
    s->joules += (double)(mj - s->last_mj) * 1e-3;
    s->last_mj = mj;
    joules[0] = s->joules;
    return WB_OK;
}

// A process that came after the meter was opened no longer refuses it; its joules are flagged.
static uint32_t nvml_check(void *state) {
    return count_others(state) > 0 ? WB_FLAG_SHARED_GPU : 0;
}

// What the board tells of itself; NAN stays where it does not.
static void nvml_conditions(void *state, wb_conditions *out) {
    const nvml_state *s = state;
    const wb_nvml *nvml = &s->nvml;
    unsigned int value = 0;
    unsigned long long reasons = 0;
    if (nvml->clock_mhz && !nvml->clock_mhz(s->device, WB_NVML_CLOCK_SM, &value))
        out->clock_hz = value * 1e6;
    if (nvml->clock_mhz && !nvml->clock_mhz(s->device, WB_NVML_CLOCK_MEMORY, &value))
        out->memory_clock_hz = value * 1e6;
    if (nvml->temperature && !nvml->temperature(s->device, WB_NVML_TEMPERATURE_GPU, &value))
        out->temperature_celsius = value;
    if (nvml->power_limit && !nvml->power_limit(s->device, &value))
        out->power_limit_w = value * 1e-3;
    if (!nvml->slowdowns || nvml->slowdowns(s->device, &reasons)) return;
    snprintf(out->slowed_by, sizeof out->slowed_by, "%s%s%s",
             reasons & WB_NVML_SLOWED_BY_POWER ? "power" : "",
             reasons & WB_NVML_SLOWED_BY_HEAT ? " heat" : "",
             reasons & WB_NVML_SLOWED_BY_HARDWARE ? " hardware" : "");
    const size_t n_blanks = strspn(out->slowed_by, " ");
    memmove(out->slowed_by, out->slowed_by + n_blanks, strlen(out->slowed_by) - n_blanks + 1);
}

static void nvml_close(void *state) {
    nvml_state *s = state;
    if (s->is_started) s->nvml.shutdown();
    wb_nvml_unload(&s->nvml);
}

const wb_energy_source wb_energy_nvml = {
    .name = "nvml",
    .measures =
        "the whole GPU board by the vendor's counter (NVML), in steps of 20 to 100 ms; no "
        "host CPU, no power supply",
    .method = "measured",
    .state_size = sizeof(nvml_state),
    .period_ms = 5,
    .needs_proof = true,
    .open = nvml_open,
    .read = nvml_read,
    .check = nvml_check,
    .conditions = nvml_conditions,
    .close = nvml_close,
};
