// SPDX-License-Identifier: Apache-2.0
// Attention in true f32, scores in registers and shared memory only: tensor cores have no such
// arithmetic, so tiles are multiplied on the plain units. A block takes one head of one item,
// TILE queries and TILE keys at a time; a thread has 4 queries and 4 keys of the scores, and the
// same 4 queries of D / (TILE / 4) columns of the result. Texts of up to 32 rows get tiles of 32:
// at 25 tokens a tile of 64 would be five sixths zeros.
//
//     shared memory:  q[D][TILE]  k[D][TILE]  p[key TILE][query TILE]  v[key TILE][D]
//     each row 4 floats longer, so that rows start in other banks
#include <math.h>

#include "cuda/cell.cuh"

// The row and column of a thread's first score.
template <int TILE>
struct place {
    int row, column;
};

template <int TILE>
__device__ static place<TILE> place_of_thread() {
    constexpr int SIDE = TILE / 4;
    return {4 * ((int)threadIdx.x / SIDE), 4 * ((int)threadIdx.x % SIDE)};
}

// to[D][TILE + 4] <- from[row, ld] transposed, zeros from row n on.
template <int D, int TILE>
__device__ static void load_transposed(float *to, const float *from, int ld, int n) {
    constexpr int THREADS = TILE * TILE / 16;
    for (int i = threadIdx.x; i < TILE * D / 4; i += THREADS) {
        const int row = i % TILE, column = 4 * (i / TILE);
        float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (row < n) x = *(const float4 *)(from + (size_t)row * ld + column);
        float *at = to + column * (TILE + 4) + row;
        at[0] = x.x, at[TILE + 4] = x.y, at[2 * (TILE + 4)] = x.z, at[3 * (TILE + 4)] = x.w;
    }
}

// to[TILE][D + 4] <- from[row, ld], zeros from row n on.
template <int D, int TILE>
__device__ static void load_rows(float *to, const float *from, int ld, int n) {
    constexpr int THREADS = TILE * TILE / 16;
    for (int i = threadIdx.x; i < TILE * D / 4; i += THREADS) {
        const int row = i / (D / 4), column = 4 * (i % (D / 4));
        float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (row < n) x = *(const float4 *)(from + (size_t)row * ld + column);
        *(float4 *)(to + row * (D + 4) + column) = x;
    }
}

// Across the SIDE neighbouring threads that share queries.
template <int SIDE>
__device__ static float group_max(float x) {
    for (int step = SIDE / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
    return x;
}

template <int SIDE>
__device__ static float group_sum(float x) {
    for (int step = SIDE / 2; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
    return x;
}

// A thread's 4 queries: the largest score and the sum so far, and its columns of the result.
template <int COLUMNS>
struct running {
    float most[4], sum[4], o[4][COLUMNS];
};

// s[4][4] <- scaled scores of the thread's queries and keys; keys from n_valid on are -infinity.
template <int D, int TILE>
__device__ static void score(float s[4][4], const float *q, const float *k, int n_valid,
                             const place<TILE> &at) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) s[i][j] = 0.0f;
#pragma unroll 8
    for (int c = 0; c < D; c++) {
        const float4 x = *(const float4 *)(q + c * (TILE + 4) + at.row);
        const float4 y = *(const float4 *)(k + c * (TILE + 4) + at.column);
        const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) s[i][j] = fmaf(xs[i], ys[j], s[i][j]);
    }
    const float scale = rsqrtf((float)D);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) s[i][j] = at.column + j < n_valid ? s[i][j] * scale : -INFINITY;
}

// One tile of keys: scores, their exponentials to p, and p v added to the result.
template <int D, int TILE, int COLUMNS>
__device__ static void attend_tile(running<COLUMNS> *r, const float *q, const float *k,
                                   const float *v, float *p, int n_valid) {
    constexpr int SIDE = TILE / 4;
    const place<TILE> at = place_of_thread<TILE>();
    float s[4][4];
    score<D, TILE>(s, q, k, n_valid, at);
    for (int i = 0; i < 4; i++) {
        const float now = fmaxf(fmaxf(s[i][0], s[i][1]), fmaxf(s[i][2], s[i][3]));
        const float most = fmaxf(r->most[i], group_max<SIDE>(now));
        const float shrink = expf(r->most[i] - most);
        r->most[i] = most;
        float sum = 0.0f;
        for (int j = 0; j < 4; j++) {
            s[i][j] = expf(s[i][j] - most);
            sum += s[i][j];
        }
        r->sum[i] = r->sum[i] * shrink + group_sum<SIDE>(sum);
        for (int c = 0; c < COLUMNS; c++) r->o[i][c] *= shrink;
    }
    for (int j = 0; j < 4; j++)
        *(float4 *)(p + (at.column + j) * (TILE + 4) + at.row) =
            make_float4(s[0][j], s[1][j], s[2][j], s[3][j]);
    __syncthreads();
    const int column = at.column / 4 * COLUMNS, n_keys = min(TILE, n_valid);
#pragma unroll 4
    for (int key = 0; key < n_keys; key++) {
        const float4 x = *(const float4 *)(p + key * (TILE + 4) + at.row);
        const float xs[4] = {x.x, x.y, x.z, x.w};
        for (int c = 0; c < COLUMNS; c++) {
            const float value = v[key * (D + 4) + column + c];
            for (int i = 0; i < 4; i++) r->o[i][c] = fmaf(xs[i], value, r->o[i][c]);
        }
    }
    __syncthreads();
}

template <int D, int TILE>
__global__ static void __launch_bounds__(TILE *TILE / 16)
    flash_f32(const __grid_constant__ wb_attention_args args) {
    constexpr int COLUMNS = D / (TILE / 4), WIDE = TILE + 4;
    extern __shared__ float4 shared[];
    float *q = (float *)shared, *k = q + D * WIDE, *p = k + D * WIDE, *v = p + TILE * WIDE;
    const place<TILE> at = place_of_thread<TILE>();
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const query_rows queries = queries_of(args, item);
        const int head = unit % args.n_heads;
        if (queries.n == 0) continue;
        load_transposed<D, TILE>(
            q, (const float *)args.query + (size_t)queries.row * args.ld_query + head * D,
            args.ld_query, queries.n);
        running<COLUMNS> r = {};
        for (int i = 0; i < 4; i++) r.most[i] = -INFINITY;
        for (int first = 0; first < item.n_valid; first += TILE) {
            const size_t key_at = (size_t)(item.first_row + first) * args.ld_key + head * D;
            const int n_valid = min(TILE, item.n_valid - first);
            load_transposed<D, TILE>(k, (const float *)args.key + key_at, args.ld_key, n_valid);
            load_rows<D, TILE>(v, (const float *)args.value + key_at, args.ld_key, n_valid);
            __syncthreads();
            attend_tile<D, TILE, COLUMNS>(&r, q, k, v, p, n_valid);
        }
        const int column = head * D + at.column / 4 * COLUMNS;
        for (int i = 0; i < 4 && at.row + i < queries.n; i++)
            for (int c = 0; c < COLUMNS; c++)
                store_cell(args.context, (size_t)(queries.row + at.row + i), column + c,
                           r.o[i][c] / r.sum[i]);
        __syncthreads();
    }
}

template <int D, int TILE>
static int launch_tiles(const wb_attention_args &args, cudaStream_t stream) {
    constexpr int THREADS = TILE * TILE / 16;
    const size_t n_bytes = sizeof(float) * ((2 * D + TILE) * (TILE + 4) + TILE * (D + 4));
    const int64_t n_units = (int64_t)args.most_items * args.n_heads;
    const int64_t most = 2048 / THREADS * (int64_t)args.n_multiprocessors;
    if (n_units == 0) return 0;
    const cudaError_t code = cudaFuncSetAttribute(
        flash_f32<D, TILE>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)n_bytes);
    if (code) return code;
    return launch_after(flash_f32<D, TILE>, (unsigned)(n_units < most ? n_units : most), THREADS,
                        n_bytes, stream, args);
}

unsigned wb_launch_attention_f32(const wb_attention_args *args, wb_stream stream) {
    const bool is_short = args->item_class == WB_ITEMS_32;
    if (args->d_head == 64)
        return is_short ? launch_tiles<64, 32>(*args, stream) : launch_tiles<64, 64>(*args, stream);
    if (args->d_head == 32)
        return is_short ? launch_tiles<32, 32>(*args, stream) : launch_tiles<32, 64>(*args, stream);
    return cudaErrorInvalidValue;
}
