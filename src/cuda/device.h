// SPDX-License-Identifier: Apache-2.0
// A GPU as the other files of this folder see it: element types, memory, and failure turned into
// one sentence. No CUDA header is included, so that every header here compiles without a toolkit.
#ifndef WB_CUDA_DEVICE_H
#define WB_CUDA_DEVICE_H

#include "base/base.h"
#include "cuda/cuda.h"

typedef struct CUstream_st *wb_stream;  // cudaStream_t

// What an array in device memory holds.
typedef enum wb_cell {
    WB_CELL_F32,
    WB_CELL_F16,
    WB_CELL_BF16,
    WB_CELL_FP8,  // e4m3
    WB_CELL_I8,
    WB_CELL_I32
} wb_cell;

static inline size_t wb_cell_bytes(wb_cell cell) {
    return cell == WB_CELL_F32 || cell == WB_CELL_I32    ? 4
           : cell == WB_CELL_F16 || cell == WB_CELL_BF16 ? 2
                                                         : 1;
}

// WB_OK where code, a cudaError_t, is success; else WB_ERR_DEVICE with what was attempted, or
// WB_ERR_MEMORY where only memory was short.
wb_status wb_device_check(unsigned code, const char *what, wb_error *err);

// *out <- zeroed device memory of the current device, or NULL where n_bytes is 0. WB_ERR_MEMORY
// names what it was for, how much was wanted and how much is free. Adds to *total unless NULL.
wb_status wb_device_alloc(void **out, size_t n_bytes, const char *what, size_t *total,
                          wb_error *err);
void wb_device_free(void *memory);

// The same for host memory that the GPU copies from and to by itself.
wb_status wb_pinned_alloc(void **out, size_t n_bytes, const char *what, wb_error *err);
void wb_pinned_free(void *memory);

// The door's probe.
wb_status wb_device_probe(wb_cuda_device *out, int ordinal, wb_error *err);

#endif
