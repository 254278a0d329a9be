// SPDX-License-Identifier: Apache-2.0
// Attention over packed texts on tensor cores, scores in registers only. Most texts are short
// (GLUE: 25 to 38 tokens), so a warp takes one head of one whole text: it needs no barrier, and
// the memory traffic of some warps hides behind the arithmetic of others. Longer texts are cut
// into 64 queries a block, keys streamed past in tiles of 64 (Dao 2023).
//
// Blocks are as many as stay resident and walk over (item, head) with heads innermost: the warps
// of a block read neighbouring heads of the same rows.
#include <math.h>

#include "cuda/tile.cuh"

enum { WARPS = 4, TILE = 64 };

// 1 / sqrt(d_head) and the change from e to 2 as the base of exponents.
__device__ static float exponent_scale(int d_head) {
    return 1.44269504f * rsqrtf((float)d_head);
}

// left <- 16 queries from number first of n, as left sides of products, zeros past the last:
// straight from memory, because each is used once, and shared memory is what limits how many warps
// there are.
template <typename T, int D>
__device__ static void load_queries(uint32_t left[D / 16][4], const T *query, int ld, int first,
                                    int n, int lane) {
    const int row = first + lane / 4, column = 2 * (lane % 4);
#pragma unroll
    for (int step = 0; step < D / 16; step++)
        for (int i = 0; i < 4; i++) {
            const int r = row + 8 * (i % 2), c = 16 * step + column + 8 * (i / 2);
            left[step][i] = r < n ? *(const uint32_t *)(query + (size_t)r * ld + c) : 0;
        }
}

// 16 queries, from number first of those at hand, against all keys of their text, KEYS at most,
// with one softmax; room is for 16 rows.
template <typename T, int D, int KEYS>
__device__ static void attend_short(const wb_attention_args &args, const query_rows &queries,
                                    int n_valid, int head, const uint32_t left[D / 16][4],
                                    const T *k, const T *v, T *room, int first, int lane) {
    constexpr int N = KEYS / 8;
    float s[N][4];
    multiply_keys<T, D, N>(s, left, k, n_valid, lane);

    const float scale = exponent_scale(D);
    float most[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
#pragma unroll
    for (int n = 0; n < N; n++)
        for (int j = 0; j < 4; j++) {
            if (8 * n + 2 * (lane % 4) + j % 2 >= n_valid) s[n][j] = -INFINITY;
            most[j / 2] = fmaxf(most[j / 2], s[n][j]);
        }
    for (int i = 0; i < 2; i++) most[i] = row_max(most[i]) * scale;
#pragma unroll
    for (int n = 0; n < N; n++)
        for (int j = 0; j < 4; j++) {
            s[n][j] = exp2f(s[n][j] * scale - most[j / 2]);
            sum[j / 2] += s[n][j];
        }
    float o[D / 8][4] = {};
    multiply_values<T, D, N>(o, s, v, n_valid, lane);
    const float inverse[2] = {1.0f / row_sum(sum[0]), 1.0f / row_sum(sum[1])};
    store_rows<T, D>(args.context, args.cell, o, inverse, room, 0, queries.row + first,
                     queries.n - first, head * D, lane);
}

// One warp, one head of a text of at most KEYS rows; keys and values in shared memory.
template <typename T, int D, int KEYS>
__global__ static void __launch_bounds__(32 * WARPS)
    flash_short(const __grid_constant__ wb_attention_args args) {
    extern __shared__ uint4 shared[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    T *k = (T *)shared + warp * (2 * KEYS + 16) * D, *v = k + KEYS * D, *room = v + KEYS * D;
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x * WARPS + warp; unit < n_units; unit += gridDim.x * WARPS) {
        const wb_item item = args.items[unit / args.n_heads];
        const query_rows queries = queries_of(args, item);
        const int head = unit % args.n_heads, n_keys = (item.n_valid + 15) & ~15;
        const T *query = (const T *)args.query + (size_t)queries.row * args.ld_query + head * D;
        const size_t key_at = (size_t)item.first_row * args.ld_key + head * D;
        load_tile<T, D>(k, (const T *)args.key + key_at, args.ld_key, n_keys, item.n_valid, lane,
                        32);
        load_tile<T, D>(v, (const T *)args.value + key_at, args.ld_key, n_keys, item.n_valid, lane,
                        32);
        copy_commit();
        uint32_t left[D / 16][4], next[D / 16][4] = {};
        load_queries<T, D>(left, query, args.ld_query, 0, queries.n, lane);
        copy_wait<0>();
        __syncwarp();
        for (int first = 0; first < queries.n; first += 16) {
            if (first + 16 < queries.n)
                load_queries<T, D>(next, query, args.ld_query, first + 16, queries.n, lane);
            attend_short<T, D, KEYS>(args, queries, item.n_valid, head, left, k, v, room, first,
                                     lane);
            for (int step = 0; step < D / 16; step++)
                for (int i = 0; i < 4; i++) left[step][i] = next[step][i];
        }
    }
}

// ---- Longer texts ----

// Of 16 queries: what has been summed over the keys so far, relative to the largest score.
template <int D>
struct running {
    float o[D / 8][4];
    float most[2], sum[2];
};

// One tile of keys for one warp's 16 queries.
template <typename T, int D>
__device__ static void attend_tile(running<D> *r, const uint32_t left[D / 16][4], const T *k,
                                   const T *v, int n_valid, int lane) {
    constexpr int N = TILE / 8;
    const float scale = exponent_scale(D);
    float s[N][4];
    multiply_keys<T, D, N>(s, left, k, n_valid, lane);
    float most[2] = {r->most[0], r->most[1]};
#pragma unroll
    for (int n = 0; n < N; n++)
        for (int j = 0; j < 4; j++) {
            const bool is_valid = 8 * n + 2 * (lane % 4) + j % 2 < n_valid;
            s[n][j] = is_valid ? s[n][j] * scale : -INFINITY;
            most[j / 2] = fmaxf(most[j / 2], s[n][j]);
        }
    for (int i = 0; i < 2; i++) {
        most[i] = row_max(most[i]);
        const float shrink = exp2f(r->most[i] - most[i]);
        r->sum[i] *= shrink;
        r->most[i] = most[i];
#pragma unroll
        for (int n = 0; n < D / 8; n++) r->o[n][2 * i] *= shrink, r->o[n][2 * i + 1] *= shrink;
    }
#pragma unroll
    for (int n = 0; n < N; n++)
        for (int j = 0; j < 4; j++) {
            s[n][j] = exp2f(s[n][j] - most[j / 2]);
            r->sum[j / 2] += s[n][j];
        }
    multiply_values<T, D, N>(r->o, s, v, n_valid, lane);
}

// Tile number t of the item's keys and values -> one of the two stages.
template <typename T, int D>
__device__ static void load_keys(T *k, T *v, const wb_attention_args &args, const wb_item &item,
                                 int head, int t) {
    const size_t at = ((size_t)item.first_row + t * TILE) * args.ld_key + head * D;
    const int n_there = min(TILE, item.n_valid - t * TILE), n_rows = (n_there + 15) & ~15;
    const int lane = threadIdx.x, n_lanes = 32 * WARPS;
    load_tile<T, D>(k, (const T *)args.key + at, args.ld_key, n_rows, n_there, lane, n_lanes);
    load_tile<T, D>(v, (const T *)args.value + at, args.ld_key, n_rows, n_there, lane, n_lanes);
    copy_commit();
}

// All tiles of keys, one ahead on its way while one is computed with.
template <typename T, int D>
__device__ static void attend_tiles(running<D> *r, const wb_attention_args &args,
                                    const wb_item &item, int head, const T *q, T *stages,
                                    int lane) {
    constexpr int CELLS = TILE * D;
    const int n_tiles = (item.n_valid + TILE - 1) / TILE, warp_row = 16 * (threadIdx.x / 32);
    uint32_t left[D / 16][4];
    for (int t = 0; t < n_tiles; t++) {
        if (t + 1 < n_tiles) {
            T *next = stages + (t + 1) % 2 * 2 * CELLS;
            load_keys<T, D>(next, next + CELLS, args, item, head, t + 1);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        if (t == 0)
            for (int step = 0; step < D / 16; step++)
                load_left<T, D>(left[step], q, warp_row, step, lane);
        const T *k = stages + t % 2 * 2 * CELLS;
        attend_tile<T, D>(r, left, k, k + CELLS, min(TILE, item.n_valid - t * TILE), lane);
        __syncthreads();
    }
}

// One block, one head of 64 queries; a warp has 16 of them.
template <typename T, int D>
__global__ static void __launch_bounds__(32 * WARPS)
    flash_long(const __grid_constant__ wb_attention_args args) {
    extern __shared__ uint4 shared[];
    T *q = (T *)shared, *stages = q + TILE * D;
    const int lane = threadIdx.x % 32, warp_row = 16 * (threadIdx.x / 32);
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const query_rows queries = queries_of(args, item);
        const int head = unit % args.n_heads;
        if (queries.n == 0) continue;
        load_tile<T, D>(q, (const T *)args.query + (size_t)queries.row * args.ld_query + head * D,
                        args.ld_query, TILE, queries.n, threadIdx.x, 32 * WARPS);
        load_keys<T, D>(stages, stages + TILE * D, args, item, head, 0);
        running<D> r = {};
        r.most[0] = r.most[1] = -INFINITY;
        attend_tiles<T, D>(&r, args, item, head, q, stages, lane);
        const float inverse[2] = {1.0f / row_sum(r.sum[0]), 1.0f / row_sum(r.sum[1])};
        store_rows<T, D>(args.context, args.cell, r.o, inverse, q, warp_row, queries.row + warp_row,
                         queries.n - warp_row, head * D, lane);
        __syncthreads();
    }
}

// ---- Launching ----

// As many blocks as there is work for, at most what the GPU holds at once.
static int launch_resident(void (*kernel)(const wb_attention_args), const wb_attention_args &args,
                           int units_per_block, size_t shared_bytes, cudaStream_t stream) {
    cudaError_t code = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            (int)shared_bytes);
    int per_multiprocessor = 0;
    if (!code)
        code = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel,
                                                             32 * WARPS, shared_bytes);
    if (code) return code;
    const int64_t n_units = (int64_t)args.most_items * args.n_heads;
    const int64_t n_blocks = (n_units + units_per_block - 1) / units_per_block;
    const int64_t resident = (int64_t)per_multiprocessor * args.n_multiprocessors;
    if (n_blocks == 0 || resident == 0) return n_blocks ? cudaErrorInvalidConfiguration : 0;
    return launch_after(kernel, (unsigned)(n_blocks < resident ? n_blocks : resident), 32 * WARPS,
                        shared_bytes, stream, args);
}

template <typename T, int D>
static int launch_class(const wb_attention_args &args, cudaStream_t stream) {
    const size_t row_bytes = D * sizeof(T);
    switch (args.item_class) {
        case WB_ITEMS_32:
            return launch_resident(flash_short<T, D, 32>, args, WARPS,
                                   WARPS * (2 * 32 + 16) * row_bytes, stream);
        case WB_ITEMS_64:
            return launch_resident(flash_short<T, D, 64>, args, WARPS,
                                   WARPS * (2 * 64 + 16) * row_bytes, stream);
        default: return launch_resident(flash_long<T, D>, args, 1, 5 * TILE * row_bytes, stream);
    }
}

unsigned wb_launch_attention_flash(const wb_attention_args *args, wb_stream stream) {
    const bool is_half = args->cell == WB_CELL_F16, is_bf16 = args->cell == WB_CELL_BF16;
    if (is_half && args->d_head == 64) return launch_class<__half, 64>(*args, stream);
    if (is_half && args->d_head == 32) return launch_class<__half, 32>(*args, stream);
    if (is_bf16 && args->d_head == 64) return launch_class<__nv_bfloat16, 64>(*args, stream);
    if (is_bf16 && args->d_head == 32) return launch_class<__nv_bfloat16, 32>(*args, stream);
    if (args->cell == WB_CELL_F32 && (args->d_head == 64 || args->d_head == 32))
        return wb_launch_attention_f32(args, stream);
    return wb_launch_attention_rows(args, stream);
}
