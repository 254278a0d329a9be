// SPDX-License-Identifier: Apache-2.0
// The door to the GPU: the same forward as src/model, carried out by a shared object of its own,
// libwattbert_cuda.so. The engine finds it with dlopen, so that a machine without a GPU, a driver
// or the CUDA libraries runs everything else as before. No CUDA type appears here: whoever
// includes this file needs no toolkit, and a test can stand in for the object.
//
//   probe    is there a GPU this build can use, and what is it; else why not
//   open     weights uploaded and packed as the plan says, workspaces, graphs
//   run      a whole forward, or a captured component again
//   close    everything given back
#ifndef WB_CUDA_H
#define WB_CUDA_H

#include "base/base.h"
#include "model/model.h"
#include "plan/plan.h"
#include "plan/scales.h"

enum { WB_CUDA_DOOR = 2 };  // changes with every change of this file

typedef struct wb_cuda wb_cuda;  // a model on a GPU

typedef struct wb_cuda_device {
    char name[96];  // "NVIDIA H100 80GB HBM3"
    char uuid[48];  // "GPU-..." as NVML prints it, so that the meter reads the same board
    int ordinal;
    int compute_major, compute_minor;     // 9, 0
    int driver_version, runtime_version;  // 13000 is 13.0; the driver's is the newest CUDA it runs
    uint64_t memory_bytes;
    bool has_bf16, has_fp8, has_i8;  // tensor core arithmetic
} wb_cuda_device;

typedef struct wb_cuda_setup {
    int ordinal;
    const wb_plan *plan;             // borrowed until close; plan->device is WB_DEVICE_CUDA
    const wb_tensor_source *source;  // borrowed during open
    const wb_scales *scales;         // borrowed during open; NULL unless the plan is static
} wb_cuda_setup;

typedef enum wb_cuda_task {
    WB_CUDA_FORWARD,  // lists -> logits
    WB_CUDA_CAPTURE,  // keeps on the GPU what flows between the components of the first batches
    WB_CUDA_REPLAY,   // one component once over what was captured
    WB_CUDA_RELEASE   // gives back what was captured
} wb_cuda_task;

typedef struct wb_cuda_job {
    wb_cuda_task task;
    const wb_id_lists *lists;  // forward and capture
    float *logits;             // [lists->n_texts, n_labels]; forward
    wb_run *run;               // filled where not NULL, its batch_ns respected; forward
    size_t max_bytes;          // capture: device memory to use, at least one batch is captured
    wb_component component;    // replay
    // Filled by capture.
    uint64_t n_tokens;  // real tokens captured
    int n_texts;
} wb_cuda_job;

// What a plan on this GPU runs, for wb_plan_info; filled by open.
typedef struct wb_cuda_words {
    char kernels[256];         // "cublaslt_f16 attention_flash_sm90 rowwise_cuda"
    uint64_t weights_bytes;    // on the GPU
    uint64_t workspace_bytes;  // on the GPU besides: what batches are written to
} wb_cuda_words;

typedef struct wb_cuda_door {
    int version;  // WB_CUDA_DOOR of the object
    // WB_ERR_UNSUPPORTED: no driver, driver too old, no such GPU, GPU too old; the reason in one
    // sentence.
    wb_status (*probe)(wb_cuda_device *out, int ordinal, wb_error *err);
    // WB_ERR_MEMORY (says how much was wanted and how much is free), WB_ERR_UNSUPPORTED,
    // WB_ERR_DEVICE
    wb_status (*open)(wb_cuda **out, wb_cuda_words *words, const wb_cuda_setup *setup,
                      wb_error *err);
    // Returns when the results are on the host. One thread at a time.
    // WB_ERR_MEMORY: the job was not done, another may be.
    // WB_ERR_DEVICE: the GPU was lost or a kernel failed; the object can only be closed then.
    wb_status (*run)(wb_cuda *cuda, wb_cuda_job *job, wb_error *err);
    void (*close)(wb_cuda *cuda);
} wb_cuda_door;

// The object's one exported symbol; static.
#define WB_CUDA_SYMBOL "wb_cuda_door_open"
typedef const wb_cuda_door *wb_cuda_door_fn(void);

#endif
