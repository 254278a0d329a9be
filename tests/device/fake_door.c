// SPDX-License-Identifier: Apache-2.0
// A stand-in for libwattbert_cuda.so: the same door, and behind it no GPU but a script, so that
// everything on this side of the door is tested on any machine. FAKE_DOOR holds words apart by
// commas:
//
//     version       the door of another wattbert
//     no-driver  old-driver  old-gpu  no-such-gpu     what probe answers instead of a GPU
//     ampere        the GPU has no fp8
//     no-memory     open fails for want of memory
//     memory=MB     the GPU has so much; engines and captures take theirs of it
//     full=N        from its N-th job on an engine finds no memory for it
//     lost=N        the N-th job finds the GPU gone
//     ms=N          a batch takes N milliseconds
//
// Logits are a hash of a text's ids. FAKE_DOOR_LOG names a file that gains a line for every call.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cuda.h"

struct wb_cuda {
    const wb_plan *plan;
    wb_batch batch;                    // [max_texts]
    uint64_t n_bytes, captured_bytes;  // of the GPU's memory
    int n_jobs;
    bool is_lost, is_captured;
};

static uint64_t used_bytes;  // of all GPUs

// The number behind a word of the script: 0 where the word stands alone, -1 where it is missing.
static int script(const char *word) {
    const char *words = getenv("FAKE_DOOR");
    const size_t n = strlen(word);
    while (words && *words) {
        const size_t length = strcspn(words, ",");
        if (length >= n && strncmp(words, word, n) == 0 && (length == n || words[n] == '='))
            return length == n ? 0 : atoi(words + n + 1);
        words += length + (words[length] == ',');
    }
    return -1;
}

static void note(const char *call, const char *what, uint64_t a, uint64_t b) {
    const char *path = getenv("FAKE_DOOR_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s %s %llu %llu\n", call, what, (unsigned long long)a, (unsigned long long)b);
    fclose(file);
}

// ---- Memory ----

static uint64_t memory_bytes(void) {
    const int mb = script("memory");
    return mb > 0 ? (uint64_t)mb * 1000000 : 80ull << 30;
}

// *held grows by n_bytes, or nothing is taken. The log has what is used by then.
static wb_status take(uint64_t *held, uint64_t n_bytes, const char *what, wb_error *err) {
    const uint64_t free_bytes = memory_bytes() - used_bytes;
    if (n_bytes > free_bytes)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: %.1f MB of GPU memory wanted, %.1f MB free",
                       what, (double)n_bytes * 1e-6, (double)free_bytes * 1e-6);
    used_bytes += n_bytes;
    *held += n_bytes;
    note("memory", "-", used_bytes / 1000000, memory_bytes() / 1000000);
    return WB_OK;
}

static void give_back(uint64_t *held) {
    used_bytes -= *held;
    *held = 0;
}

// ---- Probe ----

static wb_status probe(wb_cuda_device *out, int ordinal, wb_error *err) {
    *out = (wb_cuda_device){0};
    if (script("no-driver") >= 0)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "there is no NVIDIA driver on this machine, install one");
    if (script("old-driver") >= 0)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "the NVIDIA driver runs CUDA 11.4 at most, 13.0 is needed, update it");
    if (script("old-gpu") >= 0)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "GPU 0, a Tesla K80, has compute capability 3.7, at least 8.0 is needed");
    if (script("no-such-gpu") >= 0 || ordinal > 1)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "there is no GPU %d, the driver knows 2",
                       ordinal);
    const bool is_ampere = script("ampere") >= 0;
    *out = (wb_cuda_device){.ordinal = ordinal,
                            .compute_major = is_ampere ? 8 : 9,
                            .driver_version = 13000,
                            .runtime_version = 13000,
                            .memory_bytes = memory_bytes(),
                            .has_bf16 = true,
                            .has_fp8 = !is_ampere,
                            .has_i8 = true};
    snprintf(out->name, sizeof out->name, "Scripted GPU %s", is_ampere ? "A" : "H");
    snprintf(out->uuid, sizeof out->uuid, "GPU-played-%d", ordinal);
    return WB_OK;
}

// ---- Open and close ----

static uint64_t bytes_of(const wb_matrix *matrix) {
    const uint64_t n = (uint64_t)matrix->n * (uint64_t)matrix->k;
    if (matrix->is_autocast) return 4 * n;
    switch (matrix->precision) {
        case WB_F32:
        case WB_TF32: return 4 * n;
        case WB_F16:
        case WB_BF16: return 2 * n;
        default: return n;
    }
}

// As the GPU's: activations of a batch, scores where attention keeps them, integers of int8.
static uint64_t workspace_bytes_of(const wb_plan *plan) {
    const wb_shape *shape = &plan->shape;
    const uint64_t n_rows = (uint64_t)plan->max_rows;
    const uint64_t longest =
        (uint64_t)(plan->packing == WB_PADDED ? plan->padded_length : shape->max_length);
    uint64_t cells = (uint64_t)(shape->d_ff + 6 * shape->d_model);
    if (plan->attention != WB_ATTENTION_FLASH) cells += longest * (uint64_t)shape->n_heads;
    if (plan->matrices[0].precision == WB_I8_DYNAMIC) cells += 2 * (uint64_t)shape->d_ff;
    return n_rows * cells * sizeof(float);
}

static bool needs_scales(const wb_plan *plan) {
    for (int i = 0; i < plan->n_matrices; i++)
        if (plan->matrices[i].precision == WB_I8_STATIC ||
            plan->matrices[i].precision == WB_FP8_STATIC)
            return true;
    return false;
}

static void close_door(wb_cuda *cuda) {
    if (!cuda) return;
    give_back(&cuda->n_bytes);
    give_back(&cuda->captured_bytes);
    note("close", "-", 0, 0);
    wb_free(cuda->batch.texts);
    wb_free(cuda);
}

static wb_status open_door(wb_cuda **out, wb_cuda_words *words, const wb_cuda_setup *setup,
                           wb_error *err) {
    const wb_plan *plan = setup->plan;
    *out = NULL;
    *words = (wb_cuda_words){0};
    note("open", plan->spec->technique.name, (uint64_t)plan->token_budget,
         (uint64_t)setup->ordinal);
    if (script("no-memory") >= 0)
        return wb_fail(err, WB_ERR_MEMORY, 0,
                       "the GPU has 12 MiB free, 640 MiB are needed, close what else runs on it");
    if (plan->device != WB_DEVICE_CUDA || (needs_scales(plan) && !setup->scales))
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "a plan that no GPU can run");
    for (int i = 0; i < plan->n_matrices; i++) words->weights_bytes += bytes_of(&plan->matrices[i]);
    words->workspace_bytes = workspace_bytes_of(plan);
    wb_cuda *cuda = wb_alloc_zeroed(sizeof *cuda);
    if (!cuda) return wb_fail(err, WB_ERR_MEMORY, 0, "a scripted GPU");
    cuda->plan = plan;
    cuda->batch.texts = wb_alloc_array((size_t)plan->max_texts, sizeof *cuda->batch.texts);
    wb_status status = WB_OK;
    if (!cuda->batch.texts) status = wb_fail(err, WB_ERR_MEMORY, 0, "a scripted GPU");
    if (!status)
        status = take(&cuda->n_bytes, words->weights_bytes + words->workspace_bytes, "engine", err);
    if (status) {
        close_door(cuda);
        return status;
    }
    snprintf(words->kernels, sizeof words->kernels, "script_%s attention_%s_script",
             wb_precision_name(plan->matrices[0].precision), wb_attention_name(plan->attention));
    *out = cuda;
    return WB_OK;
}

// ---- Jobs ----

// logits[n_labels] <- from 0 to 4, by a hash of the text's ids as the plan cuts them, moved by a
// little where products are not f32.
static void invent(float *logits, const wb_plan *plan, const wb_batch_text *text) {
    uint32_t hash = 17;
    for (int i = 0; i < text->n_valid; i++) hash = hash * 31 + (uint32_t)text->ids[i];
    for (int j = 0; j < plan->shape.n_labels; j++)
        logits[j] = (float)((hash >> (5 * (j % 4))) & 1023) / 256.0f +
                    1e-3f * (float)plan->matrices[0].precision;
}

static void run_batch(wb_cuda *cuda, const wb_cuda_job *job, wb_run *run) {
    const uint64_t start_ns = wb_clock_ns();
    const wb_batch *batch = &cuda->batch;
    const int n_labels = cuda->plan->shape.n_labels;
    for (int i = 0; i < batch->n_texts; i++) {
        const wb_batch_text *text = &batch->texts[i];
        invent(job->logits + (size_t)text->index * (size_t)n_labels, cuda->plan, text);
    }
    if (script("ms") > 0) wb_sleep_ns((uint64_t)script("ms") * 1000000);
    if (run->batch_ns && run->n_batches < run->batch_capacity)
        run->batch_ns[run->n_batches] = wb_clock_ns() - start_ns;
    run->real_tokens += batch->n_valid;
    run->computed_tokens += (uint64_t)batch->n_rows;
    run->n_batches++;
}

static void forward(wb_cuda *cuda, wb_cuda_job *job) {
    wb_run run = {0};
    if (job->run)
        run = (wb_run){.batch_ns = job->run->batch_ns, .batch_capacity = job->run->batch_capacity};
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, cuda->plan, job->lists);
    while (wb_batch_next(&cuda->batch, &cursor)) run_batch(cuda, job, &run);
    if (job->run) *job->run = run;
    note("forward", "-", (uint64_t)job->lists->n_texts, (uint64_t)run.n_batches);
}

// Gives back what was captured before, as the GPU does.
static wb_status capture(wb_cuda *cuda, wb_cuda_job *job, wb_error *err) {
    wb_batch_cursor cursor;
    give_back(&cuda->captured_bytes);
    cuda->is_captured = false;
    wb_batch_cursor_init(&cursor, cuda->plan, job->lists);
    const size_t row_bytes = (size_t)cuda->plan->shape.d_model * 13 * 2;
    size_t used = 0, captured = 0;
    job->n_tokens = 0;
    job->n_texts = 0;
    while (wb_batch_next(&cuda->batch, &cursor)) {
        used += (size_t)cuda->batch.n_rows * row_bytes;
        if (job->n_texts > 0 && used > job->max_bytes) break;
        captured = used;
        job->n_tokens += cuda->batch.n_valid;
        job->n_texts += cuda->batch.n_texts;
    }
    const wb_status status = take(&cuda->captured_bytes, captured, "activations", err);
    if (status) return status;
    cuda->is_captured = true;
    note("capture", "-", (uint64_t)job->n_texts, job->n_tokens);
    return WB_OK;
}

static void release(wb_cuda *cuda) {
    give_back(&cuda->captured_bytes);
    cuda->is_captured = false;
    note("release", "-", 0, 0);
}

static wb_status run(wb_cuda *cuda, wb_cuda_job *job, wb_error *err) {
    cuda->n_jobs++;
    cuda->is_lost = cuda->is_lost || script("lost") == cuda->n_jobs;
    if (cuda->is_lost) {
        note("lost", "-", (uint64_t)cuda->n_jobs, 0);
        return wb_fail(err, WB_ERR_DEVICE, 0,
                       "GPU 0 is lost (it fell off the bus), restart the machine");
    }
    if (script("full") >= 0 && cuda->n_jobs >= script("full"))
        return wb_fail(err, WB_ERR_MEMORY, 0, "recording a graph: the GPU says \"out of memory\"");
    switch (job->task) {
        case WB_CUDA_FORWARD: forward(cuda, job); return WB_OK;
        case WB_CUDA_CAPTURE: return capture(cuda, job, err);
        case WB_CUDA_RELEASE: release(cuda); return WB_OK;
        case WB_CUDA_REPLAY: break;
    }
    if (!cuda->is_captured) return wb_fail(err, WB_ERR_ARGUMENT, 0, "nothing was captured");
    static const uint64_t us[] = {[WB_EMBEDDINGS] = 20,
                                  [WB_ATTENTION] = 300,
                                  [WB_FFN] = 500,
                                  [WB_HEAD] = 10,
                                  [WB_WHOLE] = 850};
    wb_sleep_ns(1000 * us[job->component]);
    note("replay", "-", (uint64_t)job->component, 0);
    return WB_OK;
}

// ---- The door ----

const wb_cuda_door *wb_cuda_door_open(void);

const wb_cuda_door *wb_cuda_door_open(void) {
    static const wb_cuda_door door = {.version = WB_CUDA_DOOR,
                                      .probe = probe,
                                      .open = open_door,
                                      .run = run,
                                      .close = close_door};
    static const wb_cuda_door other = {.version = WB_CUDA_DOOR + 1};
    return script("version") >= 0 ? &other : &door;
}
