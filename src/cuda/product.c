// SPDX-License-Identifier: Apache-2.0
// cuBLASLt sees columns where we see rows: our y[m, n] = x[m, k] . w[n, k]^T is its D[n, m] =
// A^T B with A = w as [k, n] and B = x as [k, m], the one form that fp8 and int8 have.
#include "cuda/product.h"

#include <cuda_runtime_api.h>
#include <string.h>

#include "cuda/cublaslt.h"
#include "cuda/launch.h"

enum {
    MOST_CANDIDATES = 16,
    TIMED_ROUNDS = 3,   // the fastest counts
    WORKSPACE_MB = 64,  // 32 is NVIDIA's advice for Hopper; more lets it split k for few rows
    OWN_LEAST_ROWS = 256,
};
static const float TIMED_US = 300.0f;  // a round lasts about so long

// What decides which algorithms can run a product and how fast.
typedef struct shape_key {
    int n, k, ld_y, m_class;
    wb_cell cell, y_cell, side_cell;
    wb_activation activation;
    bool is_tf32, has_bias, has_residual, is_scale_per_row, has_y_scale, is_library_only;
} shape_key;

// What computes a product: our own kernel, or the library with one of its algorithms.
typedef struct way {
    bool is_own;
    cublasLtMatmulAlgo_t algo;
} way;

typedef struct choice {
    shape_key key;
    bool is_possible;
    way way;
} choice;

struct wb_products {
    wb_cublaslt lt;
    void *workspace;
    cudaEvent_t begin, end;
    choice *choices;
    size_t n_choices, capacity;
    bool is_hopper;  // what our own kernel needs
};

// One product as the library wants it described, on the caller's stack.
typedef struct description {
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t a, b, c, d;
    float one, beta;
    int32_t integer_one, integer_beta;
    bool is_integer;
} description;

static cudaDataType_t type_of(wb_cell cell) {
    switch (cell) {
        case WB_CELL_F32: return CUDA_R_32F;
        case WB_CELL_F16: return CUDA_R_16F;
        case WB_CELL_BF16: return CUDA_R_16BF;
        case WB_CELL_FP8: return CUDA_R_8F_E4M3;
        case WB_CELL_I8: return CUDA_R_8I;
        default: return CUDA_R_32I;
    }
}

// Rows within a quarter of an octave share an algorithm.
static int class_of(int m) {
    int shift = 0;
    while (m >> shift > 7) shift++;
    return (m >> shift) | shift << 8;
}

static shape_key key_of(const wb_gpu_product *p) {
    shape_key key;
    memset(&key, 0, sizeof key);  // compared as bytes
    key.n = p->n;
    key.k = p->k;
    key.ld_y = p->ld_y;
    key.m_class = class_of(p->m);
    key.cell = p->cell;
    key.y_cell = p->y_cell;
    key.side_cell = p->side_cell;
    key.activation = p->activation;
    key.is_tf32 = p->is_tf32;
    key.has_bias = p->bias != NULL;
    key.has_residual = p->residual != NULL;
    key.is_scale_per_row = p->is_scale_per_row;
    key.has_y_scale = p->y_scale != NULL;
    key.is_library_only = p->is_library_only;
    return key;
}

static cublasStatus_t set(const wb_products *s, description *t,
                          cublasLtMatmulDescAttributes_t attribute, const void *value,
                          size_t size) {
    return s->lt.desc_set(&t->operation, attribute, value, size);
}

static cublasStatus_t set_int(const wb_products *s, description *t,
                              cublasLtMatmulDescAttributes_t attribute, int32_t value) {
    return set(s, t, attribute, &value, sizeof value);
}

static cublasStatus_t set_pointer(const wb_products *s, description *t,
                                  cublasLtMatmulDescAttributes_t attribute, const void *value) {
    return value ? set(s, t, attribute, &value, sizeof value) : CUBLAS_STATUS_SUCCESS;
}

// Bias and activation.
static cublasStatus_t describe_epilogue(const wb_products *s, description *t,
                                        const wb_gpu_product *p) {
    int32_t epilogue = p->activation == WB_GELU   ? CUBLASLT_EPILOGUE_GELU
                       : p->activation == WB_RELU ? CUBLASLT_EPILOGUE_RELU
                                                  : CUBLASLT_EPILOGUE_DEFAULT;
    if (p->bias) {
        // The default's number is a bit that the combined forms do not have.
        epilogue =
            p->activation == WB_LINEAR ? CUBLASLT_EPILOGUE_BIAS : epilogue | CUBLASLT_EPILOGUE_BIAS;
        cublasStatus_t code = set_pointer(s, t, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p->bias);
        if (!code)
            code =
                set_int(s, t, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, (int32_t)type_of(p->side_cell));
        if (code) return code;
    }
    return set_int(s, t, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
}

// fp8: sums of each few products in the tensor core's own 22 bits, as every user of fp8 on Hopper
// has them; full f32 sums take about twice the time.
static cublasStatus_t describe_scales(const wb_products *s, description *t,
                                      const wb_gpu_product *p) {
    if (p->cell != WB_CELL_FP8) return CUBLAS_STATUS_SUCCESS;
    const int8_t fast = 1;
    cublasStatus_t code = set(s, t, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast);
    const int32_t mode = p->is_scale_per_row ? CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F
                                             : CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
    if (!code) code = set_int(s, t, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
    if (!code) code = set_int(s, t, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
    if (!code) code = set_pointer(s, t, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p->w_scale);
    if (!code) code = set_pointer(s, t, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, p->x_scale);
    if (!code) code = set_pointer(s, t, CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, p->y_scale);
    return code;
}

static cublasStatus_t describe_layouts(const wb_products *s, description *t,
                                       const wb_gpu_product *p) {
    const cudaDataType_t in = type_of(p->cell), out = type_of(p->y_cell);
    const cudaDataType_t c = p->y_cell == WB_CELL_FP8 ? type_of(p->side_cell) : out;
    const uint64_t m = (uint64_t)p->m, n = (uint64_t)p->n, k = (uint64_t)p->k;
    cublasStatus_t code = s->lt.layout_init(&t->a, sizeof t->a, in, k, n, p->k);
    if (!code) code = s->lt.layout_init(&t->b, sizeof t->b, in, k, m, p->k);
    if (!code) code = s->lt.layout_init(&t->c, sizeof t->c, c, n, m, p->ld_y);
    if (!code) code = s->lt.layout_init(&t->d, sizeof t->d, out, n, m, p->ld_y);
    return code;
}

static cublasStatus_t describe(const wb_products *s, description *t, const wb_gpu_product *p) {
    memset(t, 0, sizeof *t);
    t->is_integer = p->cell == WB_CELL_I8;
    t->one = 1.0f;
    t->beta = p->residual ? 1.0f : 0.0f;
    t->integer_one = 1;
    const cublasComputeType_t compute = t->is_integer ? CUBLAS_COMPUTE_32I
                                        : p->is_tf32  ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                      : CUBLAS_COMPUTE_32F;
    cublasStatus_t code = s->lt.desc_init(&t->operation, sizeof t->operation, compute,
                                          t->is_integer ? CUDA_R_32I : CUDA_R_32F);
    if (!code) code = set_int(s, t, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (!code) code = describe_epilogue(s, t, p);
    if (!code) code = describe_scales(s, t, p);
    if (!code) code = describe_layouts(s, t, p);
    return code;
}

static cublasStatus_t multiply(const wb_products *s, description *t, const wb_gpu_product *p,
                               const way *by, cudaStream_t stream) {
    if (by->is_own)
        return wb_launch_product_fp8(p, stream) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                : CUBLAS_STATUS_SUCCESS;
    const void *alpha = t->is_integer ? (const void *)&t->integer_one : &t->one;
    const void *beta = t->is_integer ? (const void *)&t->integer_beta : &t->beta;
    // C may be D's memory only where it has D's type; nothing is read of it without a residual.
    const void *c = p->residual || p->y_cell == WB_CELL_FP8 ? p->residual : p->y;
    return s->lt.matmul(s->lt.handle, &t->operation, alpha, p->w, &t->a, p->x, &t->b, beta, c,
                        &t->c, p->y, &t->d, &by->algo, s->workspace, (size_t)WORKSPACE_MB << 20,
                        stream);
}

// ---- Choosing ----

// *us <- the time of one run, over n of them; negative where the algorithm refuses.
static wb_status time_runs(const wb_products *s, description *t, const wb_gpu_product *p,
                           const way *by, int n, cudaStream_t stream, float *us, wb_error *err) {
    *us = -1.0f;
    cudaError_t code = cudaEventRecord(s->begin, stream);
    for (int i = 0; i < n && !code; i++)
        if (multiply(s, t, p, by, stream)) return WB_OK;
    if (!code) code = cudaEventRecord(s->end, stream);
    if (!code) code = cudaEventSynchronize(s->end);
    float ms = 0.0f;
    if (!code) code = cudaEventElapsedTime(&ms, s->begin, s->end);
    if (code) return wb_device_check(code, "timing a matrix product", err);
    *us = ms * 1000.0f / (float)n;
    return WB_OK;
}

// *us <- the fastest of some rounds, each long enough to be timed.
static wb_status time_way(const wb_products *s, description *t, const wb_gpu_product *p,
                          const way *by, cudaStream_t stream, float *us, wb_error *err) {
    wb_status status = time_runs(s, t, p, by, 1, stream, us, err);  // warms up, too
    if (status || *us < 0.0f) return status;
    const float fit = TIMED_US / (*us + 1.0f);
    const int n = fit < 2.0f ? 2 : fit > 50.0f ? 50 : (int)fit;
    for (int round = 0; round < TIMED_ROUNDS; round++) {
        float now;
        status = time_runs(s, t, p, by, n, stream, &now, err);
        if (status) return status;
        if (round == 0 || now < *us) *us = now;
    }
    return WB_OK;
}

bool wb_products_has_own(const wb_products *s, const wb_gpu_product *p) {
    return s->is_hopper && !p->is_library_only && p->m >= OWN_LEAST_ROWS && wb_product_fp8_takes(p);
}

// ways[MOST_CANDIDATES + 1] <- the library's guesses and our own kernel; returns how many.
static int find_ways(const wb_products *s, way *ways, description *t, const wb_gpu_product *p) {
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t results[MOST_CANDIDATES];
    const size_t workspace_bytes = (size_t)WORKSPACE_MB << 20;
    int n_found = 0, n_ways = 0;
    cublasStatus_t code = describe(s, t, p);
    if (!code) code = s->lt.preference_init(&preference, sizeof preference);
    if (!code)
        code = s->lt.preference_set(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                    &workspace_bytes, sizeof workspace_bytes);
    if (!code)
        code = s->lt.heuristic(s->lt.handle, &t->operation, &t->a, &t->b, &t->c, &t->d, &preference,
                               MOST_CANDIDATES, results, &n_found);
    if (code) n_found = 0;
    for (int i = 0; i < n_found; i++)
        if (!results[i].state) ways[n_ways++] = (way){.algo = results[i].algo};
    if (wb_products_has_own(s, p)) ways[n_ways++] = (way){.is_own = true};
    return n_ways;
}

// *c <- the fastest way; none is no failure.
static wb_status choose(const wb_products *s, choice *c, const wb_gpu_product *p,
                        cudaStream_t stream, wb_error *err) {
    description t;
    way ways[MOST_CANDIDATES + 1];
    const int n_ways = find_ways(s, ways, &t, p);
    float best_us = 0.0f;
    for (int i = 0; i < n_ways; i++) {
        float us;
        const wb_status status = time_way(s, &t, p, &ways[i], stream, &us, err);
        if (status) return status;
        if (us < 0.0f || (c->is_possible && us >= best_us)) continue;
        c->is_possible = true;
        c->way = ways[i];
        best_us = us;
    }
    return WB_OK;
}

static const choice *find(const wb_products *s, const shape_key *key) {
    for (size_t i = 0; i < s->n_choices; i++)
        if (!memcmp(&s->choices[i].key, key, sizeof *key)) return &s->choices[i];
    return NULL;
}

wb_status wb_products_prepare(wb_products *s, const wb_gpu_product *p, wb_stream stream,
                              bool *is_possible, wb_error *err) {
    const shape_key key = key_of(p);
    const choice *known = find(s, &key);
    if (known) {
        *is_possible = known->is_possible;
        return WB_OK;
    }
    if (s->n_choices == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 64;
        choice *grown = wb_realloc_array(s->choices, s->capacity, capacity, sizeof *grown);
        if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "list of matrix products");
        s->choices = grown;
        s->capacity = capacity;
    }
    choice c = {.key = key};
    memcpy(&c.key, &key, sizeof key);
    const wb_status status = choose(s, &c, p, stream, err);
    if (status) return status;
    memcpy(&s->choices[s->n_choices++], &c, sizeof c);
    *is_possible = c.is_possible;
    return WB_OK;
}

wb_status wb_products_run(wb_products *s, const wb_gpu_product *p, wb_stream stream,
                          wb_error *err) {
    bool is_possible = false;
    const wb_status status = wb_products_prepare(s, p, stream, &is_possible, err);
    if (status) return status;
    const shape_key key = key_of(p);
    const choice *c = find(s, &key);
    cublasStatus_t code = CUBLAS_STATUS_NOT_SUPPORTED;
    description t;
    if (c && c->is_possible) code = c->way.is_own ? CUBLAS_STATUS_SUCCESS : describe(s, &t, p);
    if (c && c->is_possible && !code) code = multiply(s, &t, p, &c->way, stream);
    if (code)
        return wb_fail(err, WB_ERR_DEVICE, 0, "matrix product %d x %d x %d: cuBLASLt says \"%s\"",
                       p->m, p->n, p->k, s->lt.status_string(code));
    return WB_OK;
}

// ---- The library ----

static wb_status probe_hopper(wb_products *s, wb_error *err) {
    int device = 0, major = 0, minor = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (!code) code = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    s->is_hopper = major == 9 && minor == 0;
    return wb_device_check(code, "reading what the GPU is", err);
}

wb_status wb_products_open(wb_products **out, size_t *total, wb_error *err) {
    *out = NULL;
    wb_products *s = wb_alloc_zeroed(sizeof *s);
    if (!s) return wb_fail(err, WB_ERR_MEMORY, 0, "matrix products");
    wb_status status = wb_cublaslt_open(&s->lt, err);
    if (!status) status = probe_hopper(s, err);
    if (!status)
        status = wb_device_alloc(&s->workspace, (size_t)WORKSPACE_MB << 20,
                                 "workspace of matrix products", total, err);
    if (!status) status = wb_device_check(cudaEventCreate(&s->begin), "making an event", err);
    if (!status) status = wb_device_check(cudaEventCreate(&s->end), "making an event", err);
    if (status) {
        wb_products_close(s);
        return status;
    }
    *out = s;
    return WB_OK;
}

void wb_products_close(wb_products *s) {
    if (!s) return;
    if (s->begin) (void)cudaEventDestroy(s->begin);
    if (s->end) (void)cudaEventDestroy(s->end);
    wb_device_free(s->workspace);
    wb_cublaslt_close(&s->lt);
    wb_free(s->choices);
    wb_free(s);
}
