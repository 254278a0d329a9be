// SPDX-License-Identifier: Apache-2.0
// Kernels that move rows, change a cell type, and the last few dot products.
#include "cuda/cell.cuh"

enum { GATHER_THREADS = 64, CAST_THREADS = 256, WARPS_PER_BLOCK = 4 };

__global__ static void gather_rows(const wb_gather_args args) {
    const int i = blockIdx.x;
    let_successor_launch();
    wait_for_predecessor();
    const size_t first_row = (size_t)args.texts[2 * i];
    for (int p = 0; p < 3; p++) {
        const wb_gather_part &part = args.parts[p];
        const int n_words = part.row_bytes / 4;
        const uint32_t *from = (const uint32_t *)part.from + first_row * n_words;
        uint32_t *to = (uint32_t *)part.to + (size_t)i * n_words;
        for (int j = threadIdx.x; j < n_words; j += GATHER_THREADS) to[j] = from[j];
    }
}

unsigned wb_launch_gather(const wb_gather_args *args, wb_stream stream) {
    return launch_after(gather_rows, (unsigned)args->m, GATHER_THREADS, 0, stream, *args);
}

// One block: a few KB from the host's memory, sooner than a copy's own launch would bring them.
__global__ static void copy_block(uint4 *to, const uint4 *from, int n) {
    let_successor_launch();
    wait_for_predecessor();
    for (int i = threadIdx.x; i < n; i += CAST_THREADS) to[i] = from[i];
}

unsigned wb_launch_copy(void *to, const void *from, size_t n_bytes, wb_stream stream) {
    return launch_after(copy_block, 1, CAST_THREADS, 0, stream, (uint4 *)to, (const uint4 *)from,
                        (int)(n_bytes / sizeof(uint4)));
}

template <typename To, typename From>
__global__ static void cast_cells(To *to, const From *from, size_t n) {
    const size_t i = 8 * ((size_t)blockIdx.x * CAST_THREADS + threadIdx.x);
    if (i >= n) return;
    let_successor_launch();
    wait_for_predecessor();
    float x[8];
    load8(x, from + i);
    store8(to + i, x);
}

template <typename To, typename From>
static int launch_cast(void *to, const void *from, size_t n, cudaStream_t stream) {
    const size_t n_blocks = (n / 8 + CAST_THREADS - 1) / CAST_THREADS;
    return launch_after(cast_cells<To, From>, (unsigned)n_blocks, CAST_THREADS, 0, stream, (To *)to,
                        (const From *)from, n);
}

template <typename From>
static int launch_cast_from(void *to, wb_cell to_cell, const void *from, size_t n,
                            cudaStream_t stream) {
    switch (to_cell) {
        case WB_CELL_F32: return launch_cast<float, From>(to, from, n, stream);
        case WB_CELL_F16: return launch_cast<__half, From>(to, from, n, stream);
        case WB_CELL_BF16: return launch_cast<__nv_bfloat16, From>(to, from, n, stream);
        default: return cudaErrorInvalidValue;
    }
}

unsigned wb_launch_cast(void *to, wb_cell to_cell, const void *from, wb_cell from_cell, size_t n,
                        wb_stream stream) {
    switch (from_cell) {
        case WB_CELL_F32: return launch_cast_from<float>(to, to_cell, from, n, stream);
        case WB_CELL_F16: return launch_cast_from<__half>(to, to_cell, from, n, stream);
        case WB_CELL_BF16: return launch_cast_from<__nv_bfloat16>(to, to_cell, from, n, stream);
        default: return cudaErrorInvalidValue;
    }
}

// A warp a text: a few labels of d products each are too little for a library call.
__global__ static void classify_rows(const wb_classify_args args) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * WARPS_PER_BLOCK + threadIdx.x / 32;
    if (row >= args.m) return;
    let_successor_launch();
    wait_for_predecessor();
    const float *x = args.x + (size_t)row * args.d;
    for (int label = 0; label < args.n_labels; label++) {
        const float *w = args.w + (size_t)label * args.d;
        float sum = 0.0f;
        for (int k = 4 * lane; k < args.d; k += 128) {
            const float4 a = *(const float4 *)(x + k), b = *(const float4 *)(w + k);
            sum += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
        }
        sum = warp_sum(sum);
        if (lane == 0)
            store_for_host(args.logits + (size_t)row * args.n_labels + label,
                           sum + args.bias[label]);
    }
}

unsigned wb_launch_classify(const wb_classify_args *args, wb_stream stream) {
    const int n_blocks = (args->m + WARPS_PER_BLOCK - 1) / WARPS_PER_BLOCK;
    return launch_after(classify_rows, (unsigned)n_blocks, 32 * WARPS_PER_BLOCK, 0, stream, *args);
}
