// SPDX-License-Identifier: Apache-2.0
// Kernels over single rows: embeddings and layer norms, a warp a row; what follows a product, a
// block a row. A row is read once and kept in registers, so each kernel moves the least
// bytes there are: they run at the memory's pace, and the arithmetic is free.
#include "cuda/activate.cuh"

enum { WARPS_PER_BLOCK = 4, MOST_FINISH_THREADS = 512 };

// Row of a warp's lane: vector i has columns [8 (lane + 32 i), + 8).
__device__ static int column_of(int lane, int i) {
    return 8 * (lane + 32 * i);
}

// *absmax -> the multiplier of a row that is quantized by its own maximum; writes its scale.
__device__ static float scale_row(const wb_narrow &narrow, int row, float absmax, bool is_writer) {
    const float most = most_of(narrow.cell);
    const bool is_zero = !(absmax >= WB_LEAST_ABSMAX);
    if (is_writer) narrow.row_scale[row] = is_zero ? 0.0f : absmax / most;
    return is_zero ? 0.0f : most / absmax;
}

// The second half of every layer norm: z[V][8] of a lane, a warp's row in registers, becomes
// gamma (z - mean) / sqrt(var + eps) + beta and is written as x and as narrow says.
template <typename X, int V>
__device__ static void norm_row(float z[V][8], const float *gamma, const float *beta, X *x,
                                const wb_narrow &narrow, int row, int d, int lane) {
    float sum = 0.0f;
    for (int i = 0; i < V; i++)
        for (int j = 0; j < 8; j++) sum += z[i][j];
    const float mean = warp_sum(sum) / (float)d;
    float square = 0.0f;
    for (int i = 0; i < V; i++) {
        if (column_of(lane, i) >= d) continue;
        for (int j = 0; j < 8; j++) square += (z[i][j] - mean) * (z[i][j] - mean);
    }
    const float inverse = rsqrtf(warp_sum(square) / (float)d + WB_NORM_EPSILON);
    float absmax = 0.0f;
    for (int i = 0; i < V; i++) {
        const int column = column_of(lane, i);
        if (column >= d) continue;
        float g[8], b[8];
        load8(g, gamma + column);
        load8(b, beta + column);
        for (int j = 0; j < 8; j++) {
            z[i][j] = (z[i][j] - mean) * inverse * g[j] + b[j];
            absmax = fmaxf(absmax, fabsf(z[i][j]));
        }
        store8(x + (size_t)row * d + column, z[i]);
    }
    if (!narrow.rows) return;
    float multiplier = narrow.multiplier;
    if (narrow.row_scale) multiplier = scale_row(narrow, row, warp_max(absmax), lane == 0);
    for (int i = 0; i < V; i++) {
        const int column = column_of(lane, i);
        if (column < d) store_narrow8(narrow, row, column, z[i], multiplier);
    }
}

template <typename X, int V>
__global__ static void embed_rows(const wb_embed_args args) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * WARPS_PER_BLOCK + threadIdx.x / 32;
    if (row >= args.m) return;
    let_successor_launch();
    wait_for_predecessor();
    const X *word = (const X *)args.words + (size_t)args.ids[row] * args.d;
    const X *position = (const X *)args.positions + (size_t)args.position[row] * args.d;
    float z[V][8] = {};
    for (int i = 0; i < V; i++) {
        const int column = column_of(lane, i);
        if (column >= args.d) continue;
        float p[8];
        load8(z[i], word + column);
        load8(p, position + column);
        for (int j = 0; j < 8; j++) z[i][j] += p[j];
    }
    norm_row<X, V>(z, args.gamma, args.beta, (X *)args.x, args.narrow, row, args.d, lane);
}

template <typename A, typename X, int V>
__global__ static void norm_rows(const wb_norm_args args) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * WARPS_PER_BLOCK + threadIdx.x / 32;
    if (row >= args.m) return;
    let_successor_launch();
    wait_for_predecessor();
    const A *a = (const A *)args.a + (size_t)row * args.d;
    const X *b = (const X *)args.b + (size_t)row * args.d;
    float z[V][8] = {}, r[V][8] = {};
    for (int i = 0; i < V; i++) {
        const int column = column_of(lane, i);
        if (column >= args.d) continue;
        load8(z[i], a + column);
        if (args.b) load8(r[i], b + column);
    }
    for (int i = 0; i < V; i++)
        for (int j = 0; j < 8; j++) z[i][j] += r[i][j];
    norm_row<X, V>(z, args.gamma, args.beta, (X *)args.x, args.narrow, row, args.d, lane);
}

// ---- After a product ----

// The largest of a block's values; every thread gets it.
__device__ static float block_max(float x) {
    __shared__ float of_warp[MOST_FINISH_THREADS / 32];
    const int warp = threadIdx.x / 32, n_warps = blockDim.x / 32;
    x = warp_max(x);
    if (threadIdx.x % 32 == 0) of_warp[warp] = x;
    __syncthreads();
    x = of_warp[0];
    for (int i = 1; i < n_warps; i++) x = fmaxf(x, of_warp[i]);
    return x;
}

// A thread has V vectors of a row: one, where that makes no more than MOST_FINISH_THREADS of them.
template <typename S, int V>
__global__ static void finish_rows(const wb_finish_args args) {
    const int row = blockIdx.x, n = args.n;
    let_successor_launch();
    wait_for_predecessor();
    const S *sums = (const S *)args.sums + (size_t)row * args.ld_sums;
    const float scale = args.row_scale ? args.row_scale[row] : args.x_scale;
    float y[V][8];
    float absmax = 0.0f;
#pragma unroll
    for (int i = 0; i < V; i++) {
        const int column = 8 * (int)(threadIdx.x + blockDim.x * i);
        if (column >= n) continue;
        float of_column[8], bias[8] = {};
        load8(y[i], sums + column);
        if (args.column_scale)
            load8(of_column, args.column_scale + column);
        else
            for (int j = 0; j < 8; j++) of_column[j] = 1.0f;
        if (args.bias) load8(bias, args.bias + column);
        for (int j = 0; j < 8; j++) {
            y[i][j] = activate(fmaf(y[i][j], scale * of_column[j], bias[j]), args.activation);
            absmax = fmaxf(absmax, fabsf(y[i][j]));
        }
    }
    float multiplier = args.narrow.multiplier;
    if (args.narrow.row_scale)
        multiplier = scale_row(args.narrow, row, block_max(absmax), threadIdx.x == 0);
#pragma unroll
    for (int i = 0; i < V; i++) {
        const int column = 8 * (int)(threadIdx.x + blockDim.x * i);
        if (column < n) store_narrow8(args.narrow, row, column, y[i], multiplier);
    }
}

// ---- Launching: the number of vectors a thread holds is a constant of the kernel ----

// Calls the member of a family of kernels that holds n_vectors a thread.
template <typename Args>
static int launch(void (*const kernels[5])(const Args), int n_vectors, int n_blocks, int n_threads,
                  const Args &args, cudaStream_t stream) {
    static const int capacities[5] = {1, 2, 3, 4, 8};
    for (int i = 0; i < 5; i++) {
        if (n_vectors > capacities[i]) continue;
        return launch_after(kernels[i], n_blocks, n_threads, 0, stream, args);
    }
    return cudaErrorInvalidValue;
}

static int blocks_of_warps(int m) {
    return (m + WARPS_PER_BLOCK - 1) / WARPS_PER_BLOCK;
}

template <typename X>
static int launch_embed(const wb_embed_args &args, cudaStream_t stream) {
    static void (*const kernels[])(const wb_embed_args) = {
        embed_rows<X, 1>, embed_rows<X, 2>, embed_rows<X, 3>, embed_rows<X, 4>, embed_rows<X, 8>};
    return launch(kernels, (args.d + 255) / 256, blocks_of_warps(args.m), 32 * WARPS_PER_BLOCK,
                  args, stream);
}

unsigned wb_launch_embed(const wb_embed_args *args, wb_stream stream) {
    switch (args->cell) {
        case WB_CELL_F32: return launch_embed<float>(*args, stream);
        case WB_CELL_F16: return launch_embed<__half>(*args, stream);
        case WB_CELL_BF16: return launch_embed<__nv_bfloat16>(*args, stream);
        default: return cudaErrorInvalidValue;
    }
}

template <typename A, typename X>
static int launch_norm(const wb_norm_args &args, cudaStream_t stream) {
    static void (*const kernels[])(const wb_norm_args) = {norm_rows<A, X, 1>, norm_rows<A, X, 2>,
                                                          norm_rows<A, X, 3>, norm_rows<A, X, 4>,
                                                          norm_rows<A, X, 8>};
    return launch(kernels, (args.d + 255) / 256, blocks_of_warps(args.m), 32 * WARPS_PER_BLOCK,
                  args, stream);
}

// x is in the cells of a, or in f32: autocast keeps it so.
unsigned wb_launch_norm(const wb_norm_args *args, wb_stream stream) {
    const bool is_f32 = args->x_cell == WB_CELL_F32;
    if (!is_f32 && args->x_cell != args->a_cell) return cudaErrorInvalidValue;
    switch (args->a_cell) {
        case WB_CELL_F32: return launch_norm<float, float>(*args, stream);
        case WB_CELL_F16:
            return is_f32 ? launch_norm<__half, float>(*args, stream)
                          : launch_norm<__half, __half>(*args, stream);
        case WB_CELL_BF16:
            return is_f32 ? launch_norm<__nv_bfloat16, float>(*args, stream)
                          : launch_norm<__nv_bfloat16, __nv_bfloat16>(*args, stream);
        default: return cudaErrorInvalidValue;
    }
}

template <typename S>
static int launch_finish(const wb_finish_args &args, cudaStream_t stream) {
    const int n_vectors = (args.n + 7) / 8;
    if (args.n > WB_CUDA_MOST_WIDTH) return cudaErrorInvalidValue;
    const int per_thread = n_vectors <= MOST_FINISH_THREADS ? 1 : 2;
    const int n_threads = ((n_vectors + per_thread - 1) / per_thread + 31) / 32 * 32;
    return launch_after(per_thread == 1 ? finish_rows<S, 1> : finish_rows<S, 2>, (unsigned)args.m,
                        (unsigned)n_threads, 0, stream, args);
}

unsigned wb_launch_finish(const wb_finish_args *args, wb_stream stream) {
    switch (args->cell) {
        case WB_CELL_F32: return launch_finish<float>(*args, stream);
        case WB_CELL_F16: return launch_finish<__half>(*args, stream);
        case WB_CELL_BF16: return launch_finish<__nv_bfloat16>(*args, stream);
        case WB_CELL_I32: return launch_finish<int32_t>(*args, stream);
        default: return cudaErrorInvalidValue;
    }
}
