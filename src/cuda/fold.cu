// SPDX-License-Identifier: Apache-2.0
// Norms into the products that follow them, once, when weights are uploaded.
#include "cuda/cell.cuh"

enum { WARPS_PER_BLOCK = 4 };

// One warp a row of w.
template <typename T>
__global__ static void fold(const wb_fold_args args) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * WARPS_PER_BLOCK + threadIdx.x / 32;
    if (row >= args.n) return;
    float sum = 0.0f, bias = 0.0f;
    for (int i = lane; i < args.k; i += 32) {
        const float w = args.w[(size_t)row * args.k + i];
        T *cell = (T *)args.folded + (size_t)row * args.k + i;
        store1(cell, w * args.gamma[i]);
        sum += load1(cell);
        bias += w * args.beta[i];
    }
    sum = warp_sum(sum), bias = warp_sum(bias);
    if (lane == 0) args.sums[row] = sum, args.folded_bias[row] = args.bias[row] + bias;
}

unsigned wb_launch_fold(const wb_fold_args *args, wb_stream stream) {
    const dim3 grid((unsigned)((args->n + WARPS_PER_BLOCK - 1) / WARPS_PER_BLOCK));
    const dim3 block(32 * WARPS_PER_BLOCK);
    if (args->cell == WB_CELL_F16)
        fold<__half><<<grid, block, 0, stream>>>(*args);
    else
        fold<__nv_bfloat16><<<grid, block, 0, stream>>>(*args);
    return cudaGetLastError();
}
