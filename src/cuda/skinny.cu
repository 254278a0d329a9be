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

// AHEAD steps of a warp's weights are on their way before the predecessor's rows are there: they
// depend on nothing.
enum { COLUMNS = 16, AHEAD = 3 };

// The weights of one step: 32 k of a lane's two rows of w.
template <typename T>
__device__ static void load_weights(uint4 b[2], const T *w, size_t k, int at) {
    b[0] = b[1] = make_uint4(0, 0, 0, 0);
    if (at >= (int)k) return;
    b[0] = __ldg((const uint4 *)(w + at));
    b[1] = __ldg((const uint4 *)(w + 8 * k + at));
}

// sums += rows [0, 16 M) of x times the step's weights.
template <typename T, int M>
__device__ static void multiply_step(float sums[M][2][4], const uint4 b[2], const T *x, int k,
                                     int at, int n_rows, int lane) {
    uint4 a[M][2];
    for (int m = 0; m < M; m++)
        for (int half = 0; half < 2; half++) {
            const int row = 16 * m + 8 * half + lane / 4;
            a[m][half] = make_uint4(0, 0, 0, 0);
            if (row < n_rows) a[m][half] = *(const uint4 *)(x + (size_t)row * k + at);
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

// One block: 16 columns of all rows, k shared out among W warps.
template <typename T, int M, int W>
__global__ static void __launch_bounds__(32 * W)
    skinny(const __grid_constant__ wb_skinny_args args) {
    __shared__ float shared[W][16 * M][COLUMNS + 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, column = blockIdx.x * COLUMNS;
    const int k = args.k, offset = 8 * (lane % 4);
    const T *w = (const T *)args.w + (size_t)(column + lane / 4) * k + offset;
    const T *x = (const T *)args.x + offset;
    uint4 b[AHEAD][2];
    for (int i = 0; i < AHEAD; i++) load_weights(b[i], w, (size_t)k, 32 * (warp + W * i));
    let_successor_launch();
    wait_for_predecessor();
    float sums[M][2][4] = {};
    for (int first = 32 * warp; first < k; first += 32 * W * AHEAD) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            const int at = first + 32 * W * i;
            if (at < k) multiply_step<T, M>(sums, b[i], x, k, at, args.m, lane);
            load_weights(b[i], w, (size_t)k, at + 32 * W * AHEAD);
        }
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < 2; n++)
            for (int i = 0; i < 4; i++)
                shared[warp][16 * m + lane / 4 + 8 * (i / 2)][8 * n + 2 * (lane % 4) + i % 2] =
                    sums[m][n][i];
    __syncthreads();
    for (int i = threadIdx.x; i < 16 * M * COLUMNS; i += 32 * W) {
        const int row = i / COLUMNS, c = i % COLUMNS;
        if (row >= args.m) break;
        float sum = args.bias[column + c];
        for (int share = 0; share < W; share++) sum += shared[share][row][c];
        const size_t at = (size_t)row * args.ld_y + column + c;
        if (args.residual) sum += load1((const T *)args.residual + at);
        sum = activate(sum, args.activation);
        if (args.y_cell == WB_CELL_F32)
            ((float *)args.y)[at] = sum;
        else
            store1((T *)args.y + at, sum);
    }
}

template <typename T, int M, int W>
static int launch_one(const wb_skinny_args &args, cudaStream_t stream) {
    return launch_after(skinny<T, M, W>, args.n / COLUMNS, 32 * W, 0, stream, args);
}

// Long sums have more warps to share them.
template <typename T>
static int launch_skinny(const wb_skinny_args &args, cudaStream_t stream) {
    if (args.m > 32) return launch_one<T, 4, 8>(args, stream);
    const bool is_long = args.k >= 2048;
    if (args.m > 16)
        return is_long ? launch_one<T, 2, 16>(args, stream) : launch_one<T, 2, 8>(args, stream);
    return is_long ? launch_one<T, 1, 16>(args, stream) : launch_one<T, 1, 8>(args, stream);
}

bool wb_skinny_takes(const wb_skinny_args *args) {
    const bool is_f16 = args->cell == WB_CELL_F16, is_bf16 = args->cell == WB_CELL_BF16;
    return (is_f16 || is_bf16) && args->m <= 64 && args->n % COLUMNS == 0 && args->k % 32 == 0 &&
           (args->y_cell == args->cell || (args->y_cell == WB_CELL_F32 && !args->residual));
}

unsigned wb_launch_skinny(const wb_skinny_args *args, wb_stream stream) {
    if (!wb_skinny_takes(args)) return cudaErrorInvalidValue;
    return args->cell == WB_CELL_F16 ? launch_skinny<__half>(*args, stream)
                                     : launch_skinny<__nv_bfloat16>(*args, stream);
}
