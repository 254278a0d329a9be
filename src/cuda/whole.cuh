// SPDX-License-Identifier: Apache-2.0
// What the steps of whole.cu are made of: a block's shared memory and its share of each matrix
// there, copies under way, blocks waiting for each other, and the products of 16 M rows with the
// block's columns, whose sums warps share out by k.
#ifndef WB_CUDA_WHOLE_CUH
#define WB_CUDA_WHOLE_CUH

#include "cuda/hopper.cuh"

enum {
    WARPS = 12,  // that compute; k = 768 comes out even
    COMPUTING = 32 * WARPS,
    THREADS = COMPUTING + 32,  // and one that meets other blocks and sends for weights
    CLUSTER = 2,
    UNIT = 8,          // columns
    UNITS = 3,         // at most, of a block and a matrix
    STEP_BYTES = 512,  // of a unit and 32 k: 16 a lane
    STEPS = 2,         // of 32 k, at most, of a warp where k is d_model
    WIDE_STEPS = 4,    // where it is a block's part of d_ff
    MOST_D = 32 * WARPS * STEPS,
    MOST_D_FF = 32 * WARPS * WIDE_STEPS * CLUSTER
};

enum { QKV, OUT, UP, DOWN, INBOX, N_FLAGS };

// Barriers of a block's warps. At two of them a step begins and ends for the warp that does not
// compute; in the middle of a step the others share their sums, with the rows' stats that it has
// for them or among themselves.
enum { BEGIN = 1, END, WITH_STATS, WITHOUT_STATS };

// ---- What lies in shared memory ----

extern __shared__ uint4 shared_memory[];

template <typename T>
__device__ inline T *in_room(int at) {
    return (T *)((unsigned char *)shared_memory + at);
}

__device__ inline uint64_t *flag_of(const wb_whole_args &args, int i) {
    return in_room<uint64_t>(args.room.flags) + i;
}

__device__ inline int rank_here(void) {
    return (int)blockIdx.x % CLUSTER;
}

// One matrix's share of this block: n_units units of w from unit first on; of each unit_bytes of
// them n_bytes from byte first_byte on.
struct place {
    int kind, at, n_units, first, unit_bytes, first_byte, n_bytes;
};

__device__ inline int first_head_of(const wb_whole_args &args, int rank) {
    return args.n_heads * rank / CLUSTER;
}

// Of qkv, up and the head's product: columns shared out among all blocks.
__device__ inline place place_by_block(const wb_whole_args &args, int product) {
    const int kind = product % 4, is_head = product == 4 * args.n_layers;
    const int n = is_head ? args.d : kind == UP ? args.d_ff : 3 * args.d;
    const int first = n / UNIT * (int)blockIdx.x / (int)gridDim.x, n_bytes = 2 * UNIT * args.d;
    const int end = n / UNIT * ((int)blockIdx.x + 1) / (int)gridDim.x;
    return {kind, args.room.at[kind], end - first, first, n_bytes, 0, n_bytes};
}

// Of out and down: columns shared out among clusters, to as few as can hold them, since each reads
// all rows; of k each block has a part.
__device__ inline place place_by_cluster(const wb_whole_args &args, int product) {
    const int kind = product % 4, begin = (int)blockIdx.x / CLUSTER * UNITS, rank = rank_here();
    const int first_head = first_head_of(args, rank), part = args.d_ff / CLUSTER;
    const int first_k = kind == OUT ? first_head * args.d_head : rank * part;
    const int k = kind == OUT ? (first_head_of(args, rank + 1) - first_head) * args.d_head : part;
    return {kind,
            args.room.at[kind],
            max(0, min(UNITS, args.d / UNIT - begin)),
            begin,
            2 * UNIT * (kind == OUT ? args.d : args.d_ff),
            2 * UNIT * first_k,
            2 * UNIT * k};
}

// ---- Weights on their way ----

// A block's share of a product's matrix on its way to its place, in copies that one thread begins
// one at a time. What the cache cannot keep until the next forward is the first to leave it.
struct sending {
    const unsigned char *from;
    int to, n_copies, n_bytes, stride;
    uint64_t *flag;
    bool is_kept;
};

__device__ inline sending send_for(const wb_whole_args &args, int product) {
    if (product > 4 * args.n_layers) return {};
    const place p = product % 2 ? place_by_cluster(args, product) : place_by_block(args, product);
    if (p.n_units == 0 || p.n_bytes == 0) return {};
    uint64_t *flag = flag_of(args, p.kind);
    barrier_expect(flag, p.n_units * p.n_bytes);
    const unsigned char *from = (const unsigned char *)args.products[product].units +
                                (size_t)p.first * p.unit_bytes + p.first_byte;
    const bool is_kept = product < args.n_kept;
    if (p.n_bytes == p.unit_bytes) return {from, p.at, 1, p.n_units * p.n_bytes, 0, flag, is_kept};
    return {from, p.at, p.n_units, p.n_bytes, p.unit_bytes, flag, is_kept};
}

__device__ inline void send_next(sending *s) {
    if (s->n_copies == 0) return;
    uint64_t policy;
    if (s->is_kept)
        asm volatile("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
    else
        asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(in_room<char>(s->to))),
        "l"(s->from), "r"(s->n_bytes), "r"(shared_address(s->flag)), "l"(policy)
        : "memory");
    s->from += s->stride, s->to += s->n_bytes, s->n_copies--;
}

// Until they have come for the i-th time, from 0.
__device__ inline void wait_for(const wb_whole_args &args, const place &p, int i) {
    if (p.n_units > 0 && p.n_bytes > 0) barrier_wait(flag_of(args, p.kind), i & 1);
}

// Flags and keys, and the first layer's weights on their way. The block's next barrier is before
// any use of them.
__device__ inline void open_room(const wb_whole_args &args) {
    const int t = threadIdx.x;
    if (t == COMPUTING) {
        for (int i = 0; i < N_FLAGS; i++) barrier_init(flag_of(args, i), 1);
        barrier_publish();
#pragma unroll 1
        for (int product = 0; product < 4; product++) {
            sending s = send_for(args, product);
            while (s.n_copies > 0) send_next(&s);
        }
    }
    if (t < 32) {
        uint8_t *keys = in_room<uint8_t>(args.room.keys);
        const int row = min(t, args.m - 1);
        keys[t] = args.first_key[row];
        keys[32 + t] = args.end_key[row];
    }
}

// What is read of each layer beside matrices is waited for: into the cache with it, a block an
// array.
__device__ inline void fetch_vectors(const wb_whole_args &args) {
    const int n_products = 4 * args.n_layers + 1, i = (int)blockIdx.x - n_products;
    const int line = 32 * (int)threadIdx.x;
    const float *arrays[2] = {NULL, NULL};
    int length = args.d;
    if (i < 0) {
        arrays[0] = args.products[blockIdx.x].bias, arrays[1] = args.products[blockIdx.x].sums;
        if (i < -1 && blockIdx.x % 4 == QKV) length = 3 * args.d;
        if (i < -1 && blockIdx.x % 4 == UP) length = args.d_ff;
    } else if (i < 2 * args.n_layers) {
        arrays[0] = args.norms[i].gamma, arrays[1] = args.norms[i].beta;
    }
    for (int k = 0; k < 2; k++)
        if (arrays[k] && line < length)
            asm volatile("prefetch.global.L2 [%0];" ::"l"(arrays[k] + line));
}

// ---- Blocks meeting, by the warp of each that does not compute: the others arrive at the end of a
// step, make the next one ready and wait at its beginning ----

// Counts this block, and says how many were there before; what its threads have written before
// their barrier is seen by whoever sees the count.
__device__ inline uint32_t arrive(uint32_t *arrivals) {
    uint32_t before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                 : "=r"(before)
                 : "l"(arrivals)
                 : "memory");
    return before;
}

// Mean and 1 / deviation of a row.
__device__ inline float2 stats_of(float sum, float square, int d) {
    const float scale = __fdividef(1.0f, (float)d), mean = sum * scale;
    const float variance = fmaxf(square * scale - mean * mean, 0.0f);
    return make_float2(mean, rsqrtf(variance + WB_NORM_EPSILON));
}

// By one warp: the stats of all rows, from the moments that blocks have left.
__device__ inline void share_stats(const wb_whole_args &args) {
    const int row = threadIdx.x % 32;
    float2 sum = {0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < MOST_D / (UNIT * UNITS); i++) {
        const float2 part = __ldcg((const float2 *)args.moments + 32 * i + row);
        sum.x += part.x, sum.y += part.y;
    }
    in_room<float2>(args.room.stats)[row] = stats_of(sum.x, sum.y, args.d);
}

// All steps of the warp that does not compute: step i is product i's. Weights for the place of the
// step's matrix are sent for once the block is counted: before that, they would hold up the count.
// Returns in the first lane whether this block was the last to end the last step.
__device__ inline bool serve(const wb_whole_args &args) {
    const bool is_first = threadIdx.x % 32 == 0;
    uint32_t seen = 0, all = 0;
#pragma unroll 1
    for (int i = 0; i <= 4 * args.n_layers; i++) {
        if (i > 0 && i % 2 == 0) share_stats(args);
        if (i % 2 == 0) threads_arrive(WITH_STATS, THREADS);
        threads_wait(END, THREADS);
        all += gridDim.x;
        if (is_first) {
            seen = arrive(args.arrivals) + 1;
            sending s = send_for(args, i + 4);
            while (i < 4 * args.n_layers && (seen < all || s.n_copies > 0)) {
                send_next(&s);
                if (seen < all)
                    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                                 : "=r"(seen)
                                 : "l"(args.arrivals)
                                 : "memory");
            }
        }
        __syncwarp();
        if (i < 4 * args.n_layers) threads_arrive(BEGIN, THREADS);
    }
    return is_first && seen == all;
}

// p as it is here: the compiler puts off past a wait what it can.
template <typename T>
__device__ inline const T *ready(const T *p) {
    asm volatile("" : "+l"(p));
    return p;
}

// Until all threads of a cluster are here, where a fence has seen to what they have written.
__device__ inline void meet_cluster(void) {
    asm volatile(
        "barrier.cluster.arrive.relaxed.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::
            : "memory");
}

// ---- Rows in memory: 32 columns at a time, of these 8 rows, so that a warp reads in one piece
// what it multiplies with ----

enum { TILE = 8 * 32, COLUMN_TILES = 4 * TILE };

__device__ inline int place_of_cell(int row, int column) {
    return column / 32 * COLUMN_TILES + row / 8 * TILE + row % 8 * 32 + column % 32;
}

// ---- Products ----

// A lane's share of 16 M rows: rows 16 m + 8 half + lane / 4; of its warp's step i of 32 k, cells
// [8 (lane % 4), + 8), as in skinny.cu.
__device__ inline int row_of(int m, int half) {
    return 16 * m + 8 * half + (int)threadIdx.x % 32 / 4;
}

__device__ inline int step_of(int i) {
    return ((int)threadIdx.x / 32 + (int)blockIdx.x) % WARPS + WARPS * i;
}

// Where the lane's share of the warp's first step begins.
template <typename T>
__device__ inline const T *lane_rows(const void *rows) {
    return (const T *)rows + step_of(0) * COLUMN_TILES + 8 * (threadIdx.x % 32);
}

// a <- the lane's share of step i; zeros from step n_steps on, and where there is no row.
template <typename T, int M>
__device__ inline void load_step(uint4 a[M][2], const T *from, int n_rows, int i, int n_steps) {
    const uint4 none = {0, 0, 0, 0};
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++)
            a[m][half] = step_of(i) < n_steps && row_of(m, half) < n_rows
                             ? __ldcg((const uint4 *)(from + WARPS * COLUMN_TILES * i +
                                                      (2 * m + half) * TILE))
                             : none;
}

template <typename T>
__device__ inline float4 unpack_quad(uint2 quad) {
    const T *cells = (const T *)&quad;
    return make_float4(load1(cells), load1(cells + 1), load1(cells + 2), load1(cells + 3));
}

// Their sum and that of their squares.
__device__ inline float2 moments_of(const float4 &x) {
    return make_float2(x.x + x.y + x.z + x.w, x.x * x.x + x.y * x.y + x.z * x.z + x.w * x.w);
}

__device__ inline uint32_t add_pairs(uint32_t a, uint32_t b, __half) {
    const __half2 sum = __hadd2(*(const __half2 *)&a, *(const __half2 *)&b);
    return *(const uint32_t *)&sum;
}

__device__ inline uint32_t add_pairs(uint32_t a, uint32_t b, __nv_bfloat16) {
    const __nv_bfloat162 sum = __hadd2(*(const __nv_bfloat162 *)&a, *(const __nv_bfloat162 *)&b);
    return *(const uint32_t *)&sum;
}

// Cells of a row's sum of both embeddings: a V holds some of them in pairs.
template <typename T, typename V>
__device__ inline V load_embedding(const wb_whole_args &args, int row, int column) {
    V a = *(const V *)((const T *)args.words + (size_t)args.ids[row] * args.d + column);
    const V b =
        *(const V *)((const T *)args.positions + (size_t)args.position[row] * args.d + column);
    uint32_t *sum = (uint32_t *)&a;
#pragma unroll
    for (size_t i = 0; i < sizeof(V) / 4; i++)
        sum[i] = add_pairs(sum[i], ((const uint32_t *)&b)[i], T());
    return a;
}

// What a lane multiplies with in step step of each unit; zeros from step n_steps on. Where a block
// has fewer units, its last again: what becomes of that, nobody looks at.
__device__ inline void load_units(uint4 b[UNITS], const place &p, int step, int n_steps) {
    const unsigned char *w =
        in_room<unsigned char>(p.at + min(step, n_steps - 1) * STEP_BYTES + threadIdx.x % 32 * 16);
    const uint4 none = {0, 0, 0, 0};
#pragma unroll
    for (int u = 0; u < UNITS; u++) {
        b[u] = *(const uint4 *)(w + max(0, min(u, p.n_units - 1)) * p.n_bytes);
        if (step >= n_steps) b[u] = none;
    }
}

// sums += the lane's rows times 32 k of each unit.
template <typename T, int M>
__device__ inline void multiply_step(float sums[UNITS][M][4], const uint4 a[M][2],
                                     const uint4 b[UNITS]) {
#pragma unroll
    for (int u = 0; u < UNITS; u++) {
        const uint32_t low[2] = {b[u].x, b[u].y}, high[2] = {b[u].z, b[u].w};
#pragma unroll
        for (int m = 0; m < M; m++) {
            const uint32_t first[4] = {a[m][0].x, a[m][1].x, a[m][0].y, a[m][1].y};
            const uint32_t second[4] = {a[m][0].z, a[m][1].z, a[m][0].w, a[m][1].w};
            multiply(sums[u][m], first, low, T());
            multiply(sums[u][m], second, high, T());
        }
    }
}

// A warp's share of the sums of 16 rows to where each thread finds those of its cells.
__device__ inline void share_sums(float *scratch, const float sums[4], int tile, int u) {
    const int lane = threadIdx.x % 32;
    float *to = scratch + (16 * tile + lane / 4) * UNIT * UNITS + UNIT * u + 2 * (lane % 4);
    *(float2 *)to = make_float2(sums[0], sums[1]);
    *(float2 *)(to + 8 * UNIT * UNITS) = make_float2(sums[2], sums[3]);
}

// Four neighbouring cells of a product's result, a thread's own: of row t / 8, counted from
// first_row and around, those of quad t % 8. The last two quads are nobody's.
struct cells {
    int row, quad, column;
    bool is_there;  // of 16 M rows; the batch may have fewer
};

__device__ inline cells cells_of(const place &p, int first_row, int n_rows) {
    const int t = threadIdx.x, quad = t % 8, u = quad / 2;
    return {(first_row + t / 8) % n_rows, quad, UNIT * (p.first + u) + 4 * (quad % 2),
            t / 8 < n_rows && u < p.n_units};
}

__device__ inline float4 add(const float4 &a, const float4 &b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// The sum of what warps have of them: all, or of S warps the one that has 16 rows of them.
template <int M, int S>
__device__ inline float4 sum_shares(const float *scratch, const cells &c) {
    float4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
    if (!c.is_there) return sum;
    const int first = S == 1 ? 0 : c.row / 16;
    const float *from = scratch + (16 * M * first + c.row) * UNIT * UNITS + 4 * c.quad;
#pragma unroll
    for (int i = 0; i < WARPS; i += S)
        sum = add(sum, *(const float4 *)(from + 16 * M * i * UNIT * UNITS));
    return sum;
}

// A vector's four numbers for them.
__device__ inline float4 quad_of(const float *vector, const cells &c) {
    return c.is_there ? __ldg((const float4 *)(vector + c.column))
                      : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}

#endif
