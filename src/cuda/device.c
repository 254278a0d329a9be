// SPDX-License-Identifier: Apache-2.0
// Finding out what a GPU is, and its memory. Every refusal says what the user can change.
#include "cuda/device.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

enum { LEAST_COMPUTE_MAJOR = 8 };  // Ampere: bf16, asynchronous copies to shared memory

wb_status wb_device_check(unsigned code, const char *what, wb_error *err) {
    if (code == cudaSuccess) return WB_OK;
    // A graph or a kernel's first launch may find no room; the GPU is as good as before.
    const bool is_memory = code == cudaErrorMemoryAllocation;
    if (is_memory) (void)cudaGetLastError();
    return wb_fail(err, is_memory ? WB_ERR_MEMORY : WB_ERR_DEVICE, 0,
                   "%s: the GPU says \"%s\" (%s)", what, cudaGetErrorString((cudaError_t)code),
                   cudaGetErrorName((cudaError_t)code));
}

// Out of memory is told apart from a device that fails.
static wb_status fail_alloc(cudaError_t code, size_t n_bytes, const char *what, wb_error *err) {
    if (code != cudaErrorMemoryAllocation) return wb_device_check(code, what, err);
    (void)cudaGetLastError();
    size_t free_bytes = 0, total_bytes = 0;
    (void)cudaMemGetInfo(&free_bytes, &total_bytes);
    return wb_fail(err, WB_ERR_MEMORY, 0,
                   "%s: %.1f MB of GPU memory wanted, %.1f of %.1f MB free; use smaller batches",
                   what, (double)n_bytes * 1e-6, (double)free_bytes * 1e-6,
                   (double)total_bytes * 1e-6);
}

wb_status wb_device_alloc(void **out, size_t n_bytes, const char *what, size_t *total,
                          wb_error *err) {
    *out = NULL;
    if (n_bytes == 0) return WB_OK;
    cudaError_t code = cudaMalloc(out, n_bytes);
    if (code) return fail_alloc(code, n_bytes, what, err);
    // Rows between a batch's last and its bucket's are computed and thrown away: they start as
    // zeros, so that they are numbers.
    code = cudaMemset(*out, 0, n_bytes);
    if (!code) code = cudaDeviceSynchronize();  // the model's stream does not wait for others
    if (code) {
        wb_device_free(*out);
        *out = NULL;
        return wb_device_check(code, what, err);
    }
    if (total) *total += n_bytes;
    return WB_OK;
}

void wb_device_free(void *memory) {
    (void)cudaFree(memory);
}

wb_status wb_pinned_alloc(void **out, size_t n_bytes, const char *what, wb_error *err) {
    *out = NULL;
    const cudaError_t code = cudaMallocHost(out, n_bytes);
    if (code == cudaErrorMemoryAllocation)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: %.1f MB of pinned host memory wanted", what,
                       (double)n_bytes * 1e-6);
    if (code) return wb_device_check(code, what, err);
    memset(*out, 0, n_bytes);
    return WB_OK;
}

void wb_pinned_free(void *memory) {
    (void)cudaFreeHost(memory);
}

// "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" from 16 bytes.
static void print_uuid(char *out, size_t capacity, const char *bytes) {
    size_t length = (size_t)snprintf(out, capacity, "GPU-");
    for (int i = 0; i < 16; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        length += (size_t)snprintf(out + length, capacity - length, "%s%02x", dash,
                                   (unsigned)(unsigned char)bytes[i]);
    }
}

// Whether any GPU can be reached at all; n_devices is set.
static wb_status count_devices(int *n_devices, int driver_version, int runtime_version,
                               wb_error *err) {
    const cudaError_t code = cudaGetDeviceCount(n_devices);
    if (driver_version == 0)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "no NVIDIA driver on this machine, install one or use --device cpu");
    if (code == cudaErrorInsufficientDriver)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "the NVIDIA driver runs CUDA %d.%d at most, this build needs %d.%d: update "
                       "the driver",
                       driver_version / 1000, driver_version % 1000 / 10, runtime_version / 1000,
                       runtime_version % 1000 / 10);
    if (code == cudaErrorNoDevice || (code == cudaSuccess && *n_devices == 0))
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "the NVIDIA driver sees no GPU, check CUDA_VISIBLE_DEVICES");
    if (code)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "the NVIDIA driver does not start: \"%s\"",
                       cudaGetErrorString(code));
    return WB_OK;
}

wb_status wb_device_probe(wb_cuda_device *out, int ordinal, wb_error *err) {
    *out = (wb_cuda_device){.ordinal = ordinal};
    (void)cudaDriverGetVersion(&out->driver_version);
    (void)cudaRuntimeGetVersion(&out->runtime_version);
    int n_devices = 0;
    const wb_status status =
        count_devices(&n_devices, out->driver_version, out->runtime_version, err);
    if (status) return status;
    if (ordinal < 0 || ordinal >= n_devices)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "no GPU has the number %d, there are %d from 0",
                       ordinal, n_devices);
    struct cudaDeviceProp properties;
    const cudaError_t code = cudaGetDeviceProperties(&properties, ordinal);
    if (code) return wb_device_check(code, "reading what the GPU is", err);
    if (properties.major < LEAST_COMPUTE_MAJOR)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "%.90s has compute capability %d.%d, at least %d.0 is needed",
                       properties.name, properties.major, properties.minor, LEAST_COMPUTE_MAJOR);
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, properties.name);
    print_uuid(out->uuid, sizeof out->uuid, properties.uuid.bytes);
    out->compute_major = properties.major;
    out->compute_minor = properties.minor;
    out->memory_bytes = properties.totalGlobalMem;
    out->has_bf16 = out->has_i8 = true;
    out->has_fp8 = properties.major > 8 || properties.minor >= 9;
    return WB_OK;
}
