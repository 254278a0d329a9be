// SPDX-License-Identifier: Apache-2.0
// From a technique's name, a model's shape and a machine to the plan: one function a
// decision, each with its reason. Only mixed techniques leave something open, the
// precisions, which wb_cost_choose() fills in from measurements.
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

enum { MAX_THREADS = 1024, MAX_BATCH_TEXTS = 4096, MAX_TOKEN_BUDGET = 1 << 20 };

static int min_int(int a, int b) {
    return a < b ? a : b;
}

static int max_int(int a, int b) {
    return a > b ? a : b;
}

wb_options wb_default_options(void) {
    return (wb_options){.technique = "f32-flash+packed", .batch_size = 16, .padded_length = 128};
}

static wb_status check_options(const wb_options *options, wb_error *err) {
    if (options->n_threads < 0 || options->n_threads > MAX_THREADS)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "%d threads, give 0 (all cores) to %d",
                       options->n_threads, MAX_THREADS);
    if (options->batch_size < 1 || options->batch_size > MAX_BATCH_TEXTS)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "batches of %d texts, give 1 to %d",
                       options->batch_size, MAX_BATCH_TEXTS);
    if (options->padded_length < 3)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "texts padded to %d tokens, give at least 3",
                       options->padded_length);
    if (options->token_budget < 0 || options->token_budget > MAX_TOKEN_BUDGET)
        return wb_fail(err, WB_ERR_ARGUMENT, 0, "batches of %d tokens, give 0 (automatic) to %d",
                       options->token_budget, MAX_TOKEN_BUDGET);
    return WB_OK;
}

// Nothing is measured yet, which -1 says.
static wb_matrix describe_matrix(const char *name, int n, int k, wb_precision precision,
                                 bool is_autocast) {
    wb_matrix matrix = {.n = n,
                        .k = k,
                        .precision = precision,
                        .is_autocast = is_autocast,
                        .error = -1.0,
                        .cost_ns = -1.0,
                        .refused_error = -1.0};
    snprintf(matrix.name, sizeof matrix.name, "%s", name);
    return matrix;
}

// The four products of one layer, in plan->matrices[4 layer ..].
static void list_layer(wb_plan *plan, int layer, wb_precision precision) {
    static const char *const names[WB_MATRICES_PER_LAYER] = {"qkv", "attention_out", "ffn_up",
                                                             "ffn_down"};
    const wb_shape *shape = &plan->shape;
    const int d = shape->d_model;
    const int n[WB_MATRICES_PER_LAYER] = {3 * d, d, shape->d_ff, d};
    const int k[WB_MATRICES_PER_LAYER] = {d, d, d, shape->d_ff};
    for (int i = 0; i < WB_MATRICES_PER_LAYER; i++) {
        char name[32];
        snprintf(name, sizeof name, "layer %d %s", layer, names[i]);
        plan->matrices[wb_plan_layer_matrix(layer, (wb_layer_matrix)i)] =
            describe_matrix(name, n[i], k[i], precision, plan->spec->is_autocast);
    }
}

// In eight bits: a product whose rounding could be seen in the logits.
static bool is_narrow(wb_precision precision) {
    return precision == WB_I8_DYNAMIC || precision == WB_I8_STATIC || precision == WB_FP8_DYNAMIC ||
           precision == WB_FP8_STATIC;
}

// The head stays f32 where the layers have eight bits: it runs on one row a text, under 1 % of the
// work at 25 tokens, and its logits are what all scores are read from.
static wb_status list_matrices(wb_plan *plan, wb_precision of_layers, wb_error *err) {
    const wb_shape *shape = &plan->shape;
    plan->n_matrices = shape->n_layers * WB_MATRICES_PER_LAYER + 2;
    plan->matrices = wb_alloc_array((size_t)plan->n_matrices, sizeof *plan->matrices);
    if (!plan->matrices)
        return wb_fail(err, WB_ERR_MEMORY, 0, "plan of %d matrices", plan->n_matrices);
    for (int layer = 0; layer < shape->n_layers; layer++) list_layer(plan, layer, of_layers);
    const wb_precision precision = is_narrow(of_layers) ? WB_F32 : of_layers;
    const bool is_autocast = plan->spec->is_autocast;
    plan->matrices[wb_plan_pre_classifier(plan)] =
        describe_matrix("pre_classifier", shape->d_model, shape->d_model, precision, is_autocast);
    plan->matrices[wb_plan_classifier(plan)] =
        describe_matrix("classifier", shape->n_labels, shape->d_model, precision, is_autocast);
    return WB_OK;
}

// The most rows a layer takes at a time: as many as let the widest array between its products, d_ff
// floats a row, fill the second-level cache. Fewer would read the weights more often, more would
// send that array to the third level and back. At 768 x 3072 on one core of a Zen 4 with 1 MB,
// int8: 64 rows 10,350 tokens/s, 128 10,300, 256 9,750, 512 9,760.
static int count_block_rows(const wb_shape *shape, const wb_cpu *cpu) {
    const size_t l2_bytes = cpu->l2_bytes ? cpu->l2_bytes : 1 << 20;
    const size_t rows = l2_bytes / ((size_t)shape->d_ff * sizeof(float));
    return max_int(64, rows < 512 ? (int)rows : 512);
}

// Blocks of a packed batch. The weights of a layer come from memory for the first block and
// from the third-level cache for the others; more than a dozen gains nothing that can be
// measured (512 to 4,096 tokens: within 3 %) and makes the last batch to finish larger.
enum { BLOCKS_PER_BATCH = 12 };

// The batch that all runtimes are compared at (bench/): 2,600 texts of 25 tokens.
enum { CUDA_TOKEN_BUDGET = 65536 };

// How many rows and texts a batch may have, and in which blocks a layer takes them.
static void size_batches(wb_plan *plan, const wb_options *options, const wb_cpu *cpu) {
    const bool is_cuda = plan->device == WB_DEVICE_CUDA;
    const int block_rows = count_block_rows(&plan->shape, cpu);
    const int longest = plan->shape.max_length;
    plan->batch_size = options->batch_size;
    plan->padded_length = min_int(options->padded_length, longest);
    plan->token_budget = options->token_budget ? options->token_budget
                         : is_cuda             ? CUDA_TOKEN_BUDGET
                                               : BLOCKS_PER_BATCH * block_rows;
    switch (plan->packing) {
        case WB_PADDED: plan->max_rows = plan->batch_size * plan->padded_length; break;
        case WB_SORTED: plan->max_rows = plan->batch_size * longest; break;
        case WB_PACKED: plan->max_rows = max_int(plan->token_budget, longest); break;
    }
    plan->max_texts = plan->packing == WB_PACKED ? plan->max_rows : plan->batch_size;
    // Autocast casts the weights once a block, so its block is the whole batch, as in PyTorch. A
    // GPU's cache holds no block between two products, so it takes the whole batch, too.
    plan->block_rows =
        plan->spec->is_autocast || is_cuda ? plan->max_rows : min_int(plan->max_rows, block_rows);
}

// The technique that the options name, and whether their numbers make sense.
static wb_status begin_plan(wb_plan *plan, const wb_shape *shape, wb_device_kind device,
                            const wb_options *options, wb_error *err) {
    *plan = (wb_plan){.device = device, .shape = *shape};
    const char *name = options->technique ? options->technique : wb_default_options().technique;
    plan->spec = wb_technique_find(name);
    if (!plan->spec)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "no technique is called \"%.64s\", see wb_technique_at() for their names",
                       name);
    return check_options(options, err);
}

// *precision <- of the layers' matrices. fp8 uses the scales of a calibration where there are some,
// and else finds them at run time; int8 with fixed scales is nothing without them.
static wb_status decide_precision(wb_precision *precision, const wb_plan *plan,
                                  const wb_options *options, wb_error *err) {
    *precision = plan->spec->precision;
    if (options->scales) return WB_OK;
    if (*precision == WB_FP8_STATIC) *precision = WB_FP8_DYNAMIC;
    if (*precision != WB_I8_STATIC) return WB_OK;
    return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                   "i8-static needs scales: make them with wattbert quantize");
}

static wb_status complete_plan(wb_plan *plan, const wb_options *options, const wb_cpu *cpu,
                               wb_error *err) {
    wb_precision precision;
    const wb_status status = decide_precision(&precision, plan, options, err);
    if (status) return status;
    plan->attention = plan->spec->attention;
    plan->packing = plan->spec->is_packed   ? WB_PACKED
                    : options->sort_batches ? WB_SORTED
                                            : WB_PADDED;
    plan->is_last_layer_pruned = plan->spec->is_packed;
    plan->n_threads = options->n_threads ? options->n_threads : max_int(cpu->n_cores, 1);
    size_batches(plan, options, cpu);
    return list_matrices(plan, precision, err);
}

wb_status wb_plan_init(wb_plan *plan, const wb_shape *shape, const wb_options *options,
                       const wb_kernels *kernels, const wb_cpu *cpu, wb_error *err) {
    wb_status status = begin_plan(plan, shape, WB_DEVICE_CPU, options, err);
    if (!status) status = wb_technique_check(plan->spec, kernels, err);
    return status ? status : complete_plan(plan, options, cpu, err);
}

wb_status wb_plan_init_cuda(wb_plan *plan, const wb_shape *shape, const wb_options *options,
                            const wb_gpu_arithmetic *gpu, const wb_cpu *cpu, wb_error *err) {
    wb_status status = begin_plan(plan, shape, WB_DEVICE_CUDA, options, err);
    if (!status) status = wb_technique_check_cuda(plan->spec, gpu, err);
    return status ? status : complete_plan(plan, options, cpu, err);
}

void wb_plan_free(wb_plan *plan) {
    wb_free(plan->matrices);
    *plan = (wb_plan){0};
}

// ---- In words ----

const char *wb_attention_name(wb_attention_kind attention) {
    return attention == WB_ATTENTION_FLASH ? "flash" : "standard";
}

const char *wb_packing_name(wb_packing packing) {
    static const char *const names[] = {"padded", "sorted", "packed"};
    return names[packing];
}

// Cut where it does not fit; the longest list of kernels is 119 characters.
static void append_word(char *words, size_t capacity, const char *word) {
    const size_t length = strlen(words);
    snprintf(words + length, capacity - length, "%s%s", length ? " " : "", word);
}

// Do all matrices of the layers run in one precision?
static bool is_uniform(const wb_plan *plan) {
    for (int i = 1; i < wb_plan_pre_classifier(plan); i++)
        if (plan->matrices[i].precision != plan->matrices[0].precision) return false;
    return true;
}

// "bf16" where the layers agree, else "mixed (18 bf16, 8 f32)", and of the layers alone "i8-static
// (22 i8-static, 2 f32)" where calibration found some too sensitive for the technique's own.
static void describe_precision(wb_plan_words *words, const wb_plan *plan) {
    const size_t capacity = sizeof words->precision;
    const bool is_mixed = plan->spec->is_mixed;
    if (!is_mixed && is_uniform(plan)) {
        snprintf(words->precision, capacity, "%s%s", wb_precision_name(plan->matrices[0].precision),
                 plan->spec->is_autocast ? "+autocast" : "");
        return;
    }
    int counts[WB_N_PRECISIONS] = {0};
    const int n_counted = is_mixed ? plan->n_matrices : wb_plan_pre_classifier(plan);
    for (int i = 0; i < n_counted; i++) counts[plan->matrices[i].precision]++;
    size_t length = (size_t)snprintf(words->precision, capacity, "%s (",
                                     is_mixed ? "mixed" : wb_precision_name(plan->spec->precision));
    const char *separator = "";
    for (int i = WB_N_PRECISIONS - 1; i >= 0; i--) {
        if (!counts[i] || length >= capacity) continue;
        length += (size_t)snprintf(words->precision + length, capacity - length, "%s%d %s",
                                   separator, counts[i], wb_precision_name((wb_precision)i));
        separator = ", ";
    }
    if (length < capacity) snprintf(words->precision + length, capacity - length, ")");
}

// Each product's kernel once, then attention and rows.
static void describe_kernels(wb_plan_words *words, const wb_plan *plan, const wb_kernels *kernels) {
    const char *const names[WB_N_PRECISIONS] = {
        [WB_F32] = kernels->gemm_f32_name,      [WB_BF16] = kernels->gemm_bf16_name,
        [WB_F16] = kernels->gemm_f16_name,      [WB_I8_DYNAMIC] = kernels->gemm_i8_name,
        [WB_I8_STATIC] = kernels->gemm_i8_name,
    };
    bool is_used[WB_N_PRECISIONS] = {false};
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_precision precision = plan->matrices[i].precision;
        is_used[precision == WB_I8_STATIC ? WB_I8_DYNAMIC : precision] = true;  // one kernel
    }
    words->kernels[0] = 0;
    for (int i = 0; i < WB_N_PRECISIONS; i++)
        if (is_used[i] && names[i]) append_word(words->kernels, sizeof words->kernels, names[i]);
    // "attention_avx512" holds both kinds; this plan runs "attention_flash_avx512".
    char attention[64];
    snprintf(attention, sizeof attention, "attention_%s%s", wb_attention_name(plan->attention),
             kernels->attention_name + strlen("attention"));
    append_word(words->kernels, sizeof words->kernels, attention);
    append_word(words->kernels, sizeof words->kernels, kernels->rowwise_name);
}

void wb_plan_describe(wb_plan_words *words, const wb_plan *plan, const wb_kernels *kernels) {
    describe_precision(words, plan);
    words->kernels[0] = 0;
    if (kernels) describe_kernels(words, plan, kernels);
    char *rule = words->batch_rule;
    const size_t capacity = sizeof words->batch_rule;
    switch (plan->packing) {
        case WB_PADDED:
            snprintf(rule, capacity, "%d x %d tokens", plan->batch_size, plan->padded_length);
            break;
        case WB_SORTED: snprintf(rule, capacity, "%d x longest", plan->batch_size); break;
        case WB_PACKED: snprintf(rule, capacity, "%d tokens", plan->token_budget); break;
    }
}
