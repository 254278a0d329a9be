// SPDX-License-Identifier: Apache-2.0
// The four functions behind the door, and the one symbol that this object exports.
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

#include "cuda/run.h"

// The object's one export, found with dlsym.
WB_API const wb_cuda_door *wb_cuda_door_open(void);

enum { MOST_POSITIONS = 512, MOST_HEAD = 256, WIDTH_STEP = 16 };

static bool is_quantized(wb_precision precision) {
    return precision == WB_I8_DYNAMIC || precision == WB_I8_STATIC || precision == WB_FP8_DYNAMIC ||
           precision == WB_FP8_STATIC;
}

// Limits of the kernels, which every DistilBERT on record keeps.
static wb_status check_shape(const wb_shape *s, wb_error *err) {
    if (s->d_model % WIDTH_STEP || s->d_ff % WIDTH_STEP || s->d_model > WB_CUDA_MOST_NORM ||
        3 * s->d_model > WB_CUDA_MOST_WIDTH || s->d_ff > WB_CUDA_MOST_WIDTH)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "the GPU's kernels take widths in steps of %d up to %d and %d, this model "
                       "has %d and %d: use --device cpu",
                       WIDTH_STEP, WB_CUDA_MOST_NORM, WB_CUDA_MOST_WIDTH, s->d_model, s->d_ff);
    if (s->max_length > MOST_POSITIONS || s->d_head > MOST_HEAD)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "the GPU's attention takes up to %d tokens and heads of %d, this model has "
                       "%d and %d: use --device cpu",
                       MOST_POSITIONS, MOST_HEAD, s->max_length, s->d_head);
    return WB_OK;
}

static wb_status check_precisions(const wb_plan *plan, const wb_cuda_device *device,
                                  const wb_scales *scales, wb_error *err) {
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_matrix *m = &plan->matrices[i];
        const bool is_fp8 = m->precision == WB_FP8_DYNAMIC || m->precision == WB_FP8_STATIC;
        const bool is_static = m->precision == WB_I8_STATIC || m->precision == WB_FP8_STATIC;
        if (is_fp8 && !device->has_fp8)
            return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                           "%.90s has no fp8 arithmetic (compute capability 8.9 or later)",
                           device->name);
        if (is_static && (!scales || scales->n_matrices != plan->n_matrices))
            return wb_fail(err, WB_ERR_ARGUMENT, 0,
                           "%s has a static precision and no calibrated scales, run `wattbert "
                           "quantize` first",
                           m->name);
        if (is_quantized(m->precision) && (m->is_autocast || i >= wb_plan_pre_classifier(plan)))
            return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                           "%s cannot be quantized: neither the head nor autocast has it", m->name);
    }
    return WB_OK;
}

// Whether products of enough rows are timed in our own fp8 kernel as well as in the library's.
static bool has_own_product(const wb_gpu *gpu) {
    for (int i = 0; i < gpu->plan->n_matrices; i++) {
        const wb_gpu_matrix *matrix = &gpu->weights.matrices[i];
        const wb_gpu_product p = {.m = gpu->plan->max_rows,
                                  .n = matrix->n,
                                  .k = matrix->k,
                                  .cell = matrix->cell,
                                  .y_cell = gpu->weights.y_cell,
                                  .ld_y = matrix->n,
                                  .side_cell = gpu->weights.y_cell,
                                  .is_scale_per_row = matrix->precision == WB_FP8_DYNAMIC};
        if (wb_products_has_own(gpu->products, &p)) return true;
    }
    return false;
}

// "cublaslt_f16 cublaslt_fp8 product_fp8_sm90 attention_flash_mma rowwise_cuda"
static void describe(wb_cuda_words *words, const wb_cuda *cuda) {
    static const char *const names[WB_N_PRECISIONS] = {"f32", "bf16", "f16", "i8",
                                                       "i8",  "tf32", "fp8", "fp8"};
    const wb_plan *plan = cuda->gpu.plan;
    *words = (wb_cuda_words){.weights_bytes = cuda->gpu.weights.n_bytes,
                             .workspace_bytes = cuda->workspace_bytes};
    size_t length = 0;
    for (int p = 0; p < WB_N_PRECISIONS; p++) {
        char word[24];
        snprintf(word, sizeof word, "cublaslt_%s ", names[p]);
        bool is_used = false;
        for (int i = 0; i < plan->n_matrices; i++) is_used |= (int)plan->matrices[i].precision == p;
        if (is_used && !strstr(words->kernels, word))
            length += (size_t)snprintf(words->kernels + length, sizeof words->kernels - length,
                                       "%s", word);
    }
    const bool has_tiles = plan->shape.d_head == 64 || plan->shape.d_head == 32;
    const bool is_f32 = cuda->gpu.weights.y_cell == WB_CELL_F32;
    // Up to 32 rows of a 16-bit plan are one kernel, up to 64 of 16-bit products one of ours each.
    snprintf(words->kernels + length, sizeof words->kernels - length,
             "%s%s%sattention_%s_%s rowwise_cuda", cuda->gpu.has_whole ? "whole_sm90 " : "",
             has_own_product(&cuda->gpu) ? "product_fp8_sm90 " : "", is_f32 ? "" : "skinny_mma ",
             plan->attention == WB_ATTENTION_FLASH ? "flash" : "standard",
             has_tiles && !is_f32 ? "mma" : "cuda");
}

static void close_door(wb_cuda *cuda) {
    if (!cuda) return;
    (void)cudaSetDevice(cuda->ordinal);
    if (cuda->gpu.stream) (void)cudaStreamSynchronize(cuda->gpu.stream);
    wb_cuda_capture_close(cuda);
    wb_cuda_slots_close(cuda);
    wb_gpu_whole_close(&cuda->gpu);
    wb_gpu_workspace_close(&cuda->gpu.workspace);
    wb_gpu_weights_close(&cuda->gpu.weights, cuda->gpu.plan);
    wb_products_close(cuda->gpu.products);
    if (cuda->gpu.stream) (void)cudaStreamDestroy(cuda->gpu.stream);
    wb_free(cuda);
}

static wb_status open_all(wb_cuda *cuda, const wb_cuda_setup *setup, wb_error *err) {
    wb_gpu *gpu = &cuda->gpu;
    wb_status status = wb_device_check(cudaSetDevice(setup->ordinal), "choosing the GPU", err);
    if (!status)
        status =
            wb_device_check(cudaDeviceGetAttribute(&gpu->n_multiprocessors,
                                                   cudaDevAttrMultiProcessorCount, setup->ordinal),
                            "reading what the GPU is", err);
    if (!status)
        status = wb_device_check(cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking),
                                 "making a stream", err);
    if (!status) status = wb_products_open(&gpu->products, &cuda->workspace_bytes, err);
    if (!status) gpu->has_whole = wb_gpu_whole_suits(gpu);
    if (!status)
        status = wb_gpu_weights_open(&gpu->weights, setup, gpu->has_whole, gpu->stream, err);
    if (!status)
        status = wb_gpu_workspace_open(&gpu->workspace, &gpu->weights, setup->plan,
                                       &cuda->workspace_bytes, err);
    if (!status) status = wb_cuda_slots_open(cuda, err);
    if (!status && gpu->has_whole) status = wb_gpu_whole_open(gpu, &cuda->workspace_bytes, err);
    // Blocks were cleared on another stream.
    if (!status) status = wb_device_check(cudaDeviceSynchronize(), "preparing the GPU", err);
    return status;
}

static wb_status open_door(wb_cuda **out, wb_cuda_words *words, const wb_cuda_setup *setup,
                           wb_error *err) {
    *out = NULL;
    *words = (wb_cuda_words){.weights_bytes = 0};
    wb_cuda_device device;
    wb_status status = wb_device_probe(&device, setup->ordinal, err);
    if (!status) status = check_shape(&setup->plan->shape, err);
    if (!status) status = check_precisions(setup->plan, &device, setup->scales, err);
    if (status) return status;
    wb_cuda *cuda = wb_alloc_zeroed(sizeof *cuda);
    if (!cuda) return wb_fail(err, WB_ERR_MEMORY, 0, "model on the GPU");
    cuda->ordinal = setup->ordinal;
    cuda->gpu.plan = setup->plan;
    for (int i = 0; i < WB_N_SLOTS; i++) cuda->slots[i].index = -1;
    status = open_all(cuda, setup, err);
    if (status) {
        close_door(cuda);
        return status;
    }
    describe(words, cuda);
    *out = cuda;
    return WB_OK;
}

static wb_status run_job(wb_cuda *cuda, wb_cuda_job *job, wb_error *err) {
    if (cuda->is_lost)
        return wb_fail(err, WB_ERR_DEVICE, 0, "the GPU failed before, open the engine again");
    wb_status status = wb_device_check(cudaSetDevice(cuda->ordinal), "choosing the GPU", err);
    if (!status) switch (job->task) {
            case WB_CUDA_FORWARD: status = wb_cuda_forward(cuda, job, err); break;
            case WB_CUDA_CAPTURE: status = wb_cuda_capture(cuda, job, err); break;
            case WB_CUDA_REPLAY: status = wb_cuda_replay(cuda, job, err); break;
            case WB_CUDA_RELEASE: wb_cuda_capture_close(cuda); break;
        }
    cuda->is_lost = status == WB_ERR_DEVICE;
    return status;
}

const wb_cuda_door *wb_cuda_door_open(void) {
    static const wb_cuda_door door = {.version = WB_CUDA_DOOR,
                                      .probe = wb_device_probe,
                                      .open = open_door,
                                      .run = run_job,
                                      .close = close_door};
    return &door;
}
