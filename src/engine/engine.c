// SPDX-License-Identifier: Apache-2.0
// Opening an engine: the device, its plan, calibration where the technique asks for it, weights and
// workspaces, or the model on the GPU; then the plan in words for whoever asks what runs.
#include <stdio.h>
#include <string.h>

#include "engine/artefact.h"
#include "engine/cache.h"
#include "engine/engine.h"

// Static strings, because wb_matrix_plan borrows them.
static const char *precision_words(const wb_matrix *matrix) {
    if (!matrix->is_autocast) return wb_precision_name(matrix->precision);
    return matrix->precision == WB_BF16 ? "bf16+autocast" : "f16+autocast";
}

static void describe_matrices(wb_engine *engine) {
    for (int i = 0; i < engine->plan.n_matrices; i++) {
        const wb_matrix *matrix = &engine->plan.matrices[i];
        engine->matrices[i] = (wb_matrix_plan){.name = matrix->name,
                                               .n = matrix->n,
                                               .k = matrix->k,
                                               .precision = precision_words(matrix),
                                               .error = matrix->error,
                                               .cost_ns = matrix->cost_ns,
                                               .refused_error = matrix->refused_error};
    }
}

// What differs between devices: who runs, which kernels, where the weights are.
static void describe_device(wb_engine *engine) {
    wb_plan_info *info = &engine->info;
    const wb_board *board = &engine->board;
    const bool is_cuda = board->cuda != NULL;
    info->device = is_cuda ? board->device_name : "cpu";
    info->device_name = is_cuda ? board->device.name : engine->cpu.name;
    info->device_uuid = is_cuda ? board->device.uuid : "";
    info->isa = is_cuda ? board->isa : engine->kernels.isa;
    info->kernels = is_cuda ? board->words.kernels : engine->words.kernels;
    info->weights_bytes = is_cuda ? board->words.weights_bytes : engine->weights->n_bytes;
    info->workspace_bytes = is_cuda ? board->words.workspace_bytes : 0;
    info->fallback = engine->fallback;
    info->cache_state = engine->cache.state;
    info->cache = engine->cache.words;
    info->pinning = engine->pinning;
}

// Everything that can be asked of the plan later, fixed now: an engine never changes its mind.
static wb_status describe(wb_engine *engine, wb_error *err) {
    const wb_plan *plan = &engine->plan;
    engine->matrices = wb_alloc_array((size_t)plan->n_matrices, sizeof *engine->matrices);
    if (!engine->matrices) return wb_fail(err, WB_ERR_MEMORY, 0, "plan in words");
    wb_plan_describe(&engine->words, plan, engine->board.cuda ? NULL : &engine->kernels);
    describe_matrices(engine);
    engine->info = (wb_plan_info){.technique = plan->spec->technique.name,
                                  .precision = engine->words.precision,
                                  .attention = wb_attention_name(plan->attention),
                                  .packing = wb_packing_name(plan->packing),
                                  .batch_rule = engine->words.batch_rule,
                                  .n_threads = plan->n_threads,
                                  .n_matrices = plan->n_matrices,
                                  .matrices = engine->matrices};
    describe_device(engine);
    return WB_OK;
}

// A workspace a thread. They are not touched here, so each thread's pages are made by itself, on
// its own memory node.
static wb_status open_workspaces(wb_engine *engine, wb_error *err) {
    const int n = engine->plan.n_threads;
    engine->workspaces = wb_alloc_array((size_t)n, sizeof *engine->workspaces);
    if (!engine->workspaces) return wb_fail(err, WB_ERR_MEMORY, 0, "engine of %d threads", n);
    for (int i = 0; i < n; i++) {
        const wb_status status = wb_workspace_init(&engine->workspaces[i], &engine->plan,
                                                   engine->weights, &engine->kernels, err);
        if (status) return status;
    }
    return WB_OK;
}

static wb_status open_weights(wb_engine *engine, const wb_options *options, wb_error *err) {
    const wb_tensor_source source = wb_words_source(engine->embeddings);
    if (options->cache) return wb_cache_open(engine, &source, options->cache, err);
    return wb_weights_open(&engine->weights, &engine->plan, &engine->kernels, &source, engine->pool,
                           err);
}

// In the order of need: kernels say what the CPU can, the plan which of it to use, calibration
// needs the pool, weights the plan, and workspaces know from the weights how much scratch a
// cast takes. On failure the caller closes what there is.
static wb_status open_on_cpu(wb_engine *engine, const wb_options *options, wb_error *err) {
    wb_kernels_select(&engine->kernels, engine->cpu.flags);
    wb_status status = wb_plan_init(&engine->plan, &engine->model->shape, options, &engine->kernels,
                                    &engine->cpu, err);
    const wb_scales *scales;
    if (!status) status = wb_engine_scales(&scales, engine, options, err);
    if (!status) status = wb_pool_open(&engine->pool, engine->plan.n_threads, err);
    if (!status && engine->plan.spec->is_mixed)
        status = wb_engine_calibrate(engine, options->calibration, err);
    if (!status) status = wb_words_open(&engine->embeddings, engine->model, err);
    if (!status) status = open_weights(engine, options, err);
    if (!status) status = open_workspaces(engine, err);
    return status;
}

static wb_status open_on_gpu(wb_engine *engine, const wb_options *options, wb_error *err) {
    const wb_gpu_arithmetic gpu = wb_board_arithmetic(&engine->board);
    const wb_scales *scales = NULL;
    wb_status status =
        wb_plan_init_cuda(&engine->plan, &engine->model->shape, options, &gpu, &engine->cpu, err);
    if (!status) status = wb_engine_scales(&scales, engine, options, err);
    if (!status) status = wb_pool_open(&engine->pool, engine->plan.n_threads, err);
    if (!status) status = wb_board_open(engine, scales, err);
    return status;
}

// "auto" takes the CPU where no GPU can be used, and only then: a technique that the GPU lacks or a
// model that does not fit it are told, not run elsewhere.
static wb_status open_parts(wb_engine *engine, const wb_options *options, wb_error *err) {
    wb_device_name device;
    wb_status status = wb_device_parse(&device, options->device, err);
    if (status) return status;
    wb_machine_detect(&engine->cpu);
    if (!device.is_cuda) return open_on_cpu(engine, options, err);
    wb_error problem;
    status = wb_board_find(&engine->board, device.ordinal, &problem);
    if (!status) return open_on_gpu(engine, options, err);
    if (!device.is_auto) return wb_fail(err, status, problem.offset, "%s", problem.message);
    snprintf(engine->fallback, sizeof engine->fallback, "%s", problem.message);
    return open_on_cpu(engine, options, err);
}

wb_status wb_engine_open(wb_engine **out, const wb_model *model, const wb_options *options,
                         wb_error *err) {
    *out = NULL;
    const wb_options defaults = wb_default_options();
    if (!options) options = &defaults;
    if (options->calibration && options->calibration->model != model)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "calibration texts were encoded for another model");
    wb_engine *engine = wb_alloc_zeroed(sizeof *engine);
    if (!engine) return wb_fail(err, WB_ERR_MEMORY, 0, "engine");
    engine->model = model;
    wb_status status = open_parts(engine, options, err);
    // Whatever else was read of the files: what they hold is packed or on the GPU by now.
    wb_checkpoint_release(model->checkpoint);
    if (!status && options->pin) status = wb_engine_pin(engine, err);
    if (!status) status = describe(engine, err);
    if (status) {
        wb_engine_close(engine);
        return status;
    }
    *out = engine;
    return WB_OK;
}

void wb_engine_close(wb_engine *engine) {
    if (!engine) return;
    wb_board_close(&engine->board);  // first: it borrows the plan
    for (int i = 0; engine->workspaces && i < engine->plan.n_threads; i++)
        wb_workspace_free(&engine->workspaces[i]);
    wb_free(engine->workspaces);
    wb_free(engine->matrices);
    wb_weights_close(engine->weights);
    wb_file_close(&engine->cache.file);  // after the weights that lie in it
    wb_words_close(engine->embeddings);
    wb_pool_close(engine->pool);
    wb_binding_close(engine->binding);
    wb_plan_free(&engine->plan);
    wb_artefact_close(engine->artefact);
    wb_free(engine);
}

const wb_plan_info *wb_engine_plan(const wb_engine *engine) {
    return &engine->info;
}
