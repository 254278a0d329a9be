// SPDX-License-Identifier: Apache-2.0
// Matrices as whole.cu reads them, once, when weights are uploaded: each lane's share of a product
// side by side, and norms folded into the products that follow them.
#include "cuda/cell.cuh"

enum { WARPS_PER_BLOCK = 4, UNIT = 8, STEP = 32 };

// Where cell (row, column) goes, in cells.
__device__ static size_t place_of(int row, int column, int k, bool is_in_order) {
    const int at = column % STEP;
    const int quad = is_in_order ? at / 2 % 4 : at / 4 % 4;
    const int cell = is_in_order ? at / 8 * 2 + at % 2 : at / 16 * 4 + at % 4;
    const size_t step = (size_t)(row / UNIT) * (k / STEP) + column / STEP;
    return step * UNIT * STEP + (row % UNIT * 4 + quad) * 8 + cell;
}

// One warp a row of w.
template <typename T>
__global__ static void fold(const wb_fold_args args) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * WARPS_PER_BLOCK + threadIdx.x / 32;
    if (row >= args.n) return;
    float sum = 0.0f, bias = 0.0f;
    for (int i = lane; i < args.k; i += 32) {
        const float w = args.w[(size_t)row * args.k + i];
        T *cell = (T *)args.units + place_of(row, i, args.k, args.is_in_order);
        store1(cell, args.gamma ? w * args.gamma[i] : w);
        sum += load1(cell);
        if (args.gamma) bias += w * args.beta[i];
    }
    if (!args.gamma) return;
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
