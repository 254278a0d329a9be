// SPDX-License-Identifier: Apache-2.0
// The few functions of NVIDIA's management library that a meter needs, loaded at run time: the
// program neither links nor requires a driver. Types as in nvml.h of CUDA 12, written out here.
#ifndef WB_ENERGY_NVML_H
#define WB_ENERGY_NVML_H

#include "base/base.h"

typedef struct wb_nvml_device wb_nvml_device;  // opaque to us

// nvmlReturn_t, the values that are told apart.
enum {
    WB_NVML_SUCCESS = 0,
    WB_NVML_NOT_SUPPORTED = 3,
    WB_NVML_NO_PERMISSION = 4,
    WB_NVML_NOT_FOUND = 6,
    WB_NVML_INSUFFICIENT_SIZE = 7,
    WB_NVML_DRIVER_NOT_LOADED = 9,
    WB_NVML_VERSION_MISMATCH = 18,
};

// nvmlProcessInfo_t of the _v2 and _v3 calls.
typedef struct wb_nvml_process {
    unsigned int pid;
    unsigned long long used_bytes;
    unsigned int gpu_instance, compute_instance;
} wb_nvml_process;

// nvmlClockType_t, nvmlTemperatureSensors_t, and the bits of nvmlClocksEventReasons that slow a
// board down below what it was asked for.
enum {
    WB_NVML_CLOCK_SM = 1,
    WB_NVML_CLOCK_MEMORY = 2,
    WB_NVML_TEMPERATURE_GPU = 0,
    WB_NVML_SLOWED_BY_POWER = 0x4 | 0x80,
    WB_NVML_SLOWED_BY_HEAT = 0x20 | 0x40,
    WB_NVML_SLOWED_BY_HARDWARE = 0x8,
};

// A pointer is NULL where the driver is too old to have the function; init to error_string never
// are.
typedef struct wb_nvml {
    void *library;
    int (*init)(void);
    int (*shutdown)(void);
    int (*device_by_index)(unsigned int index, wb_nvml_device **device);
    const char *(*error_string)(int code);
    int (*total_energy)(wb_nvml_device *device, unsigned long long *millijoules);
    int (*power_usage)(wb_nvml_device *device, unsigned int *milliwatts);
    int (*compute_processes)(wb_nvml_device *device, unsigned int *n, wb_nvml_process *processes);
    int (*mig_mode)(wb_nvml_device *device, unsigned int *current, unsigned int *pending);
    int (*device_name)(wb_nvml_device *device, char *name, unsigned int n_bytes);
    int (*driver_version)(char *version, unsigned int n_bytes);
    int (*device_by_uuid)(const char *uuid, wb_nvml_device **device);
    int (*device_index)(wb_nvml_device *device, unsigned int *index);
    int (*clock_mhz)(wb_nvml_device *device, unsigned int kind, unsigned int *mhz);
    int (*temperature)(wb_nvml_device *device, unsigned int sensor, unsigned int *celsius);
    int (*power_limit)(wb_nvml_device *device, unsigned int *milliwatts);
    int (*slowdowns)(wb_nvml_device *device, unsigned long long *reasons);
} wb_nvml;

// WB_ERR_ABSENT where there is no library, or a root that has none of its own.
wb_status wb_nvml_load(wb_nvml *nvml, const char *root, wb_error *err);
void wb_nvml_unload(wb_nvml *nvml);

#endif
