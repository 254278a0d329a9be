// SPDX-License-Identifier: Apache-2.0
// The whole forward of up to 32 rows as one kernel, a block on every multiprocessor: a single text
// is fifty launches otherwise, each waiting for the one before it to end, and most of that time the
// memory rests. Here blocks meet at a barrier instead, four times a layer, and the weights of the
// next layer are on their way all the while:
//
//     norm, qkv ──┼──► attention, out, + rows ──┼──► norm, up, gelu ──┼──► down, + rows ──┼──►
//
// What counts is how many waits follow each other. So a norm is not computed before its product:
// with gamma in the columns of w and beta in the bias (wb_launch_fold), of rows s as they are
//
//     norm(s) w^T + bias = (s w'^T - mean sum(w')) / deviation + bias'
//
// and a row's mean and deviation come out of the tensor cores beside its products. For out and down
// two blocks are a cluster that has columns of its own and each of them half of k, of out the heads
// that it attends with; the halves of each sum meet in one of the two. Warps of a block share out
// k.
//
// Columns come in units of 8. A unit's rows of w are brought by the copy engine, to one place for
// each of a layer's matrices: once a block has used it, the next layer's is sent for.
#include "cuda/whole.cuh"

#include "cuda/activate.cuh"

// ---- Products of norms: qkv, up, and the head's ----

// a <- the lane's share of the rows before their norm.
template <typename T, int M>
__device__ static void load_rows(uint4 a[STEPS][M][2], const wb_whole_args &args,
                                 bool is_embedding) {
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
        const int k = min(k_of(i), args.d - 8);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = min(row_of(m, half), args.m - 1);
                a[i][m][half] =
                    is_embedding ? load_embedding<T>(args, row, k)
                                 : __ldcg((const uint4 *)((const T *)args.sums + row * args.d + k));
            }
    }
}

// What the thread's cells become: of qkv and up for the next step, of the head for the classifier.
template <typename T>
__device__ static void store_cells(const wb_whole_args &args, const cells &c, int kind,
                                   bool is_head, float2 y) {
    if (is_head) {
        const int text = args.text[c.row];
        float2 *to = (float2 *)(args.pre_logits + (size_t)text * args.d + c.column);
        if (text >= 0) __stcg(to, make_float2(fmaxf(y.x, 0.0f), fmaxf(y.y, 0.0f)));
        return;
    }
    T *to = kind == QKV ? (T *)args.qkv + c.row * 3 * args.d : (T *)args.wide + c.row * args.d_ff;
    if (kind == UP) y = make_float2(activate(y.x, args.activation), activate(y.y, args.activation));
    __stcg((unsigned *)(to + c.column), pack_pair(y.x, y.y, T()));
}

// Step i: qkv of layer i / 2, up, or after the last layer the head. Leaves the rows' stats behind.
template <typename T, int M>
__device__ static void multiply_norm(const wb_whole_args &args, int i) {
    const bool is_head = i == 2 * args.n_layers;
    const int kind = i % 2 ? UP : QKV;
    const wb_whole_product &product = args.products[2 * i];
    const place p = place_by_block(args, kind,
                                   is_head      ? args.d
                                   : kind == UP ? args.d_ff
                                                : 3 * args.d);
    const cells c = cells_of(args, p, 0, 16 * M);
    float *scratch = in_room<float>(args.room.scratch);
    float2 *moments = in_room<float2>(args.room.moments);
    uint4 a[STEPS][M][2];
    if (i == 0)
        load_rows<T, M>(a, args, true);
    else
        load_rows<T, M>(a, args, false);
    const float2 bias = pair_of(product.bias, c), w_sums = pair_of(product.sums, c);
    float sums[UNITS][M][4] = {}, sum[M][4] = {}, square[M][2][4] = {};
    wait_for(p, i / 2);
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        if (k_of(step) < args.d) {
            add_moments<T, M>(sum, square, a[step]);
            if (p.n_units > 0) multiply_step<T, M>(sums, a[step], p, k_of(step));
        }
    share_moments<M>(moments, sum, square);
#pragma unroll
    for (int u = 0; u < UNITS; u++)
#pragma unroll
        for (int m = 0; m < M; m++) share_sums(scratch, sums[u][m], M * (threadIdx.x / 32) + m, u);
    __syncthreads();
    const float2 stats = sum_moments(moments, c.row, args.d);
    if (c.pair == 0 && threadIdx.x < 16 * M * 4 * UNITS)
        in_room<float2>(args.room.stats)[c.row] = stats;
    const float2 share = sum_shares<M>(scratch, c, 0, 1);
    if (c.is_there)
        store_cells<T>(args, c, kind, is_head,
                       make_float2((share.x - stats.x * w_sums.x) * stats.y + bias.x,
                                   (share.y - stats.x * w_sums.y) * stats.y + bias.y));
    if (threadIdx.x / 32 != WARPS - 1 || i + 2 > 2 * args.n_layers) return;
    // After the last layer the place is the head's, with a third of the columns.
    const bool is_last = i + 2 == 2 * args.n_layers;
    send_for(is_last ? place_by_block(args, kind, args.d) : p, args.products[2 * i + 4].w, args.d);
}

// ---- Sums: out and down ----

// Scores of 16 queries to probabilities that still want to be divided by their sum.
template <int N>
__device__ static void soften(float s[N][4], float inverse[2], const uint8_t *first_key,
                              const uint8_t *end_key, int m, float scale) {
    float sum[2] = {0.0f, 0.0f}, most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = row_of(m, half);
        const int first = first_key[row], end = end_key[row];
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 2 * half; j < 2 * half + 2; j++) {
                const int key = 8 * n + 2 * ((int)threadIdx.x % 4) + j % 2;
                s[n][j] = key >= first && key < end ? s[n][j] * scale : -INFINITY;
                most[half] = fmaxf(most[half], s[n][j]);
            }
        most[half] = row_max(most[half]);
    }
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s[n][j] = exp2f(s[n][j] - most[j / 2]);
            sum[j / 2] += s[n][j];
        }
    for (int half = 0; half < 2; half++) inverse[half] = 1.0f / row_sum(sum[half]);
}

// o <- 16 queries' attention of one head, not yet divided. The M warps of a head bring its keys and
// values together, to tiles[2][16 M][D].
template <typename T, int D, int M>
__device__ static void attend(float o[D / 8][4], float inverse[2], const wb_whole_args &args,
                              T *tiles, int head, int m) {
    constexpr int N = 2 * M, C = D / 32;
    const int lane = threadIdx.x % 32, quad = lane % 4, ld = 3 * args.d;
    const uint8_t *keys = in_room<uint8_t>(args.room.keys);
    const T *query = (const T *)args.qkv + head * D, *key = query + args.d;
    T *values = tiles + 16 * M * D;
    load_tile<T, D>(tiles, key, ld, 16 * M, args.m, lane + 32 * m, 32 * M);
    load_tile<T, D>(values, key + args.d, ld, 16 * M, args.m, lane + 32 * m, 32 * M);
    copy_commit();
    uint4 q[2][C];
#pragma unroll
    for (int c = 0; c < C; c++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = min(row_of(m, half), args.m - 1);
            q[half][c] = __ldcg((const uint4 *)(query + row * ld + 32 * c + 8 * quad));
        }
    copy_wait<0>();
    meet_warps(1 + threadIdx.x / 32 / M, M);
    float s[N][4] = {};
#pragma unroll
    for (int c = 0; c < C; c++) {
        const uint4 x = q[0][c], y = q[1][c];
        const uint32_t first[4] = {x.x, y.x, x.y, y.y}, second[4] = {x.z, y.z, x.w, y.w};
#pragma unroll
        for (int n = 0; n < N; n++) {
            const uint4 k = *(const uint4 *)(tiles + tile_at<D>(8 * n + lane / 4, 4 * c + quad));
            const uint32_t low[2] = {k.x, k.y}, high[2] = {k.z, k.w};
            multiply(s[n], first, low, T());
            multiply(s[n], second, high, T());
        }
    }
    soften<N>(s, inverse, keys, keys + 32, m, 1.44269504f * (D == 64 ? 0.125f : 0.17677670f));
    multiply_values<T, D, N>(o, s, values, args.m, lane);
}

// sums += o times the block's columns of attention's output, of the k that are its head's.
template <typename T, int D>
__device__ static void project(float sums[UNITS][4], const float o[D / 8][4],
                               const float inverse[2], const place &p, int first_k) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int c = 0; c < D / 32; c++) {
        uint32_t a[2][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float *pair = o[4 * c + i];
            a[i / 2][2 * (i % 2)] = pack_pair(pair[0] * inverse[0], pair[1] * inverse[0], T());
            a[i / 2][2 * (i % 2) + 1] = pack_pair(pair[2] * inverse[1], pair[3] * inverse[1], T());
        }
#pragma unroll
        for (int u = 0; u < UNITS; u++) {
            const int row = UNIT * min(u, p.n_units - 1) + (lane & 7);
            uint32_t w[4];
            load_matrices(
                w, in_room<T>(p.at + row * p.stride + 2 * (first_k + 32 * c + 8 * (lane / 8))));
            multiply(sums[u], a[0], w, T());
            multiply(sums[u], a[1], w + 2, T());
        }
    }
}

// This block's share of the thread's cells of attention's output. Warps take heads of the block
// and, where there are two, 16 rows each.
template <typename T, int D, int M>
__device__ static float2 attention(const wb_whole_args &args, const place &p, int layer,
                                   const cells &c) {
    const int warp = threadIdx.x / 32, m = warp % M, first_head = first_head_of(args, rank_here());
    const int n_heads = first_head_of(args, rank_here() + 1) - first_head;
    float *scratch = in_room<float>(args.room.scratch), sums[UNITS][4] = {};
    for (int head = warp / M; head < n_heads; head += WARPS / M) {
        float o[D / 8][4] = {}, inverse[2];
        T *tiles = (T *)scratch + 2 * 16 * M * D * (warp / M);
        attend<T, D, M>(o, inverse, args, tiles, first_head + head, m);
        wait_for(p, layer);
        project<T, D>(sums, o, inverse, p, head * D);
        meet_warps(1 + warp / M, M);  // before the next head's keys
    }
    __syncthreads();  // where keys were, shares are from here on
#pragma unroll
    for (int u = 0; u < UNITS; u++) share_sums(scratch, sums[u], M * warp + m, u);
    __syncthreads();
    return c.row < 16 ? sum_shares<M>(scratch, c, 0, M) : sum_shares<M>(scratch, c, M - 1, M);
}

// The same of the feed-forward block's.
template <typename T, int M>
__device__ static float2 down(const wb_whole_args &args, const place &p, int layer,
                              const cells &c) {
    const int part = args.d_ff / CLUSTER;
    const T *wide = (const T *)args.wide + rank_here() * part;
    float *scratch = in_room<float>(args.room.scratch), sums[UNITS][M][4] = {};
    uint4 a[WIDE_STEPS][M][2];
#pragma unroll
    for (int i = 0; i < WIDE_STEPS; i++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = min(row_of(m, half), args.m - 1);
                a[i][m][half] =
                    __ldcg((const uint4 *)(wide + row * args.d_ff + min(k_of(i), part - 8)));
            }
    wait_for(p, layer);
#pragma unroll
    for (int i = 0; i < WIDE_STEPS; i++)
        if (k_of(i) < part) multiply_step<T, M>(sums, a[i], p, k_of(i));
#pragma unroll
    for (int u = 0; u < UNITS; u++)
#pragma unroll
        for (int m = 0; m < M; m++) share_sums(scratch, sums[u][m], M * (threadIdx.x / 32) + m, u);
    __syncthreads();
    return sum_shares<M>(scratch, c, 0, 1);
}

// A thread's cells of the sums: those of its own block's half of the rows first, which it adds up,
// then the other's.
template <int M>
__device__ static cells sum_cells(const wb_whole_args &args, const place &p) {
    return cells_of(args, p, 16 * M / CLUSTER * rank_here(), 16 * M);
}

template <int M>
__device__ static bool is_own(const cells &c) {
    return c.row / (16 * M / CLUSTER) == rank_here();
}

// What the thread's own cells are before the first layer.
template <typename T, int M>
__device__ static float2 begin_cells(const wb_whole_args &args) {
    const cells c = sum_cells<M>(args, place_by_cluster(args, OUT));
    if (!c.is_there || !is_own<M>(c)) return make_float2(0.0f, 0.0f);
    const T *words = (const T *)args.words + (size_t)args.ids[c.row] * args.d + c.column;
    const T *positions =
        (const T *)args.positions + (size_t)args.position[c.row] * args.d + c.column;
    return unpack_pair<T>(add_pairs(*(const uint32_t *)words, *(const uint32_t *)positions, T()));
}

// Where a cell's share from the other block of the cluster arrives, of the block that adds it up.
template <int M>
__device__ static float *inbox_of(const wb_whole_args &args, const cells &c) {
    return in_room<float>(args.room.inbox) + c.row % (16 * M / CLUSTER) * UNIT * UNITS + 2 * c.pair;
}

// mine to the other block of the cluster.
template <int M>
__device__ static void send_share(const wb_whole_args &args, const cells &c, float2 mine) {
    uint32_t cell, flag;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(cell)
                 : "r"(shared_address(inbox_of<M>(args, c))), "r"(rank_here() ^ 1));
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(flag)
                 : "r"(shared_address(in_room<char>(args.room.flags + 8 * INBOX))),
                   "r"(rank_here() ^ 1));
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(
            cell),
        "f"(mine.x), "f"(mine.y), "r"(flag)
        : "memory");
}

// Step i: attention's output of layer i / 2, or the feed-forward block's, by the clusters that have
// columns of it. sums <- both blocks' shares of each cell + bias + the norm of what was there
// before. A cell is always the same thread's, which knows what that was: *was, then what it is.
template <typename T, int D, int M>
__device__ static void add_up(const wb_whole_args &args, int i, float2 *was) {
    const wb_whole_product &product = args.products[2 * i + 1];
    const place p = place_by_cluster(args, i % 2 ? DOWN : OUT);
    if (p.n_units == 0) return;
    const cells c = sum_cells<M>(args, p);
    const float2 bias = pair_of(product.bias, c), gamma = pair_of(args.norms[i].gamma, c);
    const float2 beta = pair_of(args.norms[i].beta, c);
    const int rows = 16 * M / CLUSTER, n_rows = max(0, min(rows, args.m - rows * rank_here()));
    if (threadIdx.x == 0)
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                         shared_address(in_room<char>(args.room.flags + 8 * INBOX))),
                     "r"(n_rows * p.n_units * UNIT * 4)
                     : "memory");
    const float2 mine =
        i % 2 ? down<T, M>(args, p, i / 2, c) : attention<T, D, M>(args, p, i / 2, c);
    if (c.is_there && !is_own<M>(c)) send_share<M>(args, c, mine);
    if (threadIdx.x / 32 == WARPS - 1 && i + 2 < 2 * args.n_layers)
        send_for(p, args.products[2 * i + 5].w, i % 2 ? args.d_ff : args.d);
    if (!c.is_there || !is_own<M>(c)) return;
    wait_for(args.room.flags + 8 * INBOX, i);
    const float2 stats = in_room<float2>(args.room.stats)[c.row];
    const float2 other = *(const float2 *)inbox_of<M>(args, c);
    const float x = (was->x - stats.x) * stats.y * gamma.x + beta.x + bias.x + mine.x + other.x;
    const float y = (was->y - stats.x) * stats.y * gamma.y + beta.y + bias.y + mine.y + other.y;
    const uint32_t pair = pack_pair(x, y, T());
    __stcg((unsigned *)((T *)args.sums + c.row * args.d + c.column), pair);
    *was = unpack_pair<T>(pair);
}

// ---- The classifier, and all of it ----

// logits <- the classifier over what the blocks left in pre_logits, by the last block to arrive.
__device__ inline void classify(const wb_whole_args &args) {
    __shared__ bool is_last;
    __syncthreads();
    if (threadIdx.x == 0) {
        const uint32_t all = (4u * args.n_layers + 1u) * gridDim.x;
        is_last = arrive(args.arrivals) + 1 == all;
        if (is_last) *args.arrivals = 0;  // for the next launch
    }
    __syncthreads();
    if (!is_last) return;
    const int lane = threadIdx.x % 32, n = args.n_texts * args.n_labels;
    for (int i = threadIdx.x / 32; i < n; i += WARPS) {
        const int text = i / args.n_labels, label = i % args.n_labels;
        float sum = 0.0f;
        for (int column = lane; column < args.d; column += 32)
            sum += __ldcg(args.pre_logits + (size_t)text * args.d + column) *
                   args.classifier_w[(size_t)label * args.d + column];
        sum = warp_sum(sum);
        if (lane == 0) args.logits[i] = sum + args.classifier_bias[label];
    }
}

template <typename T, int D, int M>
__device__ static void forward(const wb_whole_args &args) {
    open_room(args);
    fetch_vectors(args);
    float2 was = {0.0f, 0.0f};
    meet_cluster();  // no block writes to another that has not begun
#pragma unroll 1
    for (int i = 0;; i++) {
        multiply_norm<T, M>(args, i);
        if (i == 2 * args.n_layers) break;
        if (i == 0) was = begin_cells<T, M>(args);
        meet(args.arrivals, 2 * i + 1);
        add_up<T, D, M>(args, i, &was);
        meet(args.arrivals, 2 * i + 2);
    }
    classify(args);
}

template <typename T, int D, int M>
__global__ static void __launch_bounds__(THREADS, 1)
    whole(const __grid_constant__ wb_whole_args args) {
    if constexpr (HAS_WARPGROUPS) forward<T, D, M>(args);
}

// ---- Launching ----

enum { MOST_STATIC = 512 };  // bytes of shared memory besides

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

// A place for each matrix; the warps' shares of sums, [WARPS M][16][8 UNITS] floats, or keys and
// values of the block's heads; the warps' shares of each row's sum and sum of squares, [WARPS][32]
// pairs; [32] pairs of mean and 1 / deviation; the other block's shares of this one's rows, [8 M][8
// UNITS]; the rows that each row attends to, [2][32] bytes; a flag for each place and for the
// other's shares.
static void lay_out(wb_whole_room *room, const wb_whole_args *args) {
    const int n_blocks = args->n_clusters * CLUSTER, d = args->d, part = args->d_ff / CLUSTER;
    const int most_heads = ceil_div(args->n_heads, CLUSTER);
    const int n_units[4] = {ceil_div(3 * d / UNIT, n_blocks), UNITS,
                            ceil_div(args->d_ff / UNIT, n_blocks), UNITS};
    const int k[4] = {d, most_heads * args->d_head, d, part};
    int at = 0;
    for (int i = 0; i < 4; i++) {
        room->at[i] = at;
        room->stride[i] = 2 * k[i] + (i == OUT ? PAD_MATRICES : PAD_QUADS);
        room->most_units[i] = n_units[i];
        at += n_units[i] * UNIT * room->stride[i];
    }
    const int sums = WARPS * 32 * UNIT * UNITS * 4, keys = WARPS / 2 * 2 * 32 * args->d_head * 2;
    room->scratch = at;
    room->moments = room->scratch + (sums > keys ? sums : keys);
    room->stats = room->moments + WARPS * 32 * 8;
    room->inbox = room->stats + 32 * 8;
    room->keys = room->inbox + 32 / CLUSTER * UNIT * UNITS * 4;
    room->flags = room->keys + 64;
    room->n_bytes = room->flags + 8 * N_PLACES;
}

template <typename T>
static const void *kernel_for(int d_head, bool is_two_tiles) {
    if (d_head == 64)
        return is_two_tiles ? (const void *)whole<T, 64, 2> : (const void *)whole<T, 64, 1>;
    return is_two_tiles ? (const void *)whole<T, 32, 2> : (const void *)whole<T, 32, 1>;
}

static const void *kernel_of(const wb_whole_args *args, bool is_two_tiles) {
    return args->cell == WB_CELL_F16 ? kernel_for<__half>(args->d_head, is_two_tiles)
                                     : kernel_for<__nv_bfloat16>(args->d_head, is_two_tiles);
}

// All blocks at once, in clusters; attributes has room for two.
static cudaLaunchConfig_t configure(const wb_whole_args *args, cudaLaunchAttribute *attributes,
                                    cudaStream_t stream) {
    attributes[0].id = cudaLaunchAttributeClusterDimension;
    attributes[0].val.clusterDim.x = CLUSTER;
    attributes[0].val.clusterDim.y = attributes[0].val.clusterDim.z = 1;
    attributes[1].id = cudaLaunchAttributeCooperative;
    attributes[1].val.cooperative = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(CLUSTER * args->n_clusters);
    config.blockDim = dim3(THREADS);
    config.dynamicSmemBytes = (size_t)args->room.n_bytes;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    return config;
}

static bool has_shape(const wb_whole_args *args) {
    for (int i = 0; i < 4; i++)
        if (args->room.most_units[i] > UNITS) return false;
    return args->d % 64 == 0 && args->d <= MOST_D && args->d_ff % (64 * CLUSTER) == 0 &&
           args->d_ff <= MOST_D_FF && args->d / UNIT <= UNITS * args->n_clusters &&
           (args->d_head == 32 || args->d_head == 64) &&
           (args->cell == WB_CELL_F16 || args->cell == WB_CELL_BF16);
}

bool wb_whole_prepare(wb_whole_args *args) {
    int device = 0, major = 0, most_shared = 0, n_multiprocessors = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (!code)
        code =
            cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (!code)
        code = cudaDeviceGetAttribute(&n_multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (code || major != 9) return false;
    args->n_clusters = n_multiprocessors / CLUSTER;
    lay_out(&args->room, args);
    if (!has_shape(args)) return false;
    const int n_bytes = args->room.n_bytes;
    if (n_bytes + MOST_STATIC > most_shared) return false;
    for (int i = 0; i < 2; i++) {
        cudaLaunchAttribute attributes[2];
        const cudaLaunchConfig_t config = configure(args, attributes, 0);
        int n_resident = 0;
        const void *kernel = kernel_of(args, i);
        code = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, n_bytes);
        if (!code) code = cudaOccupancyMaxActiveClusters(&n_resident, kernel, &config);
        if (code || n_resident < args->n_clusters) return false;
    }
    return true;
}

unsigned wb_launch_whole(const wb_whole_args *args, wb_stream stream) {
    cudaLaunchAttribute attributes[2];
    const cudaLaunchConfig_t config = configure(args, attributes, stream);
    void *params[] = {(void *)args};
    return cudaLaunchKernelExC(&config, kernel_of(args, args->m > 16), params);
}
