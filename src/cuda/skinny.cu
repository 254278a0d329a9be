// SPDX-License-Identifier: Apache-2.0
// Products of few rows, up to 64: a single text, or the first rows of some. The weights are read
// once from memory or cache and that is all the time there should be, so the work is cut by columns
// over all multiprocessors and by k over the warps of a block, nothing is staged, and everything
// after the sums is done here: bias, gelu in its erf form, residual.
//
// mma.m16n8k16 does not care which k a lane holds as long as both sides agree. So that each lane
// loads 16 bytes of a row at once, of 32 neighbouring k lane group q = lane % 4 has [8 q, 8 q + 8):
//
//     first product of the two:  8 q + 0, 1 as its low pair, 8 q + 2, 3 as its high pair
//     second:                    8 q + 4, 5                  8 q + 6, 7
#include "cuda/activate.cuh"
#include "cuda/tile.cuh"

enum { WARPS = 8, COLUMNS = 16 };

// The sums of one warp: rows [0, 16 M), 16 columns, its share of k.
template <typename T, int M>
__device__ static void multiply_share(float sums[M][2][4], const wb_skinny_args &args, int column,
                                      int warp, int lane) {
    const int q = lane % 4, g = lane / 4, k = args.k;
    const T *x = (const T *)args.x + 8 * q, *w = (const T *)args.w + 8 * q;
#pragma unroll 4
    for (int at = 32 * warp; at < k; at += 32 * WARPS) {
        uint4 b[2], a[M][2];
        for (int n = 0; n < 2; n++)
            b[n] = *(const uint4 *)(w + (size_t)(column + 8 * n + g) * k + at);
        for (int m = 0; m < M; m++)
            for (int half = 0; half < 2; half++) {
                const int row = 16 * m + 8 * half + g;
                a[m][half] = make_uint4(0, 0, 0, 0);
                if (row < args.m) a[m][half] = *(const uint4 *)(x + (size_t)row * k + at);
            }
        for (int m = 0; m < M; m++) {
            const uint32_t first[4] = {a[m][0].x, a[m][1].x, a[m][0].y, a[m][1].y};
            const uint32_t second[4] = {a[m][0].z, a[m][1].z, a[m][0].w, a[m][1].w};
            for (int n = 0; n < 2; n++) {
                const uint32_t low[2] = {b[n].x, b[n].y}, high[2] = {b[n].z, b[n].w};
                multiply(sums[m][n], first, low, T());
                multiply(sums[m][n], second, high, T());
            }
        }
    }
}

template <typename T, int M>
__global__ static void __launch_bounds__(32 * WARPS)
    skinny(const __grid_constant__ wb_skinny_args args) {
    __shared__ float shared[WARPS][16 * M][COLUMNS + 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, column = blockIdx.x * COLUMNS;
    wait_for_predecessor();
    float sums[M][2][4] = {};
    multiply_share<T, M>(sums, args, column, warp, lane);
    for (int m = 0; m < M; m++)
        for (int n = 0; n < 2; n++)
            for (int i = 0; i < 4; i++)
                shared[warp][16 * m + lane / 4 + 8 * (i / 2)][8 * n + 2 * (lane % 4) + i % 2] =
                    sums[m][n][i];
    __syncthreads();
    for (int i = threadIdx.x; i < 16 * M * COLUMNS; i += 32 * WARPS) {
        const int row = i / COLUMNS, c = i % COLUMNS;
        if (row >= args.m) break;
        float sum = args.bias[column + c];
        for (int k = 0; k < WARPS; k++) sum += shared[k][row][c];
        const size_t at = (size_t)row * args.ld_y + column + c;
        if (args.residual) sum += load1((const T *)args.residual + at);
        sum = activate(sum, args.activation);
        if (args.y_cell == WB_CELL_F32)
            ((float *)args.y)[at] = sum;
        else
            store1((T *)args.y + at, sum);
    }
}

template <typename T>
static int launch_skinny(const wb_skinny_args &args, cudaStream_t stream) {
    void (*const kernel)(const wb_skinny_args) = args.m <= 16   ? skinny<T, 1>
                                                 : args.m <= 32 ? skinny<T, 2>
                                                                : skinny<T, 4>;
    return launch_after(kernel, args.n / COLUMNS, 32 * WARPS, 0, stream, args);
}

bool wb_skinny_takes(const wb_skinny_args *args) {
    const bool is_f16 = args->cell == WB_CELL_F16, is_bf16 = args->cell == WB_CELL_BF16;
    return (is_f16 || is_bf16) && args->m <= 64 && args->n % COLUMNS == 0 && args->k % 32 == 0 &&
           (args->y_cell == args->cell || (args->y_cell == WB_CELL_F32 && !args->residual));
}

int wb_launch_skinny(const wb_skinny_args *args, wb_stream stream) {
    if (!wb_skinny_takes(args)) return cudaErrorInvalidValue;
    return args->cell == WB_CELL_F16 ? launch_skinny<__half>(*args, stream)
                                     : launch_skinny<__nv_bfloat16>(*args, stream);
}
