// SPDX-License-Identifier: Apache-2.0
// The engine's side of a GPU: which one a name means, what it can do, a model opened on it, jobs
// run on it. What the GPU does with a job is known behind the door alone (cuda/cuda.h).
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

// ---- Names ----

// "cuda:12" -> 12; at most three digits, so nothing overflows.
static bool parse_ordinal(int *ordinal, const char *digits) {
    const size_t n = strlen(digits);
    if (n < 1 || n > 3 || strspn(digits, "0123456789") != n) return false;
    for (*ordinal = 0; *digits; digits++) *ordinal = 10 * *ordinal + (*digits - '0');
    return true;
}

wb_status wb_device_parse(wb_device_name *out, const char *name, wb_error *err) {
    *out = (wb_device_name){0};
    if (!name || !*name || strcmp(name, "cpu") == 0) return WB_OK;
    out->is_cuda = true;
    out->is_auto = strcmp(name, "auto") == 0;
    if (out->is_auto || strcmp(name, "cuda") == 0) return WB_OK;
    if (strncmp(name, "cuda:", 5) == 0 && parse_ordinal(&out->ordinal, name + 5)) return WB_OK;
    *out = (wb_device_name){0};
    return wb_fail(err, WB_ERR_ARGUMENT, 0,
                   "no device is called \"%.64s\", give cpu, cuda, cuda:1 or auto", name);
}

// ---- One GPU ----

wb_status wb_board_find(wb_board *board, int ordinal, wb_error *err) {
    *board = (wb_board){0};
    wb_status status = wb_door_open(&board->door, err);
    if (!status) status = board->door.functions->probe(&board->device, ordinal, err);
    if (status) {
        wb_board_close(board);
        return status;
    }
    const wb_cuda_device *device = &board->device;
    snprintf(board->device_name, sizeof board->device_name, "cuda:%d", ordinal);
    snprintf(board->isa, sizeof board->isa, "sm_%d%d", device->compute_major,
             device->compute_minor);
    return WB_OK;
}

wb_gpu_arithmetic wb_board_arithmetic(const wb_board *board) {
    const wb_cuda_device *device = &board->device;
    return (wb_gpu_arithmetic){.name = device->name,
                               .has_bf16 = device->has_bf16,
                               .has_fp8 = device->has_fp8,
                               .has_i8 = device->has_i8};
}

wb_status wb_board_open(wb_engine *engine, const wb_scales *scales, wb_error *err) {
    wb_board *board = &engine->board;
    const wb_tensor_source source = wb_model_source(engine->model);
    const wb_cuda_setup setup = {.ordinal = board->device.ordinal,
                                 .plan = &engine->plan,
                                 .source = &source,
                                 .scales = scales};
    return board->door.functions->open(&board->cuda, &board->words, &setup, err);
}

void wb_board_close(wb_board *board) {
    if (board->cuda) board->door.functions->close(board->cuda);
    wb_door_close(&board->door);
    *board = (wb_board){0};
}

wb_status wb_board_run(wb_board *board, wb_cuda_job *job, wb_error *err) {
    if (board->is_lost)
        return wb_fail(err, WB_ERR_DEVICE, 0,
                       "%s failed before, close this engine and open another", board->device_name);
    const wb_status status = board->door.functions->run(board->cuda, job, err);
    board->is_lost = status == WB_ERR_DEVICE;
    return status;
}

// ---- For callers ----

static void describe(wb_gpu_info *out, const wb_board *board) {
    const wb_cuda_device *device = &board->device;
    *out = (wb_gpu_info){.ordinal = device->ordinal,
                         .compute_major = device->compute_major,
                         .compute_minor = device->compute_minor,
                         .driver_version = device->driver_version,
                         .runtime_version = device->runtime_version,
                         .memory_bytes = device->memory_bytes,
                         .has_bf16 = device->has_bf16,
                         .has_fp8 = device->has_fp8,
                         .has_i8 = device->has_i8};
    snprintf(out->name, sizeof out->name, "%s", device->name);
    snprintf(out->uuid, sizeof out->uuid, "%s", device->uuid);
    snprintf(out->library, sizeof out->library, "%s", board->door.path);
}

wb_status wb_gpu_describe(wb_gpu_info *out, const char *device, wb_error *err) {
    *out = (wb_gpu_info){0};
    wb_device_name name;
    wb_status status = wb_device_parse(&name, device ? device : "cuda", err);
    if (!status && !name.is_cuda)
        status =
            wb_fail(err, WB_ERR_ARGUMENT, 0, "\"%.64s\" is no GPU, give cuda or cuda:1", device);
    wb_board board;
    if (!status) status = wb_board_find(&board, name.ordinal, err);
    if (status) return status;
    describe(out, &board);
    wb_board_close(&board);
    return WB_OK;
}
