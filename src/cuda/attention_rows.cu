// SPDX-License-Identifier: Apache-2.0
// Attention one query at a time, a warp each, for heads of sizes that no tile is made for. A lane
// scores every 32nd key, then the lanes share out the columns of the values. Scores stay in shared
// memory.
#include <math.h>

#include "cuda/cell.cuh"

enum { WARPS = 4, MOST_KEYS = 512, MOST_HEAD = 256, COLUMNS = MOST_HEAD / 32 };

// What one warp works on.
template <typename T>
struct one_query {
    const T *query, *key, *value;  // [d_head], [n_keys, ld_key] of one head
    int ld_key, n_keys, d_head;
};

// scores[n_keys] <- exponentials of the scaled scores relative to the largest; returns their sum.
template <typename T>
__device__ static float score_keys(const one_query<T> &w, float *scores, const float *q, int lane) {
    const float scale = rsqrtf((float)w.d_head);
    float most = -INFINITY;
    for (int key = lane; key < w.n_keys; key += 32) {
        const T *k = w.key + (size_t)key * w.ld_key;
        float sum = 0.0f;
        for (int c = 0; c < w.d_head; c++) sum = fmaf(q[c], load1(k + c), sum);
        scores[key] = sum * scale;
        most = fmaxf(most, sum * scale);
    }
    most = warp_max(most);
    float total = 0.0f;
    for (int key = lane; key < w.n_keys; key += 32) {
        scores[key] = __expf(scores[key] - most);
        total += scores[key];
    }
    __syncwarp();
    return warp_sum(total);
}

// context[row, first_column ..] <- one query's result.
template <typename T>
__device__ static void attend_query(const one_query<T> &w, const wb_narrow &context, size_t row,
                                    int first_column, float *scores, float *q, int lane) {
    for (int c = lane; c < w.d_head; c += 32) q[c] = load1(w.query + c);
    __syncwarp();
    const float sum = score_keys(w, scores, q, lane);
    float y[COLUMNS] = {};
    for (int key = 0; key < w.n_keys; key++) {
        const T *v = w.value + (size_t)key * w.ld_key;
        for (int i = 0; i < COLUMNS; i++)
            if (lane + 32 * i < w.d_head) y[i] = fmaf(scores[key], load1(v + lane + 32 * i), y[i]);
    }
    for (int i = 0; i < COLUMNS; i++)
        if (lane + 32 * i < w.d_head)
            store_cell(context, row, first_column + lane + 32 * i, y[i] / sum);
    __syncwarp();
}

// A block takes one head of one item, its warps a query each.
template <typename T>
__global__ static void attend_items(const __grid_constant__ wb_attention_args args) {
    __shared__ float scores[WARPS][MOST_KEYS], q[WARPS][MOST_HEAD];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    let_successor_launch();
    wait_for_predecessor();
    const int n_units = *args.n_items * args.n_heads;
    for (int unit = blockIdx.x; unit < n_units; unit += gridDim.x) {
        const wb_item item = args.items[unit / args.n_heads];
        const query_rows queries = queries_of(args, item);
        const int column = unit % args.n_heads * args.d_head;
        const size_t key_at = (size_t)item.first_row * args.ld_key + column;
        for (int i = warp; i < queries.n; i += WARPS) {
            const size_t row = (size_t)queries.row + i;
            const one_query<T> w = {(const T *)args.query + row * args.ld_query + column,
                                    (const T *)args.key + key_at,
                                    (const T *)args.value + key_at,
                                    args.ld_key,
                                    item.n_valid,
                                    args.d_head};
            attend_query(w, args.context, row, column, scores[warp], q[warp], lane);
        }
    }
}

template <typename T>
static int launch_items(const wb_attention_args &args, cudaStream_t stream) {
    const int64_t n_units = (int64_t)args.most_items * args.n_heads;
    const int64_t most = 16 * (int64_t)args.n_multiprocessors;
    if (n_units == 0) return 0;
    return launch_after(attend_items<T>, (unsigned)(n_units < most ? n_units : most), 32 * WARPS, 0,
                        stream, args);
}

unsigned wb_launch_attention_rows(const wb_attention_args *args, wb_stream stream) {
    switch (args->cell) {
        case WB_CELL_F32: return launch_items<float>(*args, stream);
        case WB_CELL_F16: return launch_items<__half>(*args, stream);
        case WB_CELL_BF16: return launch_items<__nv_bfloat16>(*args, stream);
        default: return cudaErrorInvalidValue;
    }
}
