// SPDX-License-Identifier: Apache-2.0
// What lies behind the door's handle: a model's steps, two slots for batches on their way, the
// graphs that replay them, and what was captured for measuring.
#ifndef WB_CUDA_RUN_H
#define WB_CUDA_RUN_H

#include "cuda/state.h"

typedef struct CUevent_st *wb_event;      // cudaEvent_t
typedef struct CUgraphExec_st *wb_graph;  // cudaGraphExec_t

enum { WB_N_SLOTS = 2, WB_MOST_GRAPHS = 64 };

// One of two batches: while the GPU works on the one, the host fills the other.
typedef struct wb_slot {
    wb_batch batch;       // texts [plan->max_texts]
    void *block;          // pinned
    float *logits;        // pinned, [max_texts, n_labels]; the GPU writes to it
    wb_gpu_batch on_gpu;  // its block on the GPU
    wb_event done;
    bool is_watched;  // done when the last of the logits is there
    uint64_t begin_ns;
    int index;  // of the batch, -1: the slot is free
} wb_slot;

// A whole batch, from the copy of its ids to the copy of its logits, as one launch.
typedef struct wb_batch_graph {
    int slot, m, n_texts, classes;
    wb_graph exec;  // NULL: the shape has been seen once
    uint64_t last_used;
} wb_batch_graph;

// One captured batch: flows[0] leaves the embeddings, flows[2 l + 1] layer l's attention,
// flows[2 l + 2] layer l.
typedef struct wb_gpu_capture {
    wb_gpu_batch batch;
    void *block;
    float *logits;
    wb_flow *flows;  // [2 n_layers + 1]
} wb_gpu_capture;

struct wb_cuda {
    wb_gpu gpu;
    int ordinal;
    size_t workspace_bytes;  // on the GPU besides the weights; of captures nothing
    bool is_lost;            // after WB_ERR_DEVICE only close is left
    wb_slot slots[WB_N_SLOTS];
    wb_batch_graph graphs[WB_MOST_GRAPHS];
    int n_graphs;
    uint64_t n_launches;
    wb_gpu_capture *captures;
    int n_captures;
    wb_graph components[WB_WHOLE + 1];  // each over all captures
};

// ---- run.c ----

wb_status wb_cuda_slots_open(wb_cuda *cuda, wb_error *err);
void wb_cuda_slots_close(wb_cuda *cuda);
// Makes *exec of what step puts on the stream, without running it.
typedef wb_status wb_graph_step(wb_cuda *cuda, const void *context, wb_error *err);
wb_status wb_cuda_record(wb_cuda *cuda, wb_graph *exec, wb_graph_step *step, const void *context,
                         wb_error *err);
wb_status wb_cuda_forward(wb_cuda *cuda, wb_cuda_job *job, wb_error *err);

// ---- capture.c ----

wb_status wb_cuda_capture(wb_cuda *cuda, wb_cuda_job *job, wb_error *err);
wb_status wb_cuda_replay(wb_cuda *cuda, const wb_cuda_job *job, wb_error *err);
void wb_cuda_capture_close(wb_cuda *cuda);

#endif
