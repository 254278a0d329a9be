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
//     norm(s) w^T + bias = (s w'^T - mean sum(w')) / deviation(s) + bias'
//
// and who writes a row's cells leaves their sum and that of their squares beside them. For out and
// down two blocks are a cluster that has columns of its own and each of them half of k, of out the
// heads that it attends with; the halves of each sum meet in one of the two. Warps of a block share
// out k. All that a step needs beside the rows is ready before it waits for them.
//
// Columns come in units of 8. A unit's rows of w are brought by the copy engine, to one place for
// each of a layer's matrices: once a block has used it, the next layer's is sent for.
#include "cuda/whole.cuh"

#include "cuda/activate.cuh"

// ---- Products of norms: qkv, up, and the head's ----

// a <- the lane's share of the rows' embeddings.
template <typename T, int M>
__device__ static void embed_rows(uint4 a[STEPS][M][2], const wb_whole_args &args) {
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
        const int k = min(32 * step_of(i) + 8 * ((int)threadIdx.x % 4), args.d - 8);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                a[i][m][half] = load_embedding<T, uint4>(args, min(row_of(m, half), args.m - 1), k);
    }
}

// Where a row's key or value is of its 32, so that a lane's share is in one place.
__device__ inline int place_of_key(int row) {
    return 8 * (row / 2 % 4) + 2 * (row / 8) + row % 2;
}

// Where the thread's cells go, NULL if nowhere: of qkv and up for the next step, of the head for
// the classifier. Values are stored by columns, and zeros where there is no row, for probabilities
// of zero to multiply.
template <typename T>
__device__ static void *target_of(const wb_whole_args &args, const cells &c, int kind,
                                  bool is_head) {
    if (!c.is_there) return NULL;
    if (kind == QKV && !is_head && c.column >= 2 * args.d)
        return (T *)args.qkv + 32 * c.column + place_of_key(c.row);
    if (c.row >= args.m || (is_head && args.text[c.row] < 0)) return NULL;
    if (is_head) return args.pre_logits + (size_t)args.text[c.row] * args.d + c.column;
    return (T *)(kind == QKV ? args.qkv : args.wide) + place_of_cell(c.row, c.column);
}

template <typename T>
__device__ static void store_cells(const wb_whole_args &args, const cells &c, int kind,
                                   bool is_head, void *to, float4 y) {
    if (is_head) {
        __stcg((float4 *)to,
               make_float4(fmaxf(y.x, 0.0f), fmaxf(y.y, 0.0f), fmaxf(y.z, 0.0f), fmaxf(y.w, 0.0f)));
        return;
    }
    if (kind == UP) y = activate4(y, args.activation);
    const uint32_t low = pack_pair(y.x, y.y, T()), high = pack_pair(y.z, y.w, T());
    if (kind == UP || c.column < 2 * args.d) {
        __stcg((uint2 *)to, make_uint2(low, high));
        return;
    }
    unsigned short *value = (unsigned short *)to;
    const uint32_t mask = c.row < args.m ? ~0u : 0u;
    __stcg(value, (unsigned short)(low & mask));
    __stcg(value + 32, (unsigned short)((low & mask) >> 16));
    __stcg(value + 64, (unsigned short)(high & mask));
    __stcg(value + 96, (unsigned short)((high & mask) >> 16));
}

// The sums of what eight neighbouring threads have.
__device__ inline float2 sum_eight(float2 x) {
#pragma unroll
    for (int i = 1; i < 8; i *= 2) {
        x.x += __shfl_xor_sync(~0u, x.x, i);
        x.y += __shfl_xor_sync(~0u, x.y, i);
    }
    return x;
}

// The stats of a row of embeddings, by eight threads: no block has left moments of it.
template <typename T>
__device__ static void share_embedding_stats(const wb_whole_args &args) {
    float2 moments = {0.0f, 0.0f};
    const int row = min((int)threadIdx.x / 8, args.m - 1);
#pragma unroll 12
    for (int k = 4 * ((int)threadIdx.x % 8); k < args.d; k += 32) {
        const float2 part = moments_of(unpack_quad<T>(load_embedding<T, uint2>(args, row, k)));
        moments.x += part.x, moments.y += part.y;
    }
    moments = sum_eight(moments);
    if (threadIdx.x % 8 == 0 && threadIdx.x / 8 < args.m)
        in_room<float2>(args.room.stats)[row] = stats_of(moments.x, moments.y, args.d);
}

// Step i: qkv of layer i / 2, up, or after the last layer the head. Leaves the rows' stats behind.
template <typename T, int M>
__device__ static void multiply_norm(const wb_whole_args &args, int i) {
    const bool is_head = i == 2 * args.n_layers;
    const int kind = i % 2 ? UP : QKV;
    const wb_whole_product &product = args.products[2 * i];
    const place p = place_by_block(args, 2 * i);
    const cells c = cells_of(p, 0, 16 * M);
    const float4 bias = quad_of(product.bias, c), w_sums = quad_of(product.sums, c);
    void *to = target_of<T>(args, c, kind, is_head);
    float *scratch = in_room<float>(args.room.scratch);
    const T *from = ready(lane_rows<T>(args.sums));
    uint4 a[STEPS][M][2], b[STEPS][UNITS];
    wait_for(args, p, i / 2);
#pragma unroll
    for (int step = 0; step < STEPS; step++) load_units(b[step], p, step_of(step), args.d / 32);
    if (i == 0) {
        embed_rows<T, M>(a, args);
    } else {
        threads_wait(BEGIN, THREADS);
#pragma unroll
        for (int step = 0; step < STEPS; step++)
            load_step<T, M>(a[step], from, args.m, step, args.d / 32);
    }
    float sums[UNITS][M][4] = {};
#pragma unroll
    for (int step = 0; step < STEPS; step++) multiply_step<T, M>(sums, a[step], b[step]);
#pragma unroll
    for (int u = 0; u < UNITS; u++)
#pragma unroll
        for (int m = 0; m < M; m++) share_sums(scratch, sums[u][m], M * (threadIdx.x / 32) + m, u);
    threads_wait(WITH_STATS, THREADS);
    if (to) {
        const float2 stats = in_room<float2>(args.room.stats)[c.row];
        const float4 share = sum_shares<M, 1>(scratch, c);
        store_cells<T>(args, c, kind, is_head, to,
                       make_float4((share.x - stats.x * w_sums.x) * stats.y + bias.x,
                                   (share.y - stats.x * w_sums.y) * stats.y + bias.y,
                                   (share.z - stats.x * w_sums.z) * stats.y + bias.z,
                                   (share.w - stats.x * w_sums.w) * stats.y + bias.w));
    }
    threads_arrive(END, THREADS);
}

// ---- Sums: out and down ----

// The keys that the lane's two rows of 16 see.
struct keys {
    int first[2], end[2];
};

__device__ inline keys keys_of(const wb_whole_args &args, int m) {
    const uint8_t *first = in_room<uint8_t>(args.room.keys), *end = first + 32;
    const int row = row_of(m, 0);
    return {{first[row], first[row + 8]}, {end[row], end[row + 8]}};
}

// Scores of 16 queries to probabilities that still want to be divided by their sum.
template <int N>
__device__ static void soften(float s[N][4], float inverse[2], const keys &seen, float scale) {
    float sum[2] = {0.0f, 0.0f}, most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 2 * half; j < 2 * half + 2; j++) {
                const int key = 8 * n + 2 * ((int)threadIdx.x % 4) + j % 2;
                s[n][j] =
                    key >= seen.first[half] && key < seen.end[half] ? s[n][j] * scale : -INFINITY;
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

// o <- 16 queries' attention of one head, not yet divided. Of both sides of both products a lane
// reads its own share from memory. What no row has is not seen, whatever it was.
template <typename T, int D, int M>
__device__ static void attend(float o[D / 8][4], float inverse[2], const wb_whole_args &args,
                              const keys &seen, const T *query, int m) {
    constexpr int N = 2 * M, C = D / 32;
    const T *key = query + 32 * args.d, *value = key + 32 * args.d;
    uint4 q[2][C], k[N][C], v[D / 8];
#pragma unroll
    for (int c = 0; c < C; c++) {
#pragma unroll
        for (int half = 0; half < 2; half++)
            q[half][c] = *(const uint4 *)(query + c * COLUMN_TILES + (2 * m + half) * TILE);
#pragma unroll
        for (int n = 0; n < N; n++) k[n][c] = *(const uint4 *)(key + c * COLUMN_TILES + n * TILE);
    }
#pragma unroll
    for (int n = 0; n < D / 8; n++) v[n] = *(const uint4 *)(value + n * TILE);
    float s[N][4] = {};
#pragma unroll
    for (int c = 0; c < C; c++) {
        const uint4 x = q[0][c], y = q[1][c];
        const uint32_t first[4] = {x.x, y.x, x.y, y.y}, second[4] = {x.z, y.z, x.w, y.w};
#pragma unroll
        for (int n = 0; n < N; n++) {
            const uint32_t low[2] = {k[n][c].x, k[n][c].y}, high[2] = {k[n][c].z, k[n][c].w};
            multiply(s[n], first, low, T());
            multiply(s[n], second, high, T());
        }
    }
    soften<N>(s, inverse, seen, 1.44269504f * (D == 64 ? 0.125f : 0.17677670f));
#pragma unroll
    for (int j = 0; j < M; j++) {
        const float *even = s[2 * j], *odd = s[2 * j + 1];
        const uint32_t p[4] = {pack_pair(even[0], even[1], T()), pack_pair(even[2], even[3], T()),
                               pack_pair(odd[0], odd[1], T()), pack_pair(odd[2], odd[3], T())};
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            const uint32_t keys[2] = {j ? v[n].z : v[n].x, j ? v[n].w : v[n].y};
            multiply(o[n], p, keys, T());
        }
    }
}

// sums += o times the block's columns of attention's output, from step step of k on.
template <typename T, int D>
__device__ static void project(float sums[UNITS][4], const float o[D / 8][4],
                               const float inverse[2], const place &p, int step) {
#pragma unroll
    for (int c = 0; c < D / 32; c++) {
        uint32_t a[2][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float *pair = o[4 * c + i];
            a[i / 2][2 * (i % 2)] = pack_pair(pair[0] * inverse[0], pair[1] * inverse[0], T());
            a[i / 2][2 * (i % 2) + 1] = pack_pair(pair[2] * inverse[1], pair[3] * inverse[1], T());
        }
        uint4 b[UNITS];
        load_units(b, p, step + c, step + c + 1);
#pragma unroll
        for (int u = 0; u < UNITS; u++) {
            const uint32_t low[2] = {b[u].x, b[u].y}, high[2] = {b[u].z, b[u].w};
            multiply(sums[u], a[0], low, T());
            multiply(sums[u], a[1], high, T());
        }
    }
}

// Where the lane's share of the first head's queries begins, of the heads that the warp takes.
template <typename T, int D, int M>
__device__ static const T *first_query(const wb_whole_args &args) {
    const int head = first_head_of(args, rank_here()) + threadIdx.x / 32 / M;
    return (const T *)args.qkv + 32 * D * head + 8 * (threadIdx.x % 32);
}

// This block's share of the thread's cells of attention's output. Warps take heads of the block
// and, where there are two, 16 rows each.
template <typename T, int D, int M>
__device__ static float4 attention(const wb_whole_args &args, const place &p, const cells &c,
                                   const keys &seen, const T *query) {
    const int warp = threadIdx.x / 32, m = warp % M;
    const int n_heads = first_head_of(args, rank_here() + 1) - first_head_of(args, rank_here());
    float *scratch = in_room<float>(args.room.scratch), sums[UNITS][4] = {};
#pragma unroll 1
    for (int head = warp / M; head < n_heads; head += WARPS / M, query += 32 * D * (WARPS / M)) {
        float o[D / 8][4] = {}, inverse[2];
        attend<T, D, M>(o, inverse, args, seen, query, m);
        project<T, D>(sums, o, inverse, p, head * D / 32);
    }
#pragma unroll
    for (int u = 0; u < UNITS; u++) share_sums(scratch, sums[u], M * warp + m, u);
    threads_wait(WITHOUT_STATS, COMPUTING);
    return sum_shares<M, M>(scratch, c);
}

// The same of the feed-forward block's.
template <typename T, int M>
__device__ static float4 down(const wb_whole_args &args, const place &p, const cells &c,
                              const T *from) {
    const int n_steps = args.d_ff / CLUSTER / 32;
    float *scratch = in_room<float>(args.room.scratch), sums[UNITS][M][4] = {};
    uint4 a[WIDE_STEPS][M][2];
#pragma unroll
    for (int i = 0; i < WIDE_STEPS; i++) load_step<T, M>(a[i], from, args.m, i, n_steps);
#pragma unroll
    for (int i = 0; i < WIDE_STEPS; i++) {
        uint4 b[UNITS];
        load_units(b, p, step_of(i), n_steps);
        multiply_step<T, M>(sums, a[i], b);
    }
#pragma unroll
    for (int u = 0; u < UNITS; u++)
#pragma unroll
        for (int m = 0; m < M; m++) share_sums(scratch, sums[u][m], M * (threadIdx.x / 32) + m, u);
    threads_wait(WITHOUT_STATS, COMPUTING);
    return sum_shares<M, 1>(scratch, c);
}

// A thread's cells of the sums: those of its own block's half of the rows first, which it adds up,
// then the other's.
template <int M>
__device__ static cells sum_cells(const place &p) {
    return cells_of(p, 16 * M / CLUSTER * rank_here(), 16 * M);
}

// Whether the thread's cells, or those of threads beside it, are of its own block's half.
template <int M>
__device__ static bool is_own(void) {
    return threadIdx.x < 8 * 16 * M / CLUSTER;
}

// What the thread's own cells are before the first layer.
template <typename T, int M>
__device__ static float4 begin_cells(const wb_whole_args &args) {
    const cells c = sum_cells<M>(place_by_cluster(args, OUT));
    if (!is_own<M>() || !c.is_there || c.row >= args.m) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    return unpack_quad<T>(load_embedding<T, uint2>(args, c.row, c.column));
}

// Where a cell's share from the other block of the cluster arrives, of the block that adds it up.
template <int M>
__device__ static float4 *inbox_of(const wb_whole_args &args, const cells &c) {
    return in_room<float4>(args.room.inbox) + c.row % (16 * M / CLUSTER) * (UNIT * UNITS / 4) +
           c.quad;
}

// mine to the other block of the cluster.
template <int M>
__device__ static void send_share(const wb_whole_args &args, const cells &c, float4 mine) {
    uint32_t cell, flag;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(cell)
                 : "r"(shared_address(inbox_of<M>(args, c))), "r"(rank_here() ^ 1));
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(flag)
                 : "r"(shared_address(flag_of(args, INBOX))), "r"(rank_here() ^ 1));
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
        "[%5];" ::"r"(cell),
        "f"(mine.x), "f"(mine.y), "f"(mine.z), "f"(mine.w), "r"(flag)
        : "memory");
}

// The moments of the thread's row and the block's columns, from the eight threads that have them.
__device__ inline void store_moments(const wb_whole_args &args, const cells &c, float4 x) {
    const float2 moments = sum_eight(moments_of(x));
    if (c.quad == 0 && c.row < args.m)
        __stcg((float2 *)args.moments + 32 * (blockIdx.x / CLUSTER) + c.row, moments);
}

// Step i: attention's output of layer i / 2, or the feed-forward block's, by the clusters that have
// columns of it. sums <- both blocks' shares of each cell + bias + the norm of what was there
// before. A cell is always the same thread's, which knows what that was: *was, then what it is.
template <typename T, int D, int M>
__device__ static void add_up(const wb_whole_args &args, int i, float4 *was) {
    const wb_whole_product &product = args.products[2 * i + 1];
    const place p = place_by_cluster(args, 2 * i + 1);
    const cells c = sum_cells<M>(p);
    const bool is_there = c.is_there && c.row < args.m;
    const float4 bias = quad_of(product.bias, c), gamma = quad_of(args.norms[i].gamma, c);
    const float4 beta = quad_of(args.norms[i].beta, c);
    const float2 stats = in_room<float2>(args.room.stats)[c.row];
    float4 x = make_float4((was->x - stats.x) * stats.y * gamma.x + beta.x + bias.x,
                           (was->y - stats.x) * stats.y * gamma.y + beta.y + bias.y,
                           (was->z - stats.x) * stats.y * gamma.z + beta.z + bias.z,
                           (was->w - stats.x) * stats.y * gamma.w + beta.w + bias.w);
    const keys seen = keys_of(args, threadIdx.x / 32 % M);
    const T *from = i % 2 ? lane_rows<T>((const T *)args.wide + 16 * args.d_ff * rank_here())
                          : first_query<T, D, M>(args);
    from = ready(from);
    if (threadIdx.x == 0 && p.n_units > 0) {
        const int n_rows = 16 * M / CLUSTER;
        barrier_expect(flag_of(args, INBOX), max(0, min(n_rows, args.m - n_rows * rank_here())) *
                                                 p.n_units * UNIT * (int)sizeof(float));
    }
    wait_for(args, p, i / 2);
    threads_wait(BEGIN, THREADS);
    if (p.n_units > 0) {
        const float4 mine =
            i % 2 ? down<T, M>(args, p, c, from) : attention<T, D, M>(args, p, c, seen, from);
        if (is_own<M>()) {
            barrier_wait_cluster(flag_of(args, INBOX), i & 1);
            *was = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (is_there) {
                x = add(x, add(mine, *inbox_of<M>(args, c)));
                const uint2 quad = make_uint2(pack_pair(x.x, x.y, T()), pack_pair(x.z, x.w, T()));
                __stcg((uint2 *)((T *)args.sums + place_of_cell(c.row, c.column)), quad);
                *was = unpack_quad<T>(quad);
            }
            store_moments(args, c, *was);
        } else if (is_there) {
            send_share<M>(args, c, mine);
        }
    }
    threads_arrive(END, THREADS);
}

// ---- The classifier, and all of it ----

// logits <- the classifier over what the blocks left in pre_logits.
__device__ inline void classify(const wb_whole_args &args) {
    const int lane = threadIdx.x % 32, n = args.n_texts * args.n_labels;
    for (int i = threadIdx.x / 32; i < n; i += THREADS / 32) {
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
__device__ static void compute(const wb_whole_args &args, float4 was) {
#pragma unroll 1
    for (int i = 0;; i++) {
        multiply_norm<T, M>(args, i);
        if (i == 2 * args.n_layers) return;
        add_up<T, D, M>(args, i, &was);
    }
}

template <typename T, int D, int M>
__device__ static void forward(const wb_whole_args &args) {
    __shared__ bool is_last;
    open_room(args);
    fetch_vectors(args);
    const float4 was = begin_cells<T, M>(args);
    if (threadIdx.x < 8 * 32) share_embedding_stats<T>(args);
    meet_cluster();  // no block writes to another that has not begun
    if (threadIdx.x < COMPUTING) {
        compute<T, D, M>(args, was);
    } else {
        const bool is_mine = serve(args);
        if (threadIdx.x == COMPUTING) is_last = is_mine;
    }
    __syncthreads();
    if (!is_last) return;
    if (threadIdx.x == 0) *args.arrivals = 0;  // for the next launch
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

// A place for each matrix; the warps' shares of sums, [WARPS][16 M][8 UNITS] floats; [32] pairs of
// mean and 1 / deviation; the other block's shares of this one's rows, [8 M][8 UNITS]; the rows
// that each row attends to, [2][32] bytes; a flag for each place and for the other's shares.
static void lay_out(wb_whole_room *room, const wb_whole_args *args) {
    const int n_blocks = args->n_clusters * CLUSTER, d = args->d;
    const int n_units[4] = {ceil_div(3 * d / UNIT, n_blocks), UNITS,
                            ceil_div(args->d_ff / UNIT, n_blocks), UNITS};
    const int k[4] = {d, ceil_div(args->n_heads, CLUSTER) * args->d_head, d, args->d_ff / CLUSTER};
    int at = 0;
    for (int i = 0; i < 4; i++) {
        room->at[i] = at;
        room->most_units[i] = n_units[i];
        at += n_units[i] * UNIT * k[i] * 2;
    }
    room->scratch = at;
    room->stats = room->scratch + WARPS * 32 * UNIT * UNITS * 4;
    room->inbox = room->stats + 32 * 8;
    room->keys = room->inbox + 32 / CLUSTER * UNIT * UNITS * 4;
    room->flags = room->keys + 64;
    room->n_bytes = room->flags + 8 * N_FLAGS;
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

// As many layers as half of the cache holds: forward after forward they come from there.
static int count_kept(const wb_whole_args *args, int cache_bytes) {
    const size_t d = (size_t)args->d, layer_bytes = 2 * (4 * d * d + 2 * d * (size_t)args->d_ff);
    const size_t n = (size_t)cache_bytes / 2 / layer_bytes;
    return 4 * (n < (size_t)args->n_layers ? (int)n : args->n_layers);
}

bool wb_whole_prepare(wb_whole_args *args) {
    int device = 0, major = 0, most_shared = 0, n_multiprocessors = 0, cache_bytes = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (!code)
        code =
            cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (!code)
        code = cudaDeviceGetAttribute(&n_multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (!code) code = cudaDeviceGetAttribute(&cache_bytes, cudaDevAttrL2CacheSize, device);
    if (code || major != 9) return false;
    args->n_kept = count_kept(args, cache_bytes);
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
