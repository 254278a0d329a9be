// SPDX-License-Identifier: Apache-2.0
// Memory that runs out anywhere between opening a model and closing the engine: every call
// succeeds or says WB_ERR_MEMORY, leaves nothing half-built and nothing allocated. The
// linker puts these functions in the place of malloc's family for everything in src/.
//
//     test_failing_malloc [ROUNDS [SEED]]
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../support/model_folder.h"

// ---- An allocator that fails at random ----

// Pool threads allocate where they tokenize for a GPU, and free the last of theirs while others
// run.
static atomic_long n_live;                                // blocks allocated and not freed
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // of the next four
static wb_random dice;
static uint64_t one_in;  // a call in so many fails; 0: none
static long n_calls, n_failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void __real_free(void *block);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void __wrap_free(void *block);

static bool fails(void) {
    pthread_mutex_lock(&lock);
    n_calls++;
    const bool is_failure = one_in > 0 && wb_random_below(&dice, one_in) == 0;
    n_failed += is_failure;
    pthread_mutex_unlock(&lock);
    return is_failure;
}

static void *count(void *block) {
    if (block) atomic_fetch_add(&n_live, 1);
    return block;
}

void *__wrap_malloc(size_t n) {
    return fails() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *block, size_t n) {
    if (fails()) return NULL;
    void *grown = __real_realloc(block, n);
    if (!block && grown) atomic_fetch_add(&n_live, 1);
    return grown;
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
    return fails() ? NULL : count(__real_aligned_alloc(alignment, n));
}

void __wrap_free(void *block) {
    if (block) atomic_fetch_sub(&n_live, 1);
    __real_free(block);
}

// ---- A round ----

static const wb_shape shape = {.n_layers = 1,
                               .d_model = 6,
                               .n_heads = 2,
                               .d_head = 3,
                               .d_ff = 8,
                               .vocab_size = 60,
                               .max_positions = 12,
                               .n_labels = 2,
                               .max_length = 12,
                               .activation = WB_GELU};

// Enough text that a GPU is fed in waves; see wb_classify().
enum { N_MANY = 700, LINE_BYTES = 100 };

typedef struct round_state {
    wb_model *model;
    wb_engine *engine;
    wb_inputs *inputs;
    wb_replay *replay;
    float logits[N_MANY * 2];
    long n_calls_of_forward;  // allocations on the forward path
} round_state;

static const wb_text texts[2] = {{.text = "a b w57", .n_bytes = 7},
                                 {.text = "c", .n_bytes = 1, .pair = "d e", .pair_bytes = 3}};

// The last but one makes its scales first; the last runs on the GPU that fake_door.c plays, where
// it lies beside this program.
typedef struct way {
    const char *technique, *device;
    bool makes_scales, is_cached;  // is_cached: and its threads are bound to cores
} way;
static const way ways[] = {
    {"f32-flash+packed", "cpu", false, false}, {"baseline", "cpu", false, true},
    {"i8-dynamic+packed", "cpu", false, true}, {"mixed", "cpu", false, false},
    {"i8-static", "cpu", true, true},          {"f16-flash+packed", "cuda", false, false}};
enum { N_WAYS = sizeof ways / sizeof *ways };

static wb_status make_scales(round_state *s, const char *path, wb_error *err) {
    const wb_quantize_options options = {.n_threads = 2, .max_error = 0.1};
    wb_status status = wb_inputs_open(&s->inputs, s->model, texts, 2, 0, err);
    if (!status) status = wb_quantize(s->model, s->inputs, &options, path, NULL, err);
    wb_inputs_close(s->inputs);
    s->inputs = NULL;
    return status;
}

static wb_status classify_many(round_state *s, wb_error *err) {
    static char line[LINE_BYTES + 1];
    static wb_text many[N_MANY];
    memset(line, 'a', LINE_BYTES);
    for (int i = 0; i < N_MANY; i++)
        many[i] = (wb_text){.text = line, .n_bytes = (size_t)(LINE_BYTES - i % 50)};
    return wb_classify(s->engine, many, N_MANY, s->logits, err);
}

static wb_status run_round(round_state *s, const char *dir, const way *w, wb_error *err) {
    wb_options options = wb_default_options();
    char scales[80];
    snprintf(scales, sizeof scales, "%s/scales.json", dir);
    options.technique = w->technique;
    options.device = w->device;
    options.scales = w->makes_scales ? scales : NULL;
    options.cache = w->is_cached ? dir : NULL;
    options.pin = w->is_cached;
    options.n_threads = 2;
    options.batch_size = 1;
    wb_status status = wb_model_open(&s->model, dir, err);
    if (!status && w->makes_scales) status = make_scales(s, scales, err);
    if (!status) status = wb_engine_open(&s->engine, s->model, &options, err);
    if (!status) status = wb_classify(s->engine, texts, 2, s->logits, err);
    if (!status && strcmp(w->device, "cuda") == 0) status = classify_many(s, err);
    if (!status) status = wb_inputs_open(&s->inputs, s->model, texts, 2, 0, err);
    const long before = n_calls;
    if (!status) status = wb_forward(s->engine, s->inputs, s->logits, NULL, err);
    s->n_calls_of_forward = n_calls - before;
    if (!status) status = wb_replay_open(&s->replay, s->engine, s->inputs, 1 << 16, err);
    if (!status) status = wb_replay_run(s->replay, WB_WHOLE, err);
    return status;
}

static void close_round(round_state *s) {
    wb_replay_close(s->replay);
    wb_inputs_close(s->inputs);
    wb_engine_close(s->engine);
    wb_model_close(s->model);
}

// Whether a round ended as promised; a forward asks for no memory. Handles of failed calls must be
// NULL: all are closed after.
static bool is_clean(const round_state *s, wb_status status, const wb_error *err) {
    if (s->n_calls_of_forward != 0) return false;
    if (status == WB_OK) return isfinite(s->logits[0]) && isfinite(s->logits[3]);
    return status == WB_ERR_MEMORY && err->status == status && err->message[0] != 0;
}

int main(int argc, char **argv) {
    const long n_rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 2000;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    // Rare failures reach the last calls of a round, frequent ones two in one undo.
    static const uint64_t rates[] = {4, 15, 60, 200, 800};
    char dir[64] = "/tmp/wattbert-test-XXXXXX";
    folder_write(dir, &shape);
    dice.state = seed;
    long n_ok = 0, n_memory = 0;
    wb_gpu_info gpu;
    const int n_ways = wb_gpu_describe(&gpu, "cuda", NULL) ? N_WAYS - 1 : N_WAYS;
    for (long i = 0; i < n_rounds; i++) {
        round_state s = {.model = NULL};
        wb_error err = {.message = ""};
        const long live_before = atomic_load(&n_live);
        one_in = rates[i % 5];
        const way *w = &ways[i / 5 % n_ways];
        const wb_status status = run_round(&s, dir, w, &err);
        one_in = 0;
        close_round(&s);
        const long n_leaked = atomic_load(&n_live) - live_before;
        if (!is_clean(&s, status, &err) || n_leaked != 0) {
            fprintf(stderr, "round %ld of seed %" PRIu64 ", %s: %s: %s; ", i, seed, w->technique,
                    wb_status_name(status), err.message);
            fprintf(stderr, "%ld blocks leaked, a forward allocated %ld times\n", n_leaked,
                    s.n_calls_of_forward);
            return 1;
        }
        n_ok += status == WB_OK;
        n_memory += status == WB_ERR_MEMORY;
    }
    char command[96];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    if (system(command)) return 1;
    printf(
        "%ld rounds of %d ways: %ld succeeded, %ld ran out of memory; %ld of %ld allocations "
        "failed\n",
        n_rounds, n_ways, n_ok, n_memory, n_failed, n_calls);
    return n_ok > 0 && n_memory > 0 ? 0 : 1;
}
