// SPDX-License-Identifier: Apache-2.0
// What the steps of whole.cu are made of: a block's shared memory and its share of each matrix
// there, copies under way, blocks waiting for each other, and the products of 16 M rows with the
// block's columns, whose sums warps share out by k.
#ifndef WB_CUDA_WHOLE_CUH
#define WB_CUDA_WHOLE_CUH

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

enum { QKV, OUT, UP, DOWN, INBOX, N_PLACES };

// ---- What lies in shared memory ----

// 64 bytes more than a multiple of 128 where lanes read 16 bytes each of 8 rows and 4 places, 16
// more where ldmatrix reads 16 bytes each of 8 rows.
enum { PAD_QUADS = 64, PAD_MATRICES = 16 };

extern __shared__ uint4 shared_memory[];

template <typename T>
__device__ inline T *in_room(int at) {
    return (T *)((unsigned char *)shared_memory + at);
}

__device__ inline int rank_here(void) {
    return (int)blockIdx.x % CLUSTER;
}

// One matrix's share of this block: 8 n_units rows of w, of each n_bytes from byte first_byte on.
// Unit u is the matrix's unit first + u step.
struct place {
    int at, stride, flag, n_units, first, step, first_byte, n_bytes;
};

// A matrix of n columns, shared out among all blocks.
__device__ inline place place_by_block(const wb_whole_args &args, int kind, int n) {
    const int n_units = n / UNIT, block = (int)blockIdx.x, step = (int)gridDim.x;
    int n_here = 0;
    for (int i = 0; i < UNITS; i++) n_here += block + i * step < n_units;
    return {args.room.at[kind],
            args.room.stride[kind],
            args.room.flags + 8 * kind,
            n_here,
            block,
            step,
            0,
            2 * args.d};
}

__device__ inline int first_head_of(const wb_whole_args &args, int rank) {
    return args.n_heads * rank / CLUSTER;
}

// A matrix of d columns, shared out among clusters, to as few as can hold them, since each reads
// all rows; of k each block has a part.
__device__ inline place place_by_cluster(const wb_whole_args &args, int kind) {
    const int begin = (int)blockIdx.x / CLUSTER * UNITS, rank = rank_here();
    const int first_head = first_head_of(args, rank), part = args.d_ff / CLUSTER;
    const int first = kind == OUT ? first_head * args.d_head : rank * part;
    const int k = kind == OUT ? (first_head_of(args, rank + 1) - first_head) * args.d_head : part;
    return {args.room.at[kind],
            args.room.stride[kind],
            args.room.flags + 8 * kind,
            max(0, min(UNITS, args.d / UNIT - begin)),
            begin,
            1,
            2 * first,
            2 * k};
}

// ---- Weights on their way ----

// By one warp: the block's share of w[n, k] to its place. Weights are read once a forward: they are
// the first to leave the cache again.
__device__ inline void send_for(const place &p, const void *w, int k) {
    const int lane = threadIdx.x % 32, n_rows = UNIT * p.n_units;
    const uint32_t flag = shared_address(in_room<uint64_t>(p.flag));
    if (n_rows == 0 || p.n_bytes == 0) return;
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    if (lane == 0)
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(flag),
                     "r"(n_rows * p.n_bytes)
                     : "memory");
    __syncwarp();
    if (lane >= n_rows) return;  // UNITS units are less than a warp
    const size_t row = (size_t)UNIT * (p.first + lane / UNIT * p.step) + lane % UNIT;
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
        "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(in_room<char>(p.at + lane * p.stride))),
        "l"((const unsigned char *)w + row * 2 * k + p.first_byte), "r"(p.n_bytes), "r"(flag),
        "l"(policy)
        : "memory");
}

// Until what the flag stands for has come for the i-th time, from 0.
__device__ inline void wait_for(int flag, int i) {
    const uint32_t address = shared_address(in_room<uint64_t>(flag));
    uint32_t is_done = 0;
    while (!is_done)
        asm volatile(
            "{\n\t.reg .pred p;\n\t"
            "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n\t"
            "selp.u32 %0, 1, 0, p;\n\t}"
            : "=r"(is_done)
            : "r"(address), "r"(i & 1)
            : "memory");
}

__device__ inline void wait_for(const place &p, int i) {
    if (p.n_units > 0 && p.n_bytes > 0) wait_for(p.flag, i);
}

// Flags and keys, and the first layer's weights on their way.
__device__ inline void open_room(const wb_whole_args &args) {
    const int t = threadIdx.x;
    if (t == 0) {
        for (int i = 0; i < N_PLACES; i++)
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(
                             shared_address(in_room<uint64_t>(args.room.flags + 8 * i)))
                         : "memory");
        asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::
                         : "memory");
    }
    __syncthreads();
    if (t < 32) {
        send_for(place_by_block(args, QKV, 3 * args.d), args.products[0].w, args.d);
        send_for(place_by_cluster(args, OUT), args.products[1].w, args.d);
        send_for(place_by_block(args, UP, args.d_ff), args.products[2].w, args.d);
        send_for(place_by_cluster(args, DOWN), args.products[3].w, args.d_ff);
    } else if (t < 64) {
        uint8_t *keys = in_room<uint8_t>(args.room.keys);
        const int row = min(t - 32, args.m - 1);
        keys[t - 32] = args.first_key[row];
        keys[t] = args.end_key[row];
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

// ---- Blocks meeting ----

// Counts this block; what its threads have written is seen by whoever sees the count.
__device__ inline uint32_t arrive(uint32_t *arrivals) {
    uint32_t before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                 : "=r"(before)
                 : "l"(arrivals)
                 : "memory");
    return before;
}

// Until all blocks have come here for the number-th time, from 1.
__device__ inline void meet(uint32_t *arrivals, int number) {
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

// The same of a cluster's threads.
__device__ inline void meet_cluster(void) {
    asm volatile(
        "barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::
            : "memory");
}

__device__ inline void meet_warps(int name, int n_warps) {
    asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(32 * n_warps) : "memory");
}

// ---- Products ----

// A lane's share of 16 M rows: rows 16 m + 8 half + lane / 4; of its warp's step i of 32 k, cells
// [8 (lane % 4), + 8), as in skinny.cu.
__device__ inline int row_of(int m, int half) {
    return 16 * m + 8 * half + (int)threadIdx.x % 32 / 4;
}

__device__ inline int k_of(int i) {
    return 32 * ((int)threadIdx.x / 32 + WARPS * i) + 8 * ((int)threadIdx.x % 4);
}

template <typename T>
__device__ inline float2 unpack_pair(uint32_t pair) {
    const T *cells = (const T *)&pair;
    return make_float2(load1(cells), load1(cells + 1));
}

__device__ inline uint32_t add_pairs(uint32_t a, uint32_t b, __half) {
    const __half2 sum = __hadd2(*(const __half2 *)&a, *(const __half2 *)&b);
    return *(const uint32_t *)&sum;
}

__device__ inline uint32_t add_pairs(uint32_t a, uint32_t b, __nv_bfloat16) {
    const __nv_bfloat162 sum = __hadd2(*(const __nv_bfloat162 *)&a, *(const __nv_bfloat162 *)&b);
    return *(const uint32_t *)&sum;
}

// Eight cells of a row's sum of both embeddings.
template <typename T>
__device__ inline uint4 load_embedding(const wb_whole_args &args, int row, int column) {
    const uint4 a =
        *(const uint4 *)((const T *)args.words + (size_t)args.ids[row] * args.d + column);
    const uint4 b =
        *(const uint4 *)((const T *)args.positions + (size_t)args.position[row] * args.d + column);
    return make_uint4(add_pairs(a.x, b.x, T()), add_pairs(a.y, b.y, T()), add_pairs(a.z, b.z, T()),
                      add_pairs(a.w, b.w, T()));
}

// sums += the lane's rows times 32 k of each unit.
template <typename T, int M>
__device__ inline void multiply_step(float sums[UNITS][M][4], const uint4 a[M][2], const place &p,
                                     int k) {
    const unsigned char *w =
        in_room<unsigned char>(p.at + (threadIdx.x % 32 / 4) * p.stride + 2 * k);
#pragma unroll
    for (int u = 0; u < UNITS; u++) {
        // Where a block has fewer units, its last again: what becomes of that, nobody looks at.
        const uint4 b = *(const uint4 *)(w + UNIT * min(u, p.n_units - 1) * p.stride);
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

__device__ inline uint32_t ones(__half) {
    return 0x3c003c00u;
}

__device__ inline uint32_t ones(__nv_bfloat16) {
    return 0x3f803f80u;
}

// sum[m] += the rows' sums, square[m][half] += the products of all rows of 16 with the eight of a
// half, a left side's registers being a right side's as well. Columns of sum are alike; of square a
// lane's own rows are on the diagonal.
template <typename T, int M>
__device__ inline void add_moments(float sum[M][4], float square[M][2][4], const uint4 a[M][2]) {
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
__device__ inline void share_moments(float2 *moments, const float sum[M][4],
                                     const float square[M][2][4]) {
    const int warp = threadIdx.x / 32, row = threadIdx.x % 32 / 4, quad = threadIdx.x % 4;
    if (quad != row / 2) return;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float even = square[m][half][2 * half], odd = square[m][half][2 * half + 1];
            moments[32 * warp + row_of(m, half)] =
                make_float2(sum[m][2 * half], row % 2 ? odd : even);
        }
}

// Mean and 1 / deviation of a row, from all warps' shares.
__device__ inline float2 sum_moments(const float2 *moments, int row, int d) {
    float2 sum = {0.0f, 0.0f};
#pragma unroll
    for (int warp = 0; warp < WARPS; warp++) {
        const float2 share = moments[32 * warp + row];
        sum.x += share.x, sum.y += share.y;
    }
    const float scale = __fdividef(1.0f, (float)d), mean = sum.x * scale;
    const float variance = fmaxf(sum.y * scale - mean * mean, 0.0f);
    return make_float2(mean, rsqrtf(variance + WB_NORM_EPSILON));
}

// A warp's share of the sums of 16 rows to where each thread finds those of its cells.
__device__ inline void share_sums(float *scratch, const float sums[4], int tile, int u) {
    const int lane = threadIdx.x % 32;
    float *to = scratch + (16 * tile + lane / 4) * UNIT * UNITS + UNIT * u + 2 * (lane % 4);
    *(float2 *)to = make_float2(sums[0], sums[1]);
    *(float2 *)(to + 8 * UNIT * UNITS) = make_float2(sums[2], sums[3]);
}

// Two neighbouring cells of a product's result, a thread's own: those of pair t % 12 of row t / 12,
// counted from first_row and around.
struct cells {
    int row, pair, column;
    bool is_there;
};

__device__ inline cells cells_of(const wb_whole_args &args, const place &p, int first_row,
                                 int n_rows) {
    const int t = threadIdx.x, pair = t % (4 * UNITS), u = pair / 4;
    const int row = (first_row + t / (4 * UNITS)) % n_rows;
    return {row, pair, UNIT * (p.first + u * p.step) + 2 * (pair % 4),
            t / (4 * UNITS) < n_rows && row < args.m && u < p.n_units};
}

// The sum of what warps first, first + step, .. have of them.
template <int M>
__device__ inline float2 sum_shares(const float *scratch, const cells &c, int first, int step) {
    float2 sum = {0.0f, 0.0f};
    if (!c.is_there) return sum;
    const float *from = scratch + c.row * UNIT * UNITS + 2 * c.pair;
#pragma unroll
    for (int i = 0; i < WARPS; i++) {
        if (i % step != first) continue;
        const float2 share = *(const float2 *)(from + 16 * M * i * UNIT * UNITS);
        sum.x += share.x, sum.y += share.y;
    }
    return sum;
}

// A vector's two numbers for them.
__device__ inline float2 pair_of(const float *vector, const cells &c) {
    return c.is_there ? __ldg((const float2 *)(vector + c.column)) : make_float2(0.0f, 0.0f);
}

#endif
