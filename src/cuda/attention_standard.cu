// SPDX-License-Identifier: Apache-2.0
// Attention as the study's baseline had it: all scores of a text go to memory, are normalised
// there and come back for the product with the values, masked keys included. It is here to be
// compared with, so it gets the same tensor cores and tiles as the form without scores in memory,
// and differs in nothing but what it is named for.
//
//     scores of one head of a text:  [n_rows, ld], ld = n_rows rounded up to 8; heads follow one
//     another, then the next text's
#include <math.h>

#include "cuda/tile.cuh"

enum { WARPS = 4, TILE = 64, SLICE = 32, SIMT_THREADS = 256 };

__device__ static int score_ld(const wb_item &item) {
    return (item.n_rows + 7) & ~7;
}

// Where one head's scores of the item's first query begin.
template <typename T>
__device__ static T *scores_of(const wb_attention_args &args, const wb_item &item, int head) {
    const int64_t ld = score_ld(item);
    return (T *)args.scores + item.score + (head * (int64_t)item.n_rows + item.first_query) * ld;
}

// ---- Tensor cores ----

template <typename T, int D>
__global__ static void __launch_bounds__(32 * WARPS)
    score_tiles(const __grid_constant__ wb_attention_args args) {
    __shared__ alignas(16) T q[TILE * D], k[TILE * D];
    const int lane = threadIdx.x % 32, warp_row = 16 * (threadIdx.x / 32);
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const int head = unit % args.n_heads, n_query = min(TILE, item.n_rows - item.first_query);
        const int ld = score_ld(item);
        const T *query = (const T *)args.query + head * D +
                         (size_t)(item.first_row + item.first_query) * args.ld_query;
        load_tile<T, D>(q, query, args.ld_query, TILE, n_query, threadIdx.x, 32 * WARPS);
        for (int first = 0; first < item.n_rows; first += TILE) {
            const int n_keys = min(TILE, item.n_rows - first);
            const T *key =
                (const T *)args.key + (size_t)(item.first_row + first) * args.ld_key + head * D;
            load_tile<T, D>(k, key, args.ld_key, TILE, n_keys, threadIdx.x, 32 * WARPS);
            copy_commit();
            copy_wait<0>();
            __syncthreads();
            uint32_t left[D / 16][4];
            for (int step = 0; step < D / 16; step++)
                load_left<T, D>(left[step], q, warp_row, step, lane);
            float s[TILE / 8][4];
            multiply_keys<T, D, TILE / 8>(s, left, k, n_keys, lane);
            T *out = scores_of<T>(args, item, head) + first;
            const float scale = rsqrtf((float)D);
            for (int n = 0; n < TILE / 8; n++)
                for (int half = 0; half < 2; half++) {
                    const int row = warp_row + lane / 4 + 8 * half, column = 8 * n + 2 * (lane % 4);
                    if (row >= n_query || first + column >= ld) continue;
                    *(uint32_t *)(out + (size_t)row * ld + column) =
                        pack_pair(s[n][2 * half] * scale, s[n][2 * half + 1] * scale, T());
                }
            __syncthreads();
        }
    }
}

// p[64, 64] <- the item's probabilities of keys [first, + 64), zeros past the row's end.
template <typename T>
__device__ static void load_probabilities(T *p, const T *from, int ld, int n_query, int first) {
    for (int i = threadIdx.x; i < TILE * 8; i += 32 * WARPS) {
        const int row = i / 8, chunk = i % 8;
        const bool is_there = row < n_query && first + 8 * chunk < ld;
        const T *source = is_there ? from + (size_t)row * ld + first + 8 * chunk : from;
        copy16(p + tile_at<64>(row, chunk), source, is_there);
    }
}

template <typename T, int D>
__global__ static void __launch_bounds__(32 * WARPS)
    context_tiles(const __grid_constant__ wb_attention_args args) {
    __shared__ alignas(16) T p[TILE * TILE], v[TILE * D];
    const int lane = threadIdx.x % 32, warp_row = 16 * (threadIdx.x / 32);
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const int head = unit % args.n_heads, n_query = min(TILE, item.n_rows - item.first_query);
        const int first_row = item.first_row + item.first_query;
        float o[D / 8][4] = {};
        for (int first = 0; first < item.n_rows; first += TILE) {
            const int n_keys = min(TILE, item.n_rows - first);
            const T *value =
                (const T *)args.value + (size_t)(item.first_row + first) * args.ld_key + head * D;
            load_tile<T, D>(v, value, args.ld_key, TILE, n_keys, threadIdx.x, 32 * WARPS);
            load_probabilities<T>(p, scores_of<T>(args, item, head), score_ld(item), n_query,
                                  first);
            copy_commit();
            copy_wait<0>();
            __syncthreads();
            for (int n = 0; n < TILE / 16; n++) {
                uint32_t a[4], b[4];
                load_left<T, TILE>(a, p, warp_row, n, lane);
                for (int step = 0; step < D / 16; step++) {
                    load_right_columns<T, D>(b, v, 16 * n, step, lane);
                    multiply(o[2 * step], a, b, T());
                    multiply(o[2 * step + 1], a, b + 2, T());
                }
            }
            __syncthreads();
        }
        const float inverse[2] = {1.0f, 1.0f};
        // p is free again, and 64 cells wide: room for rows of D.
        store_rows<T, D>(args.context, args.cell, o, inverse, p, warp_row, first_row + warp_row,
                         n_query - warp_row, head * D, lane);
        __syncthreads();
    }
}

// ---- Any head size and cells, on the plain units ----

// sums[4][4] += a[64, SLICE] . b[SLICE, 64], both k-major in shared memory; a thread has 4 rows
// and 4 columns.
__device__ static void multiply_slice(float sums[4][4], const float (*a)[TILE + 4],
                                      const float (*b)[TILE + 4]) {
    const int row = 4 * (threadIdx.x / 16), column = 4 * (threadIdx.x % 16);
#pragma unroll 8
    for (int k = 0; k < SLICE; k++) {
        const float4 x = *(const float4 *)&a[k][row], y = *(const float4 *)&b[k][column];
        const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) sums[i][j] = fmaf(xs[i], ys[j], sums[i][j]);
    }
}

// to[SLICE][64] <- from[row, ld], columns [first, + SLICE) of 64 rows, transposed; zeros outside.
template <typename T>
__device__ static void load_transposed(float (*to)[TILE + 4], const T *from, int ld, int n_rows,
                                       int first, int n_columns) {
    for (int i = threadIdx.x; i < TILE * SLICE; i += SIMT_THREADS) {
        const int row = i / SLICE, k = i % SLICE;
        const bool is_there = row < n_rows && first + k < n_columns;
        to[k][row] = is_there ? load1(from + (size_t)row * ld + first + k) : 0.0f;
    }
}

// The same by 16 bytes: neighbouring lanes have neighbouring rows, so that what they write lies in
// different banks. n_columns is a multiple of 4.
__device__ static void load_transposed4(float (*to)[TILE + 4], const float *from, int ld,
                                        int n_rows, int first, int n_columns) {
    for (int i = threadIdx.x; i < TILE * SLICE / 4; i += SIMT_THREADS) {
        const int row = i % TILE, k = 4 * (i / TILE);
        float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (row < n_rows && first + k < n_columns)
            x = *(const float4 *)(from + (size_t)row * ld + first + k);
        to[k][row] = x.x, to[k + 1][row] = x.y, to[k + 2][row] = x.z, to[k + 3][row] = x.w;
    }
}

// to[SLICE][64] <- from[row, ld], 64 columns of rows [0, SLICE).
template <typename T>
__device__ static void load_slice(float (*to)[TILE + 4], const T *from, int ld, int n_rows,
                                  int n_columns) {
    for (int i = threadIdx.x; i < TILE * SLICE; i += SIMT_THREADS) {
        const int row = i / TILE, column = i % TILE;
        const bool is_there = row < n_rows && column < n_columns;
        to[row][column] = is_there ? load1(from + (size_t)row * ld + column) : 0.0f;
    }
}

__device__ static void load_slice4(float (*to)[TILE + 4], const float *from, int ld, int n_rows,
                                   int n_columns) {
    for (int i = threadIdx.x; i < TILE * SLICE / 4; i += SIMT_THREADS) {
        const int row = i / (TILE / 4), column = 4 * (i % (TILE / 4));
        float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (row < n_rows && column < n_columns)
            x = *(const float4 *)(from + (size_t)row * ld + column);
        *(float4 *)&to[row][column] = x;
    }
}

// IS_WIDE: f32, and heads of a multiple of 4.
template <typename T, bool IS_WIDE>
__global__ static void __launch_bounds__(SIMT_THREADS)
    score_plain(const __grid_constant__ wb_attention_args args) {
    __shared__ float q[SLICE][TILE + 4], k[SLICE][TILE + 4];
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads, d = args.d_head;
    const float scale = rsqrtf((float)d);
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const int head = unit % args.n_heads, n_query = min(TILE, item.n_rows - item.first_query);
        const int ld = score_ld(item);
        const T *query = (const T *)args.query + head * d +
                         (size_t)(item.first_row + item.first_query) * args.ld_query;
        T *out = scores_of<T>(args, item, head);
        for (int first = 0; first < item.n_rows; first += TILE) {
            const int n_keys = min(TILE, item.n_rows - first);
            const T *key =
                (const T *)args.key + (size_t)(item.first_row + first) * args.ld_key + head * d;
            float sums[4][4] = {};
            for (int c = 0; c < d; c += SLICE) {
                if constexpr (IS_WIDE) {
                    load_transposed4(q, query, args.ld_query, n_query, c, d);
                    load_transposed4(k, key, args.ld_key, n_keys, c, d);
                } else {
                    load_transposed(q, query, args.ld_query, n_query, c, d);
                    load_transposed(k, key, args.ld_key, n_keys, c, d);
                }
                __syncthreads();
                multiply_slice(sums, q, k);
                __syncthreads();
            }
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) {
                    const int row = 4 * (threadIdx.x / 16) + i, column = 4 * (threadIdx.x % 16) + j;
                    if (row < n_query && first + column < ld)
                        store1(out + (size_t)row * ld + first + column, sums[i][j] * scale);
                }
        }
    }
}

template <typename T, bool IS_WIDE>
__global__ static void __launch_bounds__(SIMT_THREADS)
    context_plain(const __grid_constant__ wb_attention_args args) {
    __shared__ float p[SLICE][TILE + 4], v[SLICE][TILE + 4];
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads, d = args.d_head;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const int head = unit % args.n_heads, n_query = min(TILE, item.n_rows - item.first_query);
        const T *scores = scores_of<T>(args, item, head);
        for (int c = 0; c < d; c += TILE) {
            float sums[4][4] = {};
            for (int first = 0; first < item.n_rows; first += SLICE) {
                const T *value = (const T *)args.value + head * d + c +
                                 (size_t)(item.first_row + first) * args.ld_key;
                const int ld = score_ld(item);
                if constexpr (IS_WIDE) {
                    load_transposed4(p, scores, ld, n_query, first, ld);
                    load_slice4(v, value, args.ld_key, item.n_rows - first, d - c);
                } else {
                    load_transposed(p, scores, ld, n_query, first, item.n_rows);
                    load_slice(v, value, args.ld_key, item.n_rows - first, d - c);
                }
                __syncthreads();
                multiply_slice(sums, p, v);
                __syncthreads();
            }
            for (int i = 0; i < 4; i++) {
                const int row = 4 * (threadIdx.x / 16) + i, column = c + 4 * (threadIdx.x % 16);
                if (row >= n_query) continue;
                const size_t at = (size_t)item.first_row + item.first_query + row;
                for (int j = 0; j < 4; j++)
                    if (column + j < d)
                        store_cell(args.context, at, head * d + column + j, sums[i][j]);
            }
        }
    }
}

// ---- Between the two products ----

// A warp a row: softmax over the valid keys, zeros for the others and for what rounds the row up.
template <typename T>
__global__ static void __launch_bounds__(32 * WARPS)
    softmax_rows(const __grid_constant__ wb_attention_args args) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const int n_query = min(TILE, item.n_rows - item.first_query), ld = score_ld(item);
        for (int row = warp; row < n_query; row += WARPS) {
            T *s = scores_of<T>(args, item, unit % args.n_heads) + (size_t)row * ld;
            float most = -INFINITY, sum = 0.0f;
            for (int key = lane; key < item.n_valid; key += 32) most = fmaxf(most, load1(s + key));
            most = warp_max(most);
            for (int key = lane; key < item.n_valid; key += 32)
                sum += __expf(load1(s + key) - most);
            const float inverse = 1.0f / warp_sum(sum);
            for (int key = lane; key < ld; key += 32)
                store1(s + key,
                       key < item.n_valid ? __expf(load1(s + key) - most) * inverse : 0.0f);
        }
    }
}

// ---- Launching ----

// Scores, softmax, context, each over all items.
static int launch_three(void (*scores)(const wb_attention_args),
                        void (*softmax)(const wb_attention_args),
                        void (*context)(const wb_attention_args), int n_threads,
                        const wb_attention_args &args, cudaStream_t stream) {
    const int64_t n_units = (int64_t)args.most_items * args.n_heads;
    const int64_t most = 16 * (int64_t)args.n_multiprocessors;
    const unsigned n_blocks = (unsigned)(n_units < most ? n_units : most);
    if (n_blocks == 0) return 0;
    int code = launch_after(scores, n_blocks, n_threads, 0, stream, args);
    if (!code) code = launch_after(softmax, n_blocks, 32 * WARPS, 0, stream, args);
    if (!code) code = launch_after(context, n_blocks, n_threads, 0, stream, args);
    return code;
}

template <typename T, int D>
static int launch_tiles(const wb_attention_args &args, cudaStream_t stream) {
    return launch_three(score_tiles<T, D>, softmax_rows<T>, context_tiles<T, D>, 32 * WARPS, args,
                        stream);
}

template <typename T, bool IS_WIDE>
static int launch_plain(const wb_attention_args &args, cudaStream_t stream) {
    return launch_three(score_plain<T, IS_WIDE>, softmax_rows<T>, context_plain<T, IS_WIDE>,
                        SIMT_THREADS, args, stream);
}

unsigned wb_launch_attention_standard(const wb_attention_args *args, wb_stream stream) {
    const bool is_half = args->cell == WB_CELL_F16, is_bf16 = args->cell == WB_CELL_BF16;
    if (is_half && args->d_head == 64) return launch_tiles<__half, 64>(*args, stream);
    if (is_half && args->d_head == 32) return launch_tiles<__half, 32>(*args, stream);
    if (is_bf16 && args->d_head == 64) return launch_tiles<__nv_bfloat16, 64>(*args, stream);
    if (is_bf16 && args->d_head == 32) return launch_tiles<__nv_bfloat16, 32>(*args, stream);
    if (is_half) return launch_plain<__half, false>(*args, stream);
    if (is_bf16) return launch_plain<__nv_bfloat16, false>(*args, stream);
    return args->d_head % 4 ? launch_plain<float, false>(*args, stream)
                            : launch_plain<float, true>(*args, stream);
}
