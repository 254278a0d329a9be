// SPDX-License-Identifier: Apache-2.0
// A stand-in for libnvidia-ml.so.1 that answers from files beside it, so that a recorded GPU can be
// played: ROOT/usr/lib/libnvidia-ml.so.1 reads ROOT/nvml/name, driver, total_energy_mj, power_mw,
// processes (PIDs), mig, uuid, clock_mhz, memory_clock_mhz, temperature, power_limit_mw and
// slowdowns (bits). A missing file is a function that the board does not support.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUCCESS = 0,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9
};

typedef struct process {
    unsigned int pid;
    unsigned long long used_bytes;
    unsigned int gpu_instance, compute_instance;
} process;

int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device);
int nvmlDeviceGetName(void *device, char *name, unsigned int n_bytes);
int nvmlSystemGetDriverVersion(char *version, unsigned int n_bytes);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts);
int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending);
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *n, process *processes);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device);
int nvmlDeviceGetIndex(void *device, unsigned int *index);
int nvmlDeviceGetClockInfo(void *device, unsigned int kind, unsigned int *mhz);
int nvmlDeviceGetTemperature(void *device, unsigned int sensor, unsigned int *celsius);
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *milliwatts);
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons);

// text <- the file ROOT/nvml/name without its newline; 0 when there is none.
static int read_file(char *text, size_t capacity, const char *name) {
    static const char ending[] = "/usr/lib/libnvidia-ml.so.1";
    Dl_info info;
    char path[4200];
    void *self;
    int (*const here)(void) = nvmlInit_v2;
    memcpy(&self, &here, sizeof self);
    text[0] = 0;
    if (!dladdr(self, &info) || strlen(info.dli_fname) < sizeof ending) return 0;
    const int root_length = (int)(strlen(info.dli_fname) - (sizeof ending - 1));
    snprintf(path, sizeof path, "%.*s/nvml/%s", root_length, info.dli_fname, name);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const size_t n = fread(text, 1, capacity - 1, file);
    fclose(file);
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    return 1;
}

static int read_number(unsigned long long *value, const char *name) {
    char text[64];
    if (!read_file(text, sizeof text, name)) return NOT_SUPPORTED;
    *value = strtoull(text, NULL, 10);
    return SUCCESS;
}

int nvmlInit_v2(void) {
    char text[64];
    return read_file(text, sizeof text, "driver") ? SUCCESS : DRIVER_NOT_LOADED;
}

int nvmlShutdown(void) {
    return SUCCESS;
}

const char *nvmlErrorString(int code) {
    switch (code) {
        case SUCCESS: return "The operation was successful";
        case NOT_SUPPORTED: return "Not Supported";
        case NOT_FOUND: return "Not Found";
        case DRIVER_NOT_LOADED: return "Driver Not Loaded";
        default: return "Unknown Error";
    }
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    static int board;
    *device = &board;
    return index == 0 ? SUCCESS : NOT_FOUND;
}

int nvmlDeviceGetName(void *device, char *name, unsigned int n_bytes) {
    (void)device;
    return read_file(name, n_bytes, "name") ? SUCCESS : NOT_SUPPORTED;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int n_bytes) {
    return read_file(version, n_bytes, "driver") ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    (void)device;
    return read_number(millijoules, "total_energy_mj");
}

int nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts) {
    (void)device;
    unsigned long long value = 0;
    const int code = read_number(&value, "power_mw");
    *milliwatts = (unsigned int)value;
    return code;
}

int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending) {
    (void)device;
    unsigned long long value = 0;
    const int code = read_number(&value, "mig");
    *current = *pending = (unsigned int)value;
    return code;
}

// Only the first line is looked at: PIDs apart by spaces.
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *n, process *processes) {
    (void)device;
    char text[256];
    unsigned int n_found = 0;
    read_file(text, sizeof text, "processes");
    for (char *at = text, *end; *at; at = end) {
        const unsigned long pid = strtoul(at, &end, 10);
        if (end == at) break;
        if (n_found == *n) return INSUFFICIENT_SIZE;
        processes[n_found++] = (process){.pid = (unsigned int)pid};
    }
    *n = n_found;
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    char own[96];
    nvmlDeviceGetHandleByIndex_v2(0, device);
    return read_file(own, sizeof own, "uuid") && strcmp(own, uuid) == 0 ? SUCCESS : NOT_FOUND;
}

// Not what CUDA would count: the meter has to ask.
int nvmlDeviceGetIndex(void *device, unsigned int *index) {
    (void)device;
    *index = 3;
    return SUCCESS;
}

static int read_unsigned(unsigned int *value, const char *name) {
    unsigned long long number = 0;
    const int code = read_number(&number, name);
    *value = (unsigned int)number;
    return code;
}

int nvmlDeviceGetClockInfo(void *device, unsigned int kind, unsigned int *mhz) {
    (void)device;
    return read_unsigned(mhz, kind == 1 ? "clock_mhz" : "memory_clock_mhz");
}

int nvmlDeviceGetTemperature(void *device, unsigned int sensor, unsigned int *celsius) {
    (void)device;
    (void)sensor;
    return read_unsigned(celsius, "temperature");
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *milliwatts) {
    (void)device;
    return read_unsigned(milliwatts, "power_limit_mw");
}

int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *reasons) {
    (void)device;
    return read_number(reasons, "slowdowns");
}
