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
#include "cuda/activate.cuh"
#include "cuda/tile.cuh"

enum {
    WARPS = 12,  // k = 768 comes out even
    THREADS = 32 * WARPS,
    CLUSTER = 2,
    UNIT = 8,        // columns
    UNITS = 3,       // at most, of a block and a matrix
    STEPS = 2,       // of 32 k, at most, of a warp where k is d_model
    WIDE_STEPS = 4,  // where it is a block's part of d_ff
    MOST_D = 32 * WARPS * STEPS,
    MOST_D_FF = 32 * WARPS * WIDE_STEPS * CLUSTER
};

// ---- What lies in shared memory ----

// One matrix's share of this block: 8 n_units rows of w, of each n_bytes from byte first_byte on,
// stride apart, so that lanes that read together do so from different banks. Unit u is the matrix's
// unit first + u step. filled counts the copies of each layer.
struct place {
    unsigned char *rows;
    uint64_t *filled;
    int stride, n_units, first, step, first_byte, n_bytes;
};

struct room {
    place qkv, out, up, down;
    int first_head, n_heads;  // of this block
    float *scratch;   // [WARPS M][16][8 UNITS]: the warps' shares of sums; or keys and values
    float2 *moments;  // [WARPS][32]: the warps' shares of each row's sum and sum of squares
    float2 *stats;    // [32]: mean and 1 / deviation of each row
    float *inbox;     // [CLUSTER][rows][8 UNITS]: the cluster's shares of this block's rows
};

// 64 bytes more than a multiple of 128 where lanes read 16 bytes each of 8 rows and 4 places, 16
// more where ldmatrix reads 16 bytes each of 8 rows.
enum { PAD_QUADS = 64, PAD_MATRICES = 16 };

enum { MOST_STATIC = 512 };  // bytes of shared memory besides

struct sizes {
    int most_units[4], k[4], bytes[4];
    int scratch, total;
};

__host__ __device__ static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

__host__ __device__ static sizes sizes_of(const wb_whole_args &args) {
    const int n_blocks = args.n_clusters * CLUSTER;
    sizes s = {};
    s.most_units[0] = ceil_div(3 * args.d / UNIT, n_blocks);
    s.most_units[1] = s.most_units[3] = UNITS;
    s.most_units[2] = ceil_div(args.d_ff / UNIT, n_blocks);
    s.k[0] = s.k[2] = args.d;
    s.k[1] = ceil_div(args.n_heads, CLUSTER) * args.d_head;
    s.k[3] = args.d_ff / CLUSTER;
    for (int i = 0; i < 4; i++) {
        s.bytes[i] = s.most_units[i] * UNIT * (2 * s.k[i] + (i == 1 ? PAD_MATRICES : PAD_QUADS));
        s.total += s.bytes[i];
    }
    const int sums = WARPS * 32 * UNIT * UNITS * 4, keys = WARPS / 2 * 2 * 32 * args.d_head * 2;
    s.scratch = sums > keys ? sums : keys;
    s.total += s.scratch + (WARPS + 1) * 32 * (int)sizeof(float2) + 32 * UNIT * UNITS * 4 +
               4 * (int)sizeof(uint64_t);
    return s;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

__device__ static int cluster_rank(void) {
    return (int)blockIdx.x % CLUSTER;
}

// A matrix whose columns are shared out among all blocks.
__device__ static place place_by_block(unsigned char *rows, uint64_t *filled, int n, int k) {
    const int n_units = n / UNIT, block = (int)blockIdx.x, n_blocks = (int)gridDim.x;
    return {rows,
            filled,
            2 * k + PAD_QUADS,
            block < n_units ? ceil_div(n_units - block, n_blocks) : 0,
            block,
            n_blocks,
            0,
            2 * k};
}

// One whose columns are shared out among clusters, to as few as can hold them, since each reads all
// rows; k [first, first + k) is this block's.
__device__ static place place_by_cluster(unsigned char *rows, uint64_t *filled, int n, int first,
                                         int k, int stride) {
    const int begin = (int)blockIdx.x / CLUSTER * UNITS;
    return {rows, filled, stride, max(0, min(UNITS, n / UNIT - begin)), begin, 1, 2 * first, 2 * k};
}

__device__ static room lay_out(unsigned char *shared, const wb_whole_args &args) {
    const sizes s = sizes_of(args);
    const int rank = cluster_rank(), part = args.d_ff / CLUSTER;
    unsigned char *at[5] = {shared};
    for (int i = 0; i < 4; i++) at[i + 1] = at[i] + s.bytes[i];
    room r;
    r.scratch = (float *)at[4];
    r.moments = (float2 *)(at[4] + s.scratch);
    r.stats = r.moments + WARPS * 32;
    r.inbox = (float *)(r.stats + 32);
    uint64_t *filled = (uint64_t *)(r.inbox + 32 * UNIT * UNITS);
    r.first_head = args.n_heads * rank / CLUSTER;
    r.n_heads = args.n_heads * (rank + 1) / CLUSTER - r.first_head;
    r.qkv = place_by_block(at[0], filled, 3 * args.d, args.d);
    r.out = place_by_cluster(at[1], filled + 1, args.d, r.first_head * args.d_head,
                             r.n_heads * args.d_head, 2 * s.k[1] + PAD_MATRICES);
    r.up = place_by_block(at[2], filled + 2, args.d_ff, args.d);
    r.down = place_by_cluster(at[3], filled + 3, args.d, rank * part, part, 2 * part + PAD_QUADS);
    return r;
}

// ---- Weights on their way ----

// By one warp: the block's share of w[n, k] to its place. Weights are read once a forward: they are
// the first to leave the cache again.
__device__ static void send_for(const place &p, const void *w, int k) {
    const int lane = threadIdx.x % 32, n_rows = UNIT * p.n_units;
    const uint32_t filled = shared_address(p.filled);
    if (n_rows == 0 || p.n_bytes == 0) return;
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    if (lane == 0)
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(filled),
                     "r"(n_rows * p.n_bytes)
                     : "memory");
    __syncwarp();
    for (int i = lane; i < n_rows; i += 32) {
        const size_t row = (size_t)UNIT * (p.first + i / UNIT * p.step) + i % UNIT;
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
            "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(p.rows + i * p.stride)),
            "l"((const unsigned char *)w + row * 2 * k + p.first_byte), "r"(p.n_bytes), "r"(filled),
            "l"(policy)
            : "memory");
    }
}

// Until the copies of the place's use number i have come.
__device__ static void wait_for(const place &p, int i) {
    if (p.n_units == 0 || p.n_bytes == 0) return;
    const uint32_t filled = shared_address(p.filled);
    uint32_t is_done = 0;
    while (!is_done)
        asm volatile(
            "{\n\t.reg .pred p;\n\t"
            "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
            "selp.u32 %0, 1, 0, p;\n\t}"
            : "=r"(is_done)
            : "r"(filled), "r"(i & 1)
            : "memory");
}

__device__ static void open_places(const room &r) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < 4; i++)
            asm volatile(
                "mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(r.qkv.filled + i))
                : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::
                         : "memory");
    }
    __syncthreads();
}

// What is read of each layer beside matrices is waited for: into the cache with it, a block an
// array.
__device__ static void fetch_vectors(const wb_whole_args &args) {
    const int n_products = 4 * args.n_layers + 1, i = (int)blockIdx.x - n_products;
    const int n[4] = {3 * args.d, args.d, args.d_ff, args.d}, line = 32 * (int)threadIdx.x;
    const float *arrays[2] = {NULL, NULL};
    int length = args.d;
    if (i < 0) {
        arrays[0] = args.products[blockIdx.x].bias, arrays[1] = args.products[blockIdx.x].sums;
        if (i < -1) length = n[blockIdx.x % 4];
    } else if (i < 2 * args.n_layers) {
        arrays[0] = args.norms[i].gamma, arrays[1] = args.norms[i].beta;
    }
    for (int k = 0; k < 2; k++)
        if (arrays[k] && line < length)
            asm volatile("prefetch.global.L2 [%0];" ::"l"(arrays[k] + line));
}

// ---- Blocks meeting ----

// Counts this block; what its threads have written is seen by whoever sees the count.
__device__ static uint32_t arrive(uint32_t *arrivals) {
    uint32_t before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                 : "=r"(before)
                 : "l"(arrivals)
                 : "memory");
    return before;
}

// Until all blocks have come here for the number-th time, from 1.
__device__ static void meet(uint32_t *arrivals, int number) {
    __syncthreads();
    if (threadIdx.x == 0) {
        const uint32_t target = (uint32_t)number * gridDim.x;
        uint32_t seen = arrive(arrivals) + 1;
        while (seen < target)
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                         : "=r"(seen)
                         : "l"(arrivals)
                         : "memory");
    }
    __syncthreads();
}

// The same of a cluster's threads, whose stores to each other's memory are seen afterwards.
__device__ static void meet_cluster(void) {
    asm volatile(
        "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::
            : "memory");
}

// Where another block of the cluster has what is at p here.
__device__ static uint32_t address_at(const void *p, int rank) {
    uint32_t address;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(address)
                 : "r"(shared_address(p)), "r"(rank));
    return address;
}

// ---- Products ----

// A lane's share of 16 M rows: rows 16 m + 8 half + lane / 4; of its warp's step i of 32 k, cells
// [8 (lane % 4), + 8), as in skinny.cu.
__device__ static int row_of(int m, int half) {
    return 16 * m + 8 * half + (int)threadIdx.x % 32 / 4;
}

__device__ static int k_of(int i) {
    return 32 * ((int)threadIdx.x / 32 + WARPS * i) + 8 * ((int)threadIdx.x % 4);
}

template <typename T>
__device__ static float2 unpack_pair(uint32_t pair) {
    const T *cells = (const T *)&pair;
    return make_float2(load1(cells), load1(cells + 1));
}

__device__ static uint32_t add_pairs(uint32_t a, uint32_t b, __half) {
    const __half2 sum = __hadd2(*(const __half2 *)&a, *(const __half2 *)&b);
    return *(const uint32_t *)&sum;
}

__device__ static uint32_t add_pairs(uint32_t a, uint32_t b, __nv_bfloat16) {
    const __nv_bfloat162 sum = __hadd2(*(const __nv_bfloat162 *)&a, *(const __nv_bfloat162 *)&b);
    return *(const uint32_t *)&sum;
}

// Eight cells of a row that a norm is taken of: of the sums, or of both embeddings' tables.
template <typename T>
__device__ static uint4 load_cells(const wb_whole_args &args, bool is_embedding, int row,
                                   int column) {
    if (!is_embedding) return __ldcg((const uint4 *)((const T *)args.sums + row * args.d + column));
    const uint4 a =
        *(const uint4 *)((const T *)args.words + (size_t)args.ids[row] * args.d + column);
    const uint4 b =
        *(const uint4 *)((const T *)args.positions + (size_t)args.position[row] * args.d + column);
    return make_uint4(add_pairs(a.x, b.x, T()), add_pairs(a.y, b.y, T()), add_pairs(a.z, b.z, T()),
                      add_pairs(a.w, b.w, T()));
}

// sums += the lane's rows times 32 k of each unit.
template <typename T, int M>
__device__ static void multiply_step(float sums[UNITS][M][4], const uint4 a[M][2], const place &p,
                                     int k) {
    const unsigned char *w = p.rows + (threadIdx.x % 32 / 4) * p.stride + 2 * k;
#pragma unroll
    for (int u = 0; u < UNITS; u++) {
        if (u >= p.n_units) continue;
        const uint4 b = *(const uint4 *)(w + UNIT * u * p.stride);
        const uint32_t low[2] = {b.x, b.y}, high[2] = {b.z, b.w};
#pragma unroll
        for (int m = 0; m < M; m++) {
            const uint32_t first[4] = {a[m][0].x, a[m][1].x, a[m][0].y, a[m][1].y};
            const uint32_t second[4] = {a[m][0].z, a[m][1].z, a[m][0].w, a[m][1].w};
            multiply(sums[u][m], first, low, T());
            multiply(sums[u][m], second, high, T());
        }
    }
}

__device__ static uint32_t ones(__half) {
    return 0x3c003c00u;
}

__device__ static uint32_t ones(__nv_bfloat16) {
    return 0x3f803f80u;
}

// sum[m] += the rows' sums, square[m][half] += the products of all rows of 16 with the eight of a
// half, a left side's registers being a right side's as well. Columns of sum are alike; of square a
// lane's own rows are on the diagonal.
template <typename T, int M>
__device__ static void add_moments(float sum[M][4], float square[M][2][4], const uint4 a[M][2]) {
    const uint32_t one[2] = {ones(T()), ones(T())};
#pragma unroll
    for (int m = 0; m < M; m++) {
        const uint32_t first[4] = {a[m][0].x, a[m][1].x, a[m][0].y, a[m][1].y};
        const uint32_t second[4] = {a[m][0].z, a[m][1].z, a[m][0].w, a[m][1].w};
        multiply(sum[m], first, one, T());
        multiply(sum[m], second, one, T());
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint32_t low[2] = {a[m][half].x, a[m][half].y};
            const uint32_t high[2] = {a[m][half].z, a[m][half].w};
            multiply(square[m][half], first, low, T());
            multiply(square[m][half], second, high, T());
        }
    }
}

// The warp's share of each row's moments, from the lane that has the diagonal.
template <int M>
__device__ static void share_moments(float2 *moments, const float sum[M][4],
                                     const float square[M][2][4]) {
    const int warp = threadIdx.x / 32, row = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
    if (quad != row / 2) return;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float *pair = square[m][half] + 2 * half;
            moments[32 * warp + row_of(m, half)] =
                make_float2(sum[m][2 * half], row % 2 ? pair[1] : pair[0]);
        }
}

// A warp's share of the sums of rows [16 m, + 16) to where each thread finds those of its cells.
__device__ static void share_sums(float *scratch, const float sums[4], int tile, int u) {
    const int lane = threadIdx.x % 32;
    float *to = scratch + (16 * tile + lane / 4) * UNIT * UNITS + UNIT * u + 2 * (lane % 4);
    *(float2 *)to = make_float2(sums[0], sums[1]);
    *(float2 *)(to + 8 * UNIT * UNITS) = make_float2(sums[2], sums[3]);
}

// Two neighbouring cells of a product's result, a thread's own: those of pair t % 12 of row t / 12.
struct cells {
    int row, pair, column;
    bool is_there;
};

__device__ static cells cells_of(const wb_whole_args &args, const place &p, int first_row,
                                 int n_rows) {
    const int t = threadIdx.x, row = t / (4 * UNITS), pair = t % (4 * UNITS), u = pair / 4;
    return {first_row + row, pair, UNIT * (p.first + u * p.step) + 2 * (pair % 4),
            row < n_rows && first_row + row < args.m && u < p.n_units};
}

// The sum of what warps first, first + step, .. have of them.
template <int M>
__device__ static float2 sum_shares(const float *scratch, const cells &c, int first, int step) {
    const float *from = scratch + (16 * (c.row / 16) + c.row % 16) * UNIT * UNITS + 2 * c.pair;
    float2 sum = {0.0f, 0.0f};
#pragma unroll
    for (int warp = first; warp < WARPS; warp += step) {
        const float2 share = *(const float2 *)(from + 16 * M * warp * UNIT * UNITS);
        sum.x += share.x, sum.y += share.y;
    }
    return sum;
}

template <typename T>
__device__ static void store_pair(void *y, int ld, const cells &c, float2 value) {
    __stcg((unsigned *)((T *)y + (size_t)c.row * ld + c.column), pack_pair(value.x, value.y, T()));
}

// A vector's two numbers for them.
__device__ static float2 pair_of(const float *vector, const cells &c) {
    return c.is_there ? __ldg((const float2 *)(vector + c.column)) : make_float2(0.0f, 0.0f);
}

// Mean and 1 / deviation of a row, from all warps' shares.
__device__ static float2 sum_moments(const float2 *moments, int row, int d) {
    float2 sum = {0.0f, 0.0f};
#pragma unroll
    for (int warp = 0; warp < WARPS; warp++) {
        const float2 share = moments[32 * warp + row];
        sum.x += share.x, sum.y += share.y;
    }
    const float scale = 1.0f / (float)d, mean = sum.x * scale;
    const float variance = fmaxf(sum.y * scale - mean * mean, 0.0f);
    return make_float2(mean, rsqrtf(variance + WB_NORM_EPSILON));
}

// The thread's cells of the rows' norm times a matrix, whose place is used for the use-th time;
// then the place is free. Leaves the rows' stats behind.
template <typename T, int M>
__device__ static float2 multiply_norm(const room &r, const wb_whole_args &args, const place &p,
                                       int use, const wb_whole_product &product, bool is_embedding,
                                       const cells &c) {
    uint4 a[STEPS][M][2];
#pragma unroll
    for (int i = 0; i < STEPS; i++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                if (k_of(i) < args.d)
                    a[i][m][half] = load_cells<T>(args, is_embedding,
                                                  min(row_of(m, half), args.m - 1), k_of(i));
    const float2 bias = pair_of(product.bias, c), w_sum = pair_of(product.sums, c);
    float sums[UNITS][M][4] = {}, sum[M][4] = {}, square[M][2][4] = {};
#pragma unroll
    for (int i = 0; i < STEPS; i++)
        if (k_of(i) < args.d) add_moments<T, M>(sum, square, a[i]);
    share_moments<M>(r.moments, sum, square);
    wait_for(p, use);
#pragma unroll
    for (int i = 0; i < STEPS; i++)
        if (k_of(i) < args.d) multiply_step<T, M>(sums, a[i], p, k_of(i));
    for (int u = 0; u < UNITS; u++)
        for (int m = 0; m < M; m++)
            share_sums(r.scratch, sums[u][m], M * (threadIdx.x / 32) + m, u);
    __syncthreads();
    const float2 stats = sum_moments(r.moments, min(c.row, 16 * M - 1), args.d);
    if (c.pair == 0 && c.row < 16 * M) r.stats[c.row] = stats;
    if (!c.is_there) return make_float2(0.0f, 0.0f);
    const float2 share = sum_shares<M>(r.scratch, c, 0, 1);
    return make_float2((share.x - stats.x * w_sum.x) * stats.y + bias.x,
                       (share.y - stats.x * w_sum.y) * stats.y + bias.y);
}

// sums <- the cluster's shares of each cell, mine being this thread's, + bias + the norm of what
// was there before. A cell is always the same thread's, which knows what that was: *was, then what
// it is.
template <typename T, int M>
__device__ static void add_up(const room &r, const wb_whole_args &args, const place &p,
                              const cells &c, float2 mine, const wb_whole_product &product,
                              const wb_whole_norm &norm, float2 *was) {
    constexpr int ROWS = 16 * M / CLUSTER;
    const cells own = cells_of(args, p, ROWS * cluster_rank(), ROWS);
    const float2 bias = pair_of(product.bias, own), gamma = pair_of(norm.gamma, own);
    const float2 beta = pair_of(norm.beta, own), stats = r.stats[min(own.row, 16 * M - 1)];
    if (c.is_there) {
        const float *at =
            r.inbox + (ROWS * cluster_rank() + c.row % ROWS) * UNIT * UNITS + 2 * c.pair;
        asm volatile(
            "st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(address_at(at, c.row / ROWS)),
            "f"(mine.x), "f"(mine.y)
            : "memory");
    }
    meet_cluster();
    if (!own.is_there) return;
    float2 sum = make_float2((was->x - stats.x) * stats.y * gamma.x + beta.x + bias.x,
                             (was->y - stats.x) * stats.y * gamma.y + beta.y + bias.y);
    for (int i = 0; i < CLUSTER; i++) {
        const float2 share =
            *(const float2 *)(r.inbox + (ROWS * i + own.row % ROWS) * UNIT * UNITS + 2 * own.pair);
        sum.x += share.x, sum.y += share.y;
    }
    const uint32_t pair = pack_pair(sum.x, sum.y, T());
    __stcg((unsigned *)((T *)args.sums + own.row * args.d + own.column), pair);
    *was = unpack_pair<T>(pair);
}

// What a thread's cells are before the first layer.
template <typename T, int M>
__device__ static float2 begin_cells(const room &r, const wb_whole_args &args) {
    constexpr int ROWS = 16 * M / CLUSTER;
    const cells own = cells_of(args, r.out, ROWS * cluster_rank(), ROWS);
    if (!own.is_there) return make_float2(0.0f, 0.0f);
    const T *words = (const T *)args.words + (size_t)args.ids[own.row] * args.d + own.column;
    const T *positions =
        (const T *)args.positions + (size_t)args.position[own.row] * args.d + own.column;
    return unpack_pair<T>(add_pairs(*(const uint32_t *)words, *(const uint32_t *)positions, T()));
}

// ---- Attention ----

// Scores of 16 queries to probabilities that still want to be divided by their sum.
template <int N>
__device__ static void soften(float s[N][4], float inverse[2], const wb_whole_args &args, int m,
                              float scale) {
    float sum[2] = {0.0f, 0.0f}, most[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = min(row_of(m, half), args.m - 1);
        const int first = args.first_key[row], end = args.end_key[row];
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

__device__ static void meet_warps(int name, int n_warps) {
    asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(32 * n_warps) : "memory");
}

// o <- 16 queries' attention of one head, not yet divided. The M warps of a head bring its keys and
// values together, to tiles[2][16 M][D].
template <typename T, int D, int M>
__device__ static void attend(float o[D / 8][4], float inverse[2], const wb_whole_args &args,
                              T *tiles, int head, int m) {
    constexpr int N = 2 * M, C = D / 32;
    const int lane = threadIdx.x % 32, quad = lane % 4, ld = 3 * args.d;
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
    soften<N>(s, inverse, args, m, 1.44269504f * (D == 64 ? 0.125f : 0.17677670f));
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
            const float *low = o[4 * c + i];
            a[i / 2][2 * (i % 2)] = pack_pair(low[0] * inverse[0], low[1] * inverse[0], T());
            a[i / 2][2 * (i % 2) + 1] = pack_pair(low[2] * inverse[1], low[3] * inverse[1], T());
        }
#pragma unroll
        for (int u = 0; u < UNITS; u++) {
            if (u >= p.n_units) continue;
            uint32_t w[4];
            load_matrices(w, p.rows + (UNIT * u + (lane & 7)) * p.stride +
                                 2 * (first_k + 32 * c + 8 * (lane / 8)));
            multiply(sums[u], a[0], w, T());
            multiply(sums[u], a[1], w + 2, T());
        }
    }
}

// ---- The four steps of a layer, and the head ----

template <typename T, int M>
__device__ static void qkv(const room &r, const wb_whole_args &args, int layer) {
    const cells c = cells_of(args, r.qkv, 0, 16 * M);
    const float2 sum =
        multiply_norm<T, M>(r, args, r.qkv, layer, args.products[4 * layer], layer == 0, c);
    if (c.is_there) store_pair<T>(args.qkv, 3 * args.d, c, sum);
    if (threadIdx.x / 32 != WARPS - 1) return;
    // After the last layer the place is the head's, with a third of the columns.
    place next = r.qkv;
    if (layer + 1 == args.n_layers) next = place_by_block(next.rows, next.filled, args.d, args.d);
    send_for(next, args.products[4 * layer + 4].w, args.d);
}

// Warps take heads of the block and, where there are two, 16 rows each.
template <typename T, int D, int M>
__device__ static void attention(const room &r, const wb_whole_args &args, int layer, float2 *was) {
    const int warp = threadIdx.x / 32, m = warp % M;
    const cells c = cells_of(args, r.out, 0, 16 * M);
    if (r.out.n_units == 0) return;  // of the whole cluster
    float sums[UNITS][4] = {};
    for (int head = warp / M; head < r.n_heads; head += WARPS / M) {
        float o[D / 8][4] = {}, inverse[2];
        T *tiles = (T *)r.scratch + 2 * 16 * M * D * (warp / M);
        attend<T, D, M>(o, inverse, args, tiles, r.first_head + head, m);
        wait_for(r.out, layer);
        project<T, D>(sums, o, inverse, r.out, head * D);
        meet_warps(1 + warp / M, M);  // before the next head's keys
    }
    __syncthreads();  // where keys were, shares are from here on
    for (int u = 0; u < UNITS; u++) share_sums(r.scratch, sums[u], M * warp + m, u);
    __syncthreads();
    const float2 mine =
        c.is_there ? sum_shares<M>(r.scratch, c, c.row / 16, M) : make_float2(0.0f, 0.0f);
    add_up<T, M>(r, args, r.out, c, mine, args.products[4 * layer + 1], args.norms[2 * layer], was);
    if (warp == WARPS - 1 && layer + 1 < args.n_layers)
        send_for(r.out, args.products[4 * layer + 5].w, args.d);
}

template <typename T, int M>
__device__ static void up(const room &r, const wb_whole_args &args, int layer) {
    const cells c = cells_of(args, r.up, 0, 16 * M);
    const float2 sum =
        multiply_norm<T, M>(r, args, r.up, layer, args.products[4 * layer + 2], false, c);
    if (c.is_there)
        store_pair<T>(
            args.wide, args.d_ff, c,
            make_float2(activate(sum.x, args.activation), activate(sum.y, args.activation)));
    if (threadIdx.x / 32 == WARPS - 1 && layer + 1 < args.n_layers)
        send_for(r.up, args.products[4 * layer + 6].w, args.d);
}

template <typename T, int M>
__device__ static void down(const room &r, const wb_whole_args &args, int layer, float2 *was) {
    const int warp = threadIdx.x / 32, part = args.d_ff / CLUSTER;
    const cells c = cells_of(args, r.down, 0, 16 * M);
    const T *wide = (const T *)args.wide + cluster_rank() * part;
    if (r.down.n_units == 0) return;  // of the whole cluster
    float sums[UNITS][M][4] = {};
    uint4 a[WIDE_STEPS][M][2];
#pragma unroll
    for (int i = 0; i < WIDE_STEPS; i++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = min(row_of(m, half), args.m - 1);
                if (k_of(i) < part)
                    a[i][m][half] = __ldcg((const uint4 *)(wide + row * args.d_ff + k_of(i)));
            }
    wait_for(r.down, layer);
#pragma unroll
    for (int i = 0; i < WIDE_STEPS; i++)
        if (k_of(i) < part) multiply_step<T, M>(sums, a[i], r.down, k_of(i));
    for (int u = 0; u < UNITS; u++)
        for (int m = 0; m < M; m++) share_sums(r.scratch, sums[u][m], M * warp + m, u);
    __syncthreads();
    const float2 mine = c.is_there ? sum_shares<M>(r.scratch, c, 0, 1) : make_float2(0.0f, 0.0f);
    add_up<T, M>(r, args, r.down, c, mine, args.products[4 * layer + 3], args.norms[2 * layer + 1],
                 was);
    if (warp == WARPS - 1 && layer + 1 < args.n_layers)
        send_for(r.down, args.products[4 * layer + 7].w, args.d_ff);
}

// logits <- the classifier over what the blocks left in pre_logits, by the last block to arrive.
__device__ static void classify(const wb_whole_args &args) {
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

template <typename T, int M>
__device__ static void head(const room &r, const wb_whole_args &args) {
    const place p = place_by_block(r.qkv.rows, r.qkv.filled, args.d, args.d);
    const cells c = cells_of(args, p, 0, 16 * M);
    const float2 sum =
        multiply_norm<T, M>(r, args, p, args.n_layers, args.products[4 * args.n_layers], false, c);
    const int text = c.is_there ? args.text[c.row] : -1;
    if (text >= 0)
        __stcg((float2 *)(args.pre_logits + (size_t)text * args.d + c.column),
               make_float2(fmaxf(sum.x, 0.0f), fmaxf(sum.y, 0.0f)));
    classify(args);
}

#endif

template <typename T, int D, int M>
__global__ static void __launch_bounds__(THREADS, 1)
    whole(const __grid_constant__ wb_whole_args args) {
#if __CUDA_ARCH__ >= 900
    extern __shared__ uint4 shared[];
    // In memory, too: registers are what the steps are short of.
    __shared__ room r;
    if (threadIdx.x == 0) r = lay_out((unsigned char *)shared, args);
    __syncthreads();
    open_places(r);
    if (threadIdx.x < 32) {
        send_for(r.qkv, args.products[0].w, args.d);
        send_for(r.out, args.products[1].w, args.d);
        send_for(r.up, args.products[2].w, args.d);
        send_for(r.down, args.products[3].w, args.d_ff);
    }
    fetch_vectors(args);
    // No block of a cluster writes to another that has not begun.
    meet_cluster();
    float2 was = begin_cells<T, M>(r, args);
    for (int layer = 0; layer < args.n_layers; layer++) {
        qkv<T, M>(r, args, layer);
        meet(args.arrivals, 4 * layer + 1);
        attention<T, D, M>(r, args, layer, &was);
        meet(args.arrivals, 4 * layer + 2);
        up<T, M>(r, args, layer);
        meet(args.arrivals, 4 * layer + 3);
        down<T, M>(r, args, layer, &was);
        meet(args.arrivals, 4 * layer + 4);
    }
    head<T, M>(r, args);
    // Nor ends while another may still write to it.
    meet_cluster();
#endif
}

// ---- Norms into the products that follow them ----

// One warp a row of w.
template <typename T>
__global__ static void fold(const wb_fold_args args) {
    const int lane = threadIdx.x % 32, row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= args.n) return;
    float sum = 0.0f, bias = 0.0f;
    for (int i = lane; i < args.k; i += 32) {
        const float w = args.w[(size_t)row * args.k + i];
        T *cell = (T *)args.folded + (size_t)row * args.k + i;
        store1(cell, w * args.gamma[i]);
        sum += load1(cell);
        bias += w * args.beta[i];
    }
    sum = warp_sum(sum), bias = warp_sum(bias);
    if (lane == 0) args.sums[row] = sum, args.folded_bias[row] = args.bias[row] + bias;
}

unsigned wb_launch_fold(const wb_fold_args *args, wb_stream stream) {
    const int n_warps = 4;
    const dim3 grid((unsigned)ceil_div(args->n, n_warps)), block(32 * n_warps);
    if (args->cell == WB_CELL_F16)
        fold<__half><<<grid, block, 0, stream>>>(*args);
    else
        fold<__nv_bfloat16><<<grid, block, 0, stream>>>(*args);
    return cudaGetLastError();
}

// ---- Launching ----

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
    config.dynamicSmemBytes = (size_t)sizes_of(*args).total;
    config.stream = stream;
    config.attrs = attributes;
    config.numAttrs = 2;
    return config;
}

static bool has_shape(const wb_whole_args *args) {
    if (args->d % 64 || args->d > MOST_D || args->d_ff % (64 * CLUSTER) || args->d_ff > MOST_D_FF ||
        (args->d_head != 32 && args->d_head != 64))
        return false;
    const sizes s = sizes_of(*args);
    for (int i = 0; i < 4; i++)
        if (s.most_units[i] > UNITS) return false;
    return args->cell == WB_CELL_F16 || args->cell == WB_CELL_BF16;
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
    if (!has_shape(args)) return false;
    const int n_bytes = sizes_of(*args).total;
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
