// SPDX-License-Identifier: Apache-2.0
// The whole forward of up to 32 rows as one kernel: a single text is fifty launches otherwise, each
// waiting for the one before it to end, and most of that time the memory rests. Here blocks pass
// results on to each other four times a layer, and the weights of the next steps are on their way
// all the while:
//
//     norm, qkv --> attention, out, + rows --> norm, up, gelu --> down, + rows -->
//
// What counts is how many waits follow each other. So there is no barrier between blocks: results
// are their own sign of being there (whole.cuh), and each warp waits for what it multiplies with.
// And a norm is not computed before its product: with gamma in the columns of w and beta in the
// bias (wb_launch_fold), of rows s as they are
//
//     norm(s) w^T + bias = (s w'^T - mean sum(w')) / deviation(s) + bias'
//
// and who writes a row's cells leaves their sum and that of their squares beside them. For out and
// down four blocks are a cluster that has columns of its own and each of them a quarter of k, of
// out the heads that it attends with; the quarters of each sum meet in one of the four. Warps of a
// block share out k.
//
// Every block reads all rows or a quarter of wider ones, which is most of what moves: so there are
// half as many blocks as multiprocessors. Columns come in units of 8. A unit's rows of w are
// brought by the copy engine; a place is sent for again once the block has used it.
#include "cuda/whole.cuh"

#include "cuda/activate.cuh"

// ---- What the warps that do not multiply bring for all ----

// Vectors that a step's cells need beside their sums: of even steps bias and w's sums, of odd ones
// bias, gamma and beta; two steps' at a time.
enum { VECTORS = 3 };

__device__ inline float4 *vector_of(const wb_whole_args &args, unsigned i, int vector) {
    return in_room<float4>(args.room.vectors) + (i % 2 * VECTORS + vector) * QUADS;
}

__device__ inline void bring_vectors(const wb_whole_args &args, unsigned i) {
    const unsigned quad = lane_here();
    if (i > 4 * args.n_layers || quad >= QUADS) return;
    const place p = place_of(args, i);
    if (quad / 2 >= p.n_units) return;
    const wb_whole_product &product = args.products[i];
    const wb_whole_norm &norm = args.norms[i / 2];
    const unsigned column = UNIT * p.first + 4 * quad;
    vector_of(args, i, 0)[quad] = *(const float4 *)(product.bias + column);
    vector_of(args, i, 1)[quad] = *(const float4 *)((i % 2 ? norm.gamma : product.sums) + column);
    if (i % 2) vector_of(args, i, 2)[quad] = *(const float4 *)(norm.beta + column);
}

// Those that steps i and i + 1 want, i even: the next two's lie elsewhere, so that they may come
// before others have read these.
__device__ inline float2 *stats_here(const wb_whole_args &args, unsigned i) {
    return in_room<float2>(args.room.stats) + i / 2 % 2 * ROWS;
}

// For step i the stats of all rows that the product before has left, by the warps that do not
// multiply: each has an octet of rows, of each row four lanes the moments.
__device__ inline void bring_stats(const wb_whole_args &args, unsigned i) {
    const unsigned lane = lane_here(), octet = warp_here() - MULTIPLYING;
    const unsigned row = 8 * octet + lane % 8;
    if (!is_row_computed(args, row)) return;
    const float2 *from = moments_of_result(args, i - 1) + ROWS * (lane / 8) + row;
    uint2 parts[MOST_CLUSTERS / 4];
    fetch(
        parts, [&](int k) { return (const uint2 *)(from + ROWS * 4 * k); },
        [&](int k) { return 4 * k + lane / 8 < 1 << args.log_clusters; });
    float2 sum = {0.0f, 0.0f};
#pragma unroll
    for (int k = 0; k < MOST_CLUSTERS / 4; k++)
        sum.x += __uint_as_float(parts[k].x), sum.y += __uint_as_float(parts[k].y);
    sum = sum_of_row(sum);
    if (lane < 8) stats_here(args, i)[row] = stats_of(sum, args.d);
}

// This block's part of what the forward before has filled, in step i.
__device__ inline void empty_spent(const wb_whole_args &args, unsigned i) {
    const unsigned n = (unsigned)args.results_bytes / 16;
    const unsigned stride = 32 * CLUSTER << args.log_clusters;
    const unsigned per_step = (n / stride + 4 * args.n_layers + 1) / (4 * args.n_layers + 1);
    const unsigned first = blockIdx.x * 32 + lane_here() + i * per_step * stride;
    for (unsigned k = 0; k < per_step; k++)
        if (first + k * stride < n)
            ((uint4 *)args.spent)[first + k * stride] = {ABSENT, ABSENT, ABSENT, ABSENT};
}

// By one thread, before the block's next __syncthreads.
__device__ inline void make_flags(const wb_whole_args &args) {
    for (int i = 0; i < N_FLAGS; i++)
        barrier_init(flag_of(args, i), i == MOMENTS ? 8 * (PARTS - 1) : 1);
    barrier_publish();
}

// What some warps do before the first step: one sends for the first weights.
__device__ inline void begin_serving(const wb_whole_args &args) {
    const unsigned warp = warp_here() - MULTIPLYING, lane = lane_here();
    if (warp == 0) bring_vectors(args, 0);
    if (warp == 1) {
        uint8_t *keys = in_room<uint8_t>(args.room.keys);
        const unsigned row = min(lane, (unsigned)args.m - 1);
        keys[lane] = args.first_key[row];
        keys[ROWS + lane] = args.end_key[row];
    }
    if (warp == 2 && lane == 0) {
        send_for(args, 0);
        send_for(args, 1);
    }
}

// And after the sums of step i are there: the matrix two steps on has its place free.
__device__ inline void serve(const wb_whole_args &args, unsigned i) {
    const unsigned warp = warp_here() - MULTIPLYING;
    if (warp == 0) bring_vectors(args, i + 1);
    if (warp == 1) empty_spent(args, i);
    if (warp == 2 && lane_here() == 0) send_for(args, i + 2);
}

// ---- Products of rows: qkv, up, down and the head's ----

// The block's shares of step i's sums, by the warps that multiply. A warp begins with its first
// rows while others are on their way.
template <typename T>
__device__ static void multiply_rows(const wb_whole_args &args, unsigned i, const place &p) {
    enum { GROUPS = STEPS / 2, PIECES = 4 };
    const unsigned m = warp_here() / SHARES, n_steps = p.n_bytes / STEP_BYTES;
    if (p.n_units == 0 || m >= count_tiles(args)) return;
    const unsigned first_step = (p.kind == DOWN ? n_steps * rank_here() : 0) + step_of(0);
    const T *rows =
        result_of<T>(args, i - 1) + m * PIECE + 8 * lane_here() + 2 * TILES * PIECE * first_step;
    const auto at_group = [=](int group) {
        return [=](int piece) {
            const int step = SHARES * (2 * group + piece / 2);
            return (const uint4 *)(rows + (2 * step + piece % 2) * TILES * PIECE);
        };
    };
    uint4 a[GROUPS][PIECES], b[2][UNITS];
    wait_for(args, p, i);
#pragma unroll
    for (int step = 0; step < 2; step++) load_units(b[step], p, min(step_of(step), n_steps - 1));
#pragma unroll
    for (int group = 0; group < GROUPS; group++)
        begin_fetch(a[group], at_group(group),
                    [=](int piece) { return step_of(2 * group + piece / 2) < n_steps; });
    float sums[UNITS][4] = {};
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        while (__any_sync(~0u, is_any_absent(a[group])))
#pragma unroll
            for (int k = group; k < GROUPS; k++) load_absent(a[k], at_group(k));
#pragma unroll
        for (int piece = 0; piece < PIECES; piece++) {
            const int k = piece / 2, next = 2 * group + k + 2;
            multiply_units<T>(sums, a[group][piece], b[k], piece % 2);
            if (piece % 2 && next < STEPS) load_units(b[k], p, min(step_of(next), n_steps - 1));
        }
    }
    share_sums(args, i, warp_here() % SHARES, m, sums);
}

// ---- Attention and the product after it ----

// Scores of 16 queries to probabilities that still want to be divided by their sum. s[2 m + half]
// are those of key_of(m, half) and the next for the queries row_of(.., 0), then for row_of(.., 1).
__device__ inline void soften(float s[OCTETS][4], float inverse[2], const wb_whole_args &args,
                              unsigned m, float scale) {
    const uint8_t *keys = in_room<uint8_t>(args.room.keys);
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const unsigned row = row_of(m, half), first = keys[row];
        const unsigned n_seen = keys[ROWS + row] - first;
        float most = -INFINITY, sum = 0.0f;
#pragma unroll
        for (int n = 0; n < OCTETS; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                const bool is_seen = key_of(n / 2, n % 2) + j - first < n_seen;
                float &x = s[n][2 * half + j];
                x = is_seen ? x * scale : -INFINITY;
                most = fmaxf(most, x);
            }
        most = row_max(most);
#pragma unroll
        for (int n = 0; n < OCTETS; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                float &x = s[n][2 * half + j];
                asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(x) : "f"(x - most));
                sum += x;
            }
        inverse[half] = __fdividef(1.0f, row_sum(sum));
    }
}

// o <- 16 queries' attention of one head, not yet divided. Of both sides of both products a lane
// reads its own share from memory.
template <typename T, int D>
__device__ static void attend(float o[D / 8][4], float inverse[2], const wb_whole_args &args,
                              const T *query, unsigned m) {
    constexpr int C = D / 16;
    const unsigned n_tiles = count_tiles(args);
    const T *key = query + ROWS * args.d, *value = key + ROWS * args.d;
    uint4 a[C + TILES * C + D / 8];
    query += m * PIECE;
    fetch(
        a,
        [=](int i) {
            const int k = i - C, v = k - TILES * C;
            if (k < 0) return (const uint4 *)(query + TILES * i * PIECE);
            return (const uint4 *)(v < 0 ? key + k * PIECE : value + v * 8 * ROWS);
        },
        [=](int i) { return i < C || i >= C + TILES * C || (i - C) % TILES < n_tiles; });
    const uint4 *k = a + C, *v = k + TILES * C;
    float s[OCTETS][4] = {};
#pragma unroll
    for (int c = 0; c < C; c++) {
        const uint32_t left[4] = {a[c].x, a[c].y, a[c].z, a[c].w};
#pragma unroll
        for (int n = 0; n < OCTETS; n++) {
            const uint4 &x = k[TILES * c + n / 2];
            const uint32_t right[2] = {n % 2 ? x.z : x.x, n % 2 ? x.w : x.y};
            multiply(s[n], left, right, T());
        }
    }
    soften(s, inverse, args, m, 1.44269504f * (D == 64 ? 0.125f : 0.17677670f));
#pragma unroll
    for (int j = 0; j < TILES; j++) {
        const float *even = s[2 * j], *odd = s[2 * j + 1];
        const uint32_t p[4] = {pack_pair(even[0], even[1], T()), pack_pair(even[2], even[3], T()),
                               pack_pair(odd[0], odd[1], T()), pack_pair(odd[2], odd[3], T())};
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            const uint32_t right[2] = {j ? v[n].z : v[n].x, j ? v[n].w : v[n].y};
            multiply(o[n], p, right, T());
        }
    }
}

// sums += o times the block's columns of attention's output, from step step of k on.
template <typename T, int D>
__device__ static void project(float sums[UNITS][4], const float o[D / 8][4],
                               const float inverse[2], const place &p, unsigned step) {
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
        load_units(b, p, step + c);
#pragma unroll
        for (int i = 0; i < 2; i++)
            multiply_units<T>(sums, make_uint4(a[i][0], a[i][1], a[i][2], a[i][3]), b, i);
    }
}

// The block's shares of the sums of attention's output: a warp takes a head and 16 rows.
template <typename T, int D>
__device__ static void attend_heads(const wb_whole_args &args, unsigned i, const place &p) {
    const unsigned warp = warp_here(), n_tiles = count_tiles(args);
    const unsigned m = warp % n_tiles, head = warp / n_tiles;
    if (head >= count_heads(args)) return;
    const unsigned first = first_head_of(args, rank_here());
    const T *query = result_of<T>(args, i - 1) + ROWS * D * (first + head) + 8 * lane_here();
    float o[D / 8][4] = {}, inverse[2], sums[UNITS][4] = {};
    attend<T, D>(o, inverse, args, query, m);
    wait_for(args, p, i);
    project<T, D>(sums, o, inverse, p, head * D / 32);
    share_sums(args, i, head, m, sums);
}

// ---- What becomes of sums: of qkv, up and the head's product ----

// Values by columns: two neighbouring rows of a column in one store, which two threads share; zeros
// where there is no row, for probabilities of zero to multiply.
template <typename T>
__device__ static void store_values(const wb_whole_args &args, const cells &c, T *to, uint2 quad) {
    if (c.row >= args.m) quad = {0, 0};
    const bool is_odd = c.row % 2;
    const uint32_t other = __shfl_xor_sync(~0u, is_odd ? quad.x : quad.y, 1);
    const uint32_t even_row = is_odd ? other : quad.x, odd_row = is_odd ? quad.y : other;
    if (!c.is_there || c.column < 2 * args.d) return;
    to += place_of_value(c.row - is_odd, c.column + 2 * is_odd);
    store_result(to, __byte_perm(even_row, odd_row, 0x5410));
    store_result(to + ROWS, __byte_perm(even_row, odd_row, 0x7632));
}

template <typename T>
__device__ static void store_product(const wb_whole_args &args, unsigned i, const place &p,
                                     const cells &c, float4 y) {
    if (p.is_head) {
        if (!c.is_there || c.row >= args.m || args.text[c.row] < 0) return;
        store_result(
            result_of<float>(args, i) + args.text[c.row] * args.d + c.column,
            make_float4(fmaxf(y.x, 0.0f), fmaxf(y.y, 0.0f), fmaxf(y.z, 0.0f), fmaxf(y.w, 0.0f)));
        return;
    }
    if (p.kind == UP) y = activate4(y, args.activation);
    const uint2 quad = {pack_pair(y.x, y.y, T()), pack_pair(y.z, y.w, T())};
    T *to = result_of<T>(args, i);
    if (p.kind == QKV) store_values(args, c, to, quad);
    const bool is_key = p.kind == QKV && c.column >= args.d;
    const uint2 halves = exchange_halves(quad, c.row / 4 % 2);
    if (c.is_there && is_row_computed(args, c.row) && (p.kind == UP || c.column < 2 * args.d))
        store_result(to + place_of_quad(c.row, c.column), is_key ? quad : halves);
}

template <typename T>
__device__ static void end_product(const wb_whole_args &args, unsigned i, const place &p,
                                   const cells &c) {
    const float4 sum = sum_shares(c, SHARES);
    const float4 bias = vector_of(args, i, 0)[c.quad], w_sums = vector_of(args, i, 1)[c.quad];
    const float2 stats = stats_here(args, i)[c.row];
    store_product<T>(args, i, p, c,
                     make_float4((sum.x - stats.x * w_sums.x) * stats.y + bias.x,
                                 (sum.y - stats.x * w_sums.y) * stats.y + bias.y,
                                 (sum.z - stats.x * w_sums.z) * stats.y + bias.z,
                                 (sum.w - stats.x * w_sums.w) * stats.y + bias.w));
}

// ---- Of out and down ----

// A block of a cluster adds up the octet of rows that has its rank: its first warps do.
__device__ inline bool is_own(void) {
    return warp_here() < PARTS;
}

// What product i leaves of the rows of its cells: the first of the block's own warps adds up what
// each has of them.
__device__ inline void store_moments(const wb_whole_args &args, unsigned i, const cells &c,
                                     const float2 &mine) {
    float2 *here = in_room<float2>(args.room.moments) + c.row % 8;
    uint64_t *flag = flag_of(args, MOMENTS);
    if (warp_here() > 0) {
        if (lane_here() >= 8) return;
        here[8 * (warp_here() - 1)] = mine;
        barrier_arrive(flag);
        return;
    }
    barrier_wait(flag, (i + 1) / 2 & 1);
    if (lane_here() >= 8) return;
    float2 sum = mine;
#pragma unroll
    for (int k = 0; k < PARTS - 1; k++) sum.x += here[8 * k].x, sum.y += here[8 * k].y;
    store_result(moments_of_result(args, i) + ROWS * (blockIdx.x / CLUSTER) + c.row,
                 make_uint2(__float_as_uint(sum.x), __float_as_uint(sum.y)));
}

// What product i leaves of a thread's own cells, x, and of their rows. Returns what others will
// find.
template <typename T>
__device__ static float4 store_sums(const wb_whole_args &args, unsigned i, const cells &c,
                                    float4 x) {
    if (!c.is_there) x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const uint2 quad = {pack_pair(x.x, x.y, T()), pack_pair(x.z, x.w, T())};
    const uint2 halves = exchange_halves(quad, c.row / 4 % 2);
    if (c.is_there) store_result(result_of<T>(args, i) + place_of_quad(c.row, c.column), halves);
    x = unpack_quad<T>(quad);
    store_moments(args, i, c, sum_of_row(moments_of(x)));
    return x;
}

// Of the block's own rows and its cluster's columns, both embeddings' sum: before it, nothing was.
template <typename T>
__device__ static float4 embed(const wb_whole_args &args) {
    const cells c = cells_of(args, 1, place_of(args, OUT), rank_here());
    float4 x = {0.0f, 0.0f, 0.0f, 0.0f};
    if (!is_own() || !is_row_computed(args, c.row)) return x;
    if (c.is_there && c.row < args.m) x = unpack_quad<T>(load_embedding<T>(args, c.row, c.column));
    return store_sums<T>(args, EMBEDDINGS, c, x);
}

// Where the share of the block that is distance ranks further arrives.
__device__ inline float4 *inbox_of(const wb_whole_args &args, const cells &c, unsigned distance) {
    return in_room<float4>(args.room.inbox) + ((distance - 1) * QUADS + c.quad) * 8 + c.row % 8;
}

__device__ inline void expect_shares(const wb_whole_args &args, const place &p) {
    barrier_expect(flag_of(args, INBOX), (CLUSTER - 1) * 8 * p.n_units * UNIT * (int)sizeof(float));
}

// The thread's share of its cells to the block whose rows they are.
__device__ inline void send_share(const wb_whole_args &args, const cells &c, float4 mine) {
    const unsigned to = c.row / 8, distance = (rank_here() - to) % CLUSTER;
    uint32_t cell, flag;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(cell)
                 : "r"(shared_address(inbox_of(args, c, distance))), "r"(to));
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(flag)
                 : "r"(shared_address(flag_of(args, INBOX))), "r"(to));
    asm volatile(
        "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
        "[%5];" ::"r"(cell),
        "f"(mine.x), "f"(mine.y), "f"(mine.z), "f"(mine.w), "r"(flag)
        : "memory");
}

// Sums <- all blocks' shares of each cell + bias + the norm of what was there before. A cell is
// always the same thread's, which knows what that was: *was, then what it is.
template <typename T>
__device__ static void end_sums(const wb_whole_args &args, unsigned i, const place &p,
                                const cells &c, float4 *was) {
    if (!is_row_computed(args, c.row)) return;
    const float4 mine = sum_shares(c, p.kind == OUT ? count_heads(args) : SHARES);
    if (!is_own()) {
        if (c.is_there) send_share(args, c, mine);
        return;
    }
    if (threadIdx.x == 0) expect_shares(args, p);
    const float4 bias = vector_of(args, i, 0)[c.quad], gamma = vector_of(args, i, 1)[c.quad];
    const float4 beta = vector_of(args, i, 2)[c.quad];
    const float2 stats = stats_here(args, i)[c.row];
    float4 x = make_float4((was->x - stats.x) * stats.y * gamma.x + beta.x + bias.x,
                           (was->y - stats.x) * stats.y * gamma.y + beta.y + bias.y,
                           (was->z - stats.x) * stats.y * gamma.z + beta.z + bias.z,
                           (was->w - stats.x) * stats.y * gamma.w + beta.w + bias.w);
    x = add(x, mine);
    barrier_wait_cluster(flag_of(args, INBOX), i / 2 & 1);
#pragma unroll
    for (int k = 1; k < CLUSTER; k++) x = add(x, *inbox_of(args, c, k));
    *was = store_sums<T>(args, i, c, x);
}

// ---- The classifier, and all of it ----

// logits <- the classifier over what the head's product has left.
__device__ inline void classify(const wb_whole_args &args) {
    const unsigned lane = lane_here();
    for (unsigned text = blockIdx.x; text < args.n_texts; text += CLUSTER << args.log_clusters)
        for (unsigned label = warp_here(); label < args.n_labels; label += WARPS) {
            const float *from = result_of<float>(args, 4 * args.n_layers) + text * args.d;
            const float *w = args.classifier_w + (size_t)label * args.d;
            uint4 x[MOST_K / 128];
            fetch(
                x, [=](int k) { return (const uint4 *)(from + 128 * k + 4 * lane); },
                [&](int k) { return 128 * k + 4 * lane < args.d; });
            float sum = 0.0f;
#pragma unroll
            for (int k = 0; k < MOST_K / 128; k++) {
                const unsigned column = 128 * k + 4 * lane;
                if (column >= args.d) continue;
                const float4 a = floats_of(x[k]), b = *(const float4 *)(w + column);
                sum += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
            }
            sum = warp_sum(sum);
            if (lane == 0)
                store_for_host(args.logits + text * args.n_labels + label,
                               sum + args.classifier_bias[label]);
        }
}

template <typename T, int D>
__device__ static void forward(const wb_whole_args &args) {
    if (threadIdx.x == 0) make_flags(args);
    __syncthreads();
    float4 was = embed<T>(args);
    if (warp_here() >= MULTIPLYING) begin_serving(args);
    meet_cluster();  // no block writes to another that has not begun
#pragma unroll 1
    for (unsigned i = 0; i <= 4 * args.n_layers; i++) {
        const place p = place_of(args, i);
        const cells c = cells_of(args, i, p, i % 2 ? rank_here() : 0);
        if (p.kind == OUT)
            attend_heads<T, D>(args, i, p);
        else if (warp_here() < MULTIPLYING)
            multiply_rows<T>(args, i, p);
        if (warp_here() >= MULTIPLYING && i % 2 == 0) bring_stats(args, i);
        __syncthreads();
        if (i % 2)
            end_sums<T>(args, i, p, c, &was);
        else
            end_product<T>(args, i, p, c);
        if (warp_here() >= MULTIPLYING) serve(args, i);
    }
    classify(args);
}

template <typename T, int D>
__global__ static void __launch_bounds__(THREADS, 1)
    whole(const __grid_constant__ wb_whole_args args) {
    if constexpr (HAS_WARPGROUPS) forward<T, D>(args);
}

// ---- Launching ----

enum { MOST_STATIC = 512 };  // bytes of shared memory besides

// Of the blocks of a cluster that with the most.
static int count_most_heads(const wb_whole_args *args) {
    return (args->n_heads + CLUSTER - 1) / CLUSTER;
}

// Three places for matrices; shares of sums, [n][ROWS][8 UNITS] floats, of even steps and of odd
// ones; the other blocks' shares of this one's rows, [3][8][8 UNITS]; of all rows mean and
// 1 / deviation, two steps'; moments of this one's, [PARTS - 1][8]; two steps' vectors; the rows
// that each row attends to, [2][ROWS] bytes; and the flags.
static void lay_out(wb_whole_room *room, const wb_whole_args *args) {
    const int n_heads = count_most_heads(args), columns = UNIT * UNITS;
    const int k[3] = {args->d, n_heads * args->d_head, args->d_ff / CLUSTER};
    int at = 0;
    for (int i = 0; i < 3; i++) {
        room->at[i] = at;
        at += columns * k[i] * 2;
    }
    room->scratch[0] = at;
    room->scratch[1] = room->scratch[0] + SHARES * ROWS * columns * 4;
    room->inbox = room->scratch[1] + (n_heads > SHARES ? n_heads : SHARES) * ROWS * columns * 4;
    room->stats = room->inbox + (CLUSTER - 1) * 8 * columns * 4;
    room->moments = room->stats + 2 * ROWS * 8;
    room->vectors = room->moments + (PARTS - 1) * 8 * 8;
    room->keys = room->vectors + 2 * VECTORS * columns * 4;
    room->flags = room->keys + 2 * ROWS;
    room->n_bytes = room->flags + 8 * N_FLAGS;
}

static const void *kernel_of(const wb_whole_args *args) {
    if (args->cell == WB_CELL_F16)
        return args->d_head == 64 ? (const void *)whole<__half, 64>
                                  : (const void *)whole<__half, 32>;
    return args->d_head == 64 ? (const void *)whole<__nv_bfloat16, 64>
                              : (const void *)whole<__nv_bfloat16, 32>;
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
    config.gridDim = dim3(CLUSTER << args->log_clusters);
    config.blockDim = dim3(THREADS);
    config.dynamicSmemBytes = (size_t)args->room.n_bytes;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    return config;
}

// Of clusters: as many as leave each block a unit of every layer's matrix.
static int log_clusters_of(const wb_whole_args *args) {
    const int narrowest = args->d_ff < 3 * args->d ? args->d_ff : 3 * args->d;
    int log = MOST_LOG_CLUSTERS;
    while (log > 0 && (narrowest / UNIT / CLUSTER < 1 << log || args->d / UNIT < 1 << log)) log--;
    return log;
}

static bool has_shape(const wb_whole_args *args) {
    return args->d % 64 == 0 && args->d <= MOST_K && count_most_heads(args) * TILES <= WARPS &&
           args->d_ff % (32 * CLUSTER) == 0 && args->d_ff <= MOST_K * CLUSTER &&
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
    int device = 0, major = 0, most_shared = 0, cache_bytes = 0, n_resident = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (!code)
        code =
            cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (!code) code = cudaDeviceGetAttribute(&cache_bytes, cudaDevAttrL2CacheSize, device);
    if (code || major != 9 || !has_shape(args)) return false;
    args->n_kept = count_kept(args, cache_bytes);
    args->log_clusters = log_clusters_of(args);
    args->results_bytes = results_bytes_of(*args);
    lay_out(&args->room, args);
    const int n_bytes = args->room.n_bytes;
    if (n_bytes + MOST_STATIC > most_shared) return false;
    cudaLaunchAttribute attributes[2];
    const cudaLaunchConfig_t config = configure(args, attributes, 0);
    const void *kernel = kernel_of(args);
    code = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, n_bytes);
    if (!code) code = cudaOccupancyMaxActiveClusters(&n_resident, kernel, &config);
    return !code && n_resident >= 1 << args->log_clusters;
}

unsigned wb_launch_whole(const wb_whole_args *args, wb_stream stream) {
    cudaLaunchAttribute attributes[2];
    const cudaLaunchConfig_t config = configure(args, attributes, stream);
    void *params[] = {(void *)args};
    return cudaLaunchKernelExC(&config, kernel_of(args), params);
}
