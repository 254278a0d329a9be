// SPDX-License-Identifier: Apache-2.0
// The whole forward of up to 32 rows as one kernel, a block on every multiprocessor: a single text
// is fifty launches otherwise, each waiting for the one before it to end, and most of that time the
// memory rests. Here blocks meet at a barrier instead, four times a layer, and the weights of
// the next layer are on their way all the while:
//
//     rows ──► norm, qkv ──┼──► attention, out, + rows ──┼──► norm, up, gelu ──┼──► down, + rows
//     ──┼──►
//
// A block has the same columns of every layer's matrices, in units of 8, and computes them for all
// rows; its warps share out k. What a product reads (the norm of the rows, attention's context)
// each block makes for itself, in the registers it multiplies from: that costs reads of the cache,
// and saves a barrier each. A unit's 8 rows of w are copied to shared memory by the copy engine,
// one place for each matrix of a layer: when the block has used it, the next layer's is sent for.
#include "cuda/activate.cuh"
#include "cuda/tile.cuh"

enum {
    WARPS = 12,  // DistilBERT's heads, and k = 768 and 3,072 come out even
    THREADS = 32 * WARPS,
    UNIT = 8,        // columns
    WIDE_UNITS = 3,  // at most, of qkv and up
    NORM_STEPS = 2,  // at most, of 32 k a warp where rows are normed: d_model up to 768
    WIDE_STEPS = 4   // of 32 k a warp loads at once where they are not
};

// ---- What lies in shared memory ----

// One matrix's columns of this block: 8 n_units rows of w, stride bytes apart, so that lanes that
// read together do so from different banks. filled counts the copies of each layer.
struct place {
    unsigned char *rows;
    uint64_t *filled;
    int stride, n_units;
};

struct room {
    place qkv, out, up, down;
    float
        *scratch;  // the warps' shares of sums, [WARPS][16 M][columns]; before, values [32][D] each
    float2 *shares;  // [WARPS][32]: of a row's sum and squares
    float2 *stats;   // [2][32]: mean and 1 / deviation of each row, for attention's and ffn's input
};

// 64 bytes more than a multiple of 128 where lanes read 16 bytes each of 8 rows and 4 places, 16
// more where ldmatrix reads 16 bytes each of 8 rows.
enum { PAD_QUADS = 64, PAD_MATRICES = 16 };

struct sizes {
    int most_units[4], bytes[4], scratch, total;
};

__host__ __device__ static sizes sizes_of(const wb_whole_args &args) {
    const int n[4] = {3 * args.d, args.d, args.d_ff, args.d},
              k[4] = {args.d, args.d, args.d, args.d_ff};
    sizes s = {};
    for (int i = 0; i < 4; i++) {
        s.most_units[i] = (n[i] / UNIT + args.n_blocks - 1) / args.n_blocks;
        s.bytes[i] = s.most_units[i] * UNIT * (2 * k[i] + (i == 1 ? PAD_MATRICES : PAD_QUADS));
        s.total += s.bytes[i];
    }
    const int sums = WARPS * 32 * UNIT * WIDE_UNITS * 4, values = WARPS * 32 * args.d_head * 2;
    s.scratch = sums > values ? sums : values;
    s.total += s.scratch + (WARPS + 2) * 32 * (int)sizeof(float2) + 4 * (int)sizeof(uint64_t);
    return s;
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

__device__ static int count_units(int n) {
    const int n_units = n / UNIT, block = (int)blockIdx.x, n_blocks = (int)gridDim.x;
    return block < n_units ? (n_units - block + n_blocks - 1) / n_blocks : 0;
}

__device__ static room lay_out(unsigned char *shared, const wb_whole_args &args) {
    const sizes s = sizes_of(args);
    const int d = args.d;
    unsigned char *at = shared;
    room r;
    r.qkv = {at, NULL, 2 * d + PAD_QUADS, count_units(3 * d)};
    r.out = {at += s.bytes[0], NULL, 2 * d + PAD_MATRICES, count_units(d)};
    r.up = {at += s.bytes[1], NULL, 2 * d + PAD_QUADS, count_units(args.d_ff)};
    r.down = {at += s.bytes[2], NULL, 2 * args.d_ff + PAD_QUADS, count_units(d)};
    r.scratch = (float *)(at += s.bytes[3]);
    r.shares = (float2 *)(at += s.scratch);
    r.stats = r.shares + WARPS * 32;
    uint64_t *filled = (uint64_t *)(r.stats + 2 * 32);
    r.qkv.filled = filled, r.out.filled = filled + 1;
    r.up.filled = filled + 2, r.down.filled = filled + 3;
    return r;
}

// ---- Weights on their way ----

// By one warp: the block's rows of w[n, k] to their place.
__device__ static void send_for(const place &p, const void *w, int k) {
    const int lane = threadIdx.x % 32, n_rows = UNIT * p.n_units, n_bytes = 2 * k;
    const uint32_t filled = shared_address(p.filled);
    if (n_rows == 0) return;
    if (lane == 0)
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(filled),
                     "r"(n_rows * n_bytes)
                     : "memory");
    __syncwarp();
    for (int i = lane; i < n_rows; i += 32) {
        const size_t row = (size_t)UNIT * (blockIdx.x + i / UNIT * gridDim.x) + i % UNIT;
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
            "[%3];" ::"r"(shared_address(p.rows + i * p.stride)),
            "l"((const unsigned char *)w + row * n_bytes), "r"(n_bytes), "r"(filled)
            : "memory");
    }
}

// Until the copies of the place's use number i have come.
__device__ static void wait_for(const place &p, int i) {
    if (p.n_units == 0) return;
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

// The thread's number, asked for anew in each step: what follows from it would else be computed
// once, before the first layer, and take more registers than there are.
__device__ static int thread_here(void) {
    int thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
}

// ---- Rows and their norms ----

// A lane's share of 16 M rows: rows 16 m + 8 half + lane / 4; of step i of 32 k of its warp,
// columns [8 (lane % 4), + 8), as in skinny.cu.
__device__ static int row_of(int thread, int m, int half) {
    return 16 * m + 8 * half + thread % 32 / 4;
}

__device__ static int column_of(int thread, int i) {
    return 32 * (thread / 32 + WARPS * i) + 8 * (thread % 4);
}

// z <- the lane's share of all rows before their norm. Rows past the last are copies of it: nobody
// looks at what becomes of them.
template <typename T, int M>
__device__ static void load_rows(int thread, float z[NORM_STEPS][M][2][8],
                                 const wb_whole_args &args) {
    uint4 raw[NORM_STEPS][M][2];
#pragma unroll
    for (int i = 0; i < NORM_STEPS; i++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = min(row_of(thread, m, half), args.m - 1);
                const int column = column_of(thread, i);
                if (column < args.d)
                    raw[i][m][half] =
                        __ldcg((const uint4 *)((const T *)args.sums + row * args.d + column));
            }
#pragma unroll
    for (int i = 0; i < NORM_STEPS; i++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) load8(z[i][m][half], (const T *)&raw[i][m][half]);
}

// How many columns of a row a warp has.
__device__ static int count_columns(int warp, int d) {
    int n = 0;
#pragma unroll
    for (int i = 0; i < NORM_STEPS; i++) n += 32 * (warp + WARPS * i) < d ? 32 : 0;
    return n;
}

// stats[m][half] <- mean and 1 / deviation of the lane's rows, from what all warps have of them;
// also left in kept[32] for whoever wants single cells later. Squares are summed about each
// warp's own mean first (Chan et al. 1983), so one exchange is enough.
template <int M>
__device__ static void find_stats(int thread, float2 stats[M][2],
                                  const float z[NORM_STEPS][M][2][8], float2 *shares, float2 *kept,
                                  int d) {
    const int warp = thread / 32, quad = thread % 4, n = count_columns(warp, d);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = 0.0f, square = 0.0f;
#pragma unroll
            for (int i = 0; i < NORM_STEPS; i++)
                if (column_of(thread, i) < d)
                    for (int j = 0; j < 8; j++) sum += z[i][m][half][j];
            sum = row_sum(sum);
            const float mean = n ? sum / (float)n : 0.0f;
#pragma unroll
            for (int i = 0; i < NORM_STEPS; i++)
                if (column_of(thread, i) < d)
                    for (int j = 0; j < 8; j++)
                        square += (z[i][m][half][j] - mean) * (z[i][m][half][j] - mean);
            square = row_sum(square);
            if (quad == 0) shares[32 * warp + row_of(thread, m, half)] = make_float2(sum, square);
        }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = row_of(thread, m, half);
            float2 share[WARPS / 4];
            float sum = 0.0f, square = 0.0f;
#pragma unroll
            for (int i = 0; i < WARPS / 4; i++) {
                share[i] = shares[32 * (quad + 4 * i) + row];
                sum += share[i].x;
            }
            const float mean = row_sum(sum) / (float)d;
#pragma unroll
            for (int i = 0; i < WARPS / 4; i++) {
                const float columns = (float)count_columns(quad + 4 * i, d);
                const float off = columns > 0.0f ? share[i].x / columns - mean : 0.0f;
                square += share[i].y + columns * off * off;
            }
            stats[m][half] =
                make_float2(mean, rsqrtf(row_sum(square) / (float)d + WB_NORM_EPSILON));
            if (warp == 0 && quad == 0) kept[row] = stats[m][half];
        }
}

// a <- the norm of the lane's share as left sides of products; kept as in find_stats.
template <typename T, int M>
__device__ static void norm_rows(int thread, uint4 a[NORM_STEPS][M][2], const wb_whole_args &args,
                                 const wb_whole_norm &norm, float2 *shares, float2 *kept) {
    float z[NORM_STEPS][M][2][8];
    load_rows<T, M>(thread, z, args);
    float2 stats[M][2];
    find_stats<M>(thread, stats, z, shares, kept, args.d);
#pragma unroll
    for (int i = 0; i < NORM_STEPS; i++) {
        const int column = column_of(thread, i);
        if (column >= args.d) continue;
        float g[8], b[8];
        load8(g, norm.gamma + column);
        load8(b, norm.beta + column);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const float2 s = stats[m][half];
                float y[8];
                for (int j = 0; j < 8; j++) y[j] = (z[i][m][half][j] - s.x) * s.y * g[j] + b[j];
                store8((T *)&a[i][m][half], y);
            }
    }
}

// Two neighbours of a row after its norm, as they were multiplied.
template <typename T>
__device__ static float2 norm_pair(const wb_whole_args &args, const wb_whole_norm &norm,
                                   const float2 *kept, int row, int column) {
    const uint32_t raw = __ldcg((const unsigned *)((const T *)args.sums + row * args.d + column));
    const T *sums = (const T *)&raw;
    const float2 z = make_float2(load1(sums), load1(sums + 1)), s = kept[row];
    const uint32_t pair =
        pack_pair((z.x - s.x) * s.y * norm.gamma[column] + norm.beta[column],
                  (z.y - s.x) * s.y * norm.gamma[column + 1] + norm.beta[column + 1], T());
    const T *cells = (const T *)&pair;
    return make_float2(load1(cells), load1(cells + 1));
}

// ---- Products ----

// sums += the lane's rows times 32 k, at byte offset, of each unit.
template <typename T, int M, int U>
__device__ static void multiply_step(int thread, float sums[U][M][4], const uint4 a[M][2],
                                     const place &p, int offset) {
    const unsigned char *w = p.rows + (thread % 32 / 4) * p.stride + offset;
#pragma unroll
    for (int u = 0; u < U; u++) {
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

// The warps' shares of sums to where each thread finds those of its two cells.
template <int M, int U>
__device__ static void share_sums(int thread, float *scratch, const float sums[U][M][4]) {
    const int warp = thread / 32, pair = 2 * (thread % 4);
#pragma unroll
    for (int u = 0; u < U; u++)
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float *to = scratch + (16 * M * warp + row_of(thread, m, half)) * UNIT * U +
                            UNIT * u + pair;
                *(float2 *)to = make_float2(sums[u][m][2 * half], sums[u][m][2 * half + 1]);
            }
    __syncthreads();
}

// Two neighbouring cells of a product's result, a thread's own.
struct cells {
    int row, column;
    bool is_there;
    float2 sum;
};

template <int M, int U>
__device__ static cells sum_shares(int thread, const float *scratch, const wb_whole_args &args,
                                   const place &p, const float *bias) {
    const int row = thread / (4 * U), pair = thread % (4 * U), u = pair / 4;
    cells c = {row,
               UNIT * (int)(blockIdx.x + u * gridDim.x) + 2 * (pair % 4),
               row < args.m && u < p.n_units,
               {0.0f, 0.0f}};
    if (!c.is_there) return c;
    c.sum = make_float2(bias[c.column], bias[c.column + 1]);
    for (int warp = 0; warp < WARPS; warp++) {
        const float2 share =
            *(const float2 *)(scratch + (16 * M * warp + row) * UNIT * U + 2 * pair);
        c.sum.x += share.x, c.sum.y += share.y;
    }
    return c;
}

template <typename T>
__device__ static void store_pair(void *y, int ld, const cells &c, float2 value) {
    __stcg((unsigned *)((T *)y + (size_t)c.row * ld + c.column), pack_pair(value.x, value.y, T()));
}

// c <- the norm of the rows times a matrix whose use number is use.
template <typename T, int M, int U>
__device__ static cells multiply_norm(int thread, const room &r, const wb_whole_args &args,
                                      const place &p, int use, const wb_whole_product &product,
                                      const wb_whole_norm &norm, float2 *kept) {
    uint4 a[NORM_STEPS][M][2];
    norm_rows<T, M>(thread, a, args, norm, r.shares, kept);
    wait_for(p, use);
    float sums[U][M][4] = {};
#pragma unroll
    for (int i = 0; i < NORM_STEPS; i++)
        if (column_of(thread, i) < args.d)
            multiply_step<T, M, U>(thread, sums, a[i], p, 2 * column_of(thread, i));
    share_sums<M, U>(thread, r.scratch, sums);
    return sum_shares<M, U>(thread, r.scratch, args, p, product.bias);
}

// ---- The embeddings, the four steps of a layer, and the head ----

// sums <- the sums of both tables' rows, a block a row.
template <typename T>
__device__ static void embed(const wb_whole_args &args) {
    for (int row = blockIdx.x; row < args.m; row += gridDim.x) {
        const T *word = (const T *)args.words + (size_t)args.ids[row] * args.d;
        const T *position = (const T *)args.positions + (size_t)args.position[row] * args.d;
        for (int i = threadIdx.x; i < args.d; i += THREADS)
            store1((T *)args.sums + row * args.d + i, load1(word + i) + load1(position + i));
    }
}

// sums <- what the warp's heads add to the columns of attention's output.
template <typename T, int D, int M>
__device__ static void attend(int thread, float sums[M][4], const wb_whole_args &args,
                              const place &p, T *values, int head) {
    constexpr int N = 2 * M, C = D / 32;
    const int lane = thread % 32, offset = 8 * (lane % 4), ld = 3 * args.d;
    const T *query = (const T *)args.qkv + head * D, *key = query + args.d;
    load_tile<T, D>(values, key + args.d, ld, 16 * M, args.m, lane, 32);
    copy_commit();
    uint4 q[M][2][C], k[N][C];
    uint32_t w[C][4];
#pragma unroll
    for (int c = 0; c < C; c++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
            const int row = min(8 * n + lane / 4, args.m - 1);
            k[n][c] = __ldcg((const uint4 *)(key + (size_t)row * ld + 32 * c + offset));
        }
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = min(row_of(thread, m, half), args.m - 1);
                q[m][half][c] = __ldcg((const uint4 *)(query + (size_t)row * ld + 32 * c + offset));
            }
        load_matrices(w[c],
                      p.rows + (lane & 7) * p.stride + 2 * (head * D + 32 * c + 8 * (lane / 8)));
    }
    copy_wait<0>();
    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; m++) {
        float s[N][4] = {}, o[D / 8][4] = {}, sum[2] = {0.0f, 0.0f},
              most[2] = {-INFINITY, -INFINITY};
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int c = 0; c < C; c++) {
                const uint4 x = q[m][0][c], y = q[m][1][c];
                const uint32_t first[4] = {x.x, y.x, x.y, y.y}, second[4] = {x.z, y.z, x.w, y.w};
                const uint32_t low[2] = {k[n][c].x, k[n][c].y}, high[2] = {k[n][c].z, k[n][c].w};
                multiply(s[n], first, low, T());
                multiply(s[n], second, high, T());
            }
        const float scale = 1.44269504f * (D == 64 ? 0.125f : 0.17677670f);
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int row = min(row_of(thread, m, j / 2), args.m - 1),
                          at = 8 * n + 2 * (lane % 4) + j % 2;
                const bool is_own = at >= args.first_key[row] && at < args.end_key[row];
                s[n][j] = is_own ? s[n][j] * scale : -INFINITY;
                most[j / 2] = fmaxf(most[j / 2], s[n][j]);
            }
#pragma unroll
        for (int half = 0; half < 2; half++) most[half] = row_max(most[half]);
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                s[n][j] = exp2f(s[n][j] - most[j / 2]);
                sum[j / 2] += s[n][j];
            }
        multiply_values<T, D, N>(o, s, values, args.m, lane);
        const float inverse[2] = {1.0f / row_sum(sum[0]), 1.0f / row_sum(sum[1])};
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            const float *low = o[2 * step], *high = o[2 * step + 1];
            const uint32_t a[4] = {pack_pair(low[0] * inverse[0], low[1] * inverse[0], T()),
                                   pack_pair(low[2] * inverse[1], low[3] * inverse[1], T()),
                                   pack_pair(high[0] * inverse[0], high[1] * inverse[0], T()),
                                   pack_pair(high[2] * inverse[1], high[3] * inverse[1], T())};
            multiply(sums[m], a, w[step / 2] + 2 * (step % 2), T());
        }
    }
}

// sums <- attention of all heads, times its output's matrix, + what attention read.
template <typename T, int D, int M>
__device__ static void attention(const room &r, const wb_whole_args &args, int layer) {
    const int thread = thread_here();
    const wb_whole_product &product = args.products[4 * layer + 1];
    if (r.out.n_units == 0) return;
    const int warp = thread / 32;
    float sums[1][M][4] = {};
    wait_for(r.out, layer);
    for (int head = warp; head < args.n_heads; head += WARPS)
        attend<T, D, M>(thread, sums[0], args, r.out, (T *)r.scratch + 32 * D * warp, head);
    __syncthreads();
    share_sums<M, 1>(thread, r.scratch, sums);
    if (warp == 0 && layer + 1 < args.n_layers)
        send_for(r.out, args.products[4 * layer + 5].w, args.d);
    const cells c = sum_shares<M, 1>(thread, r.scratch, args, r.out, product.bias);
    if (!c.is_there) return;
    const float2 x = norm_pair<T>(args, args.norms[2 * layer], r.stats, c.row, c.column);
    store_pair<T>(args.sums, args.d, c, make_float2(c.sum.x + x.x, c.sum.y + x.y));
}

template <typename T, int M>
__device__ static void qkv(const room &r, const wb_whole_args &args, int layer) {
    const int thread = thread_here();
    const bool is_last = layer + 1 == args.n_layers;
    const cells c = multiply_norm<T, M, WIDE_UNITS>(
        thread, r, args, r.qkv, layer, args.products[4 * layer], args.norms[2 * layer], r.stats);
    // After the last layer the place is the head's, with a third of the columns.
    if (thread < 32) {
        place next = r.qkv;
        if (is_last) next.n_units = r.out.n_units;
        send_for(next, args.products[4 * layer + 4].w, args.d);
    }
    if (c.is_there) store_pair<T>(args.qkv, 3 * args.d, c, c.sum);
}

template <typename T, int M>
__device__ static void up(const room &r, const wb_whole_args &args, int layer) {
    const int thread = thread_here();
    const cells c =
        multiply_norm<T, M, WIDE_UNITS>(thread, r, args, r.up, layer, args.products[4 * layer + 2],
                                        args.norms[2 * layer + 1], r.stats + 32);
    if (thread < 32 && layer + 1 < args.n_layers)
        send_for(r.up, args.products[4 * layer + 6].w, args.d);
    if (c.is_there)
        store_pair<T>(
            args.wide, args.d_ff, c,
            make_float2(activate(c.sum.x, args.activation), activate(c.sum.y, args.activation)));
}

template <typename T, int M>
__device__ static void down(const room &r, const wb_whole_args &args, int layer) {
    const int thread = thread_here();
    if (r.down.n_units == 0) return;
    float sums[1][M][4] = {};
    const int n_steps = args.d_ff / 32, warp = thread / 32;
    wait_for(r.down, layer);
    for (int first = 0; warp + WARPS * first < n_steps; first += WIDE_STEPS) {
        uint4 a[WIDE_STEPS][M][2];
#pragma unroll
        for (int i = 0; i < WIDE_STEPS; i++)
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int row = min(row_of(thread, m, half), args.m - 1),
                              column = column_of(thread, first + i);
                    if (column < args.d_ff)
                        a[i][m][half] = __ldcg((const uint4 *)((const T *)args.wide +
                                                               (size_t)row * args.d_ff + column));
                }
#pragma unroll
        for (int i = 0; i < WIDE_STEPS; i++)
            if (column_of(thread, first + i) < args.d_ff)
                multiply_step<T, M, 1>(thread, sums, a[i], r.down,
                                       2 * column_of(thread, first + i));
    }
    share_sums<M, 1>(thread, r.scratch, sums);
    if (warp == 0 && layer + 1 < args.n_layers)
        send_for(r.down, args.products[4 * layer + 7].w, args.d_ff);
    const cells c =
        sum_shares<M, 1>(thread, r.scratch, args, r.down, args.products[4 * layer + 3].bias);
    if (!c.is_there) return;
    const float2 x = norm_pair<T>(args, args.norms[2 * layer + 1], r.stats + 32, c.row, c.column);
    store_pair<T>(args.sums, args.d, c, make_float2(c.sum.x + x.x, c.sum.y + x.y));
}

// logits <- the classifier over what the blocks left in pre_logits, by the last block to arrive.
__device__ static void classify(int thread, const wb_whole_args &args) {
    __shared__ bool is_last;
    __syncthreads();
    if (thread == 0) {
        const uint32_t all = (4u * args.n_layers + 2u) * gridDim.x;
        is_last = arrive(args.arrivals) + 1 == all;
        if (is_last) *args.arrivals = 0;  // for the next launch
    }
    __syncthreads();
    if (!is_last) return;
    const int lane = thread % 32, n = args.n_texts * args.n_labels;
    for (int i = thread / 32; i < n; i += WARPS) {
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
    const int thread = thread_here();
    place p = r.qkv;
    p.n_units = r.out.n_units;
    if (p.n_units > 0) {
        const cells c = multiply_norm<T, M, 1>(thread, r, args, p, args.n_layers,
                                               args.products[4 * args.n_layers],
                                               args.norms[2 * args.n_layers], r.stats);
        const int text = c.is_there ? args.text[c.row] : -1;
        if (text >= 0)
            __stcg((float2 *)(args.pre_logits + (size_t)text * args.d + c.column),
                   make_float2(fmaxf(c.sum.x, 0.0f), fmaxf(c.sum.y, 0.0f)));
    }
    classify(thread, args);
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
    embed<T>(args);
    meet(args.arrivals, 1);
    for (int layer = 0; layer < args.n_layers; layer++) {
        qkv<T, M>(r, args, layer);
        meet(args.arrivals, 4 * layer + 2);
        attention<T, D, M>(r, args, layer);
        meet(args.arrivals, 4 * layer + 3);
        up<T, M>(r, args, layer);
        meet(args.arrivals, 4 * layer + 4);
        down<T, M>(r, args, layer);
        meet(args.arrivals, 4 * layer + 5);
    }
    head<T, M>(r, args);
#endif
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

bool wb_whole_prepare(const wb_whole_args *args) {
    if (args->d % 64 || args->d_ff % 64 || args->d > 32 * WARPS * NORM_STEPS ||
        (args->d_head != 32 && args->d_head != 64) || args->n_blocks < 1 ||
        (args->cell != WB_CELL_F16 && args->cell != WB_CELL_BF16))
        return false;
    const sizes s = sizes_of(*args);
    if (s.most_units[0] > WIDE_UNITS || s.most_units[1] > 1 || s.most_units[2] > WIDE_UNITS)
        return false;
    int device = 0, major = 0, most_shared = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (!code)
        code =
            cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (code || major != 9 || s.total > most_shared) return false;
    for (int i = 0; i < 2 && !code; i++)
        code = cudaFuncSetAttribute(kernel_of(args, i), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    s.total);
    return !code;
}

unsigned wb_launch_whole(const wb_whole_args *args, wb_stream stream) {
    void *params[] = {(void *)args};
    return cudaLaunchCooperativeKernel(kernel_of(args, args->m > 16), dim3(args->n_blocks),
                                       dim3(THREADS), params, (size_t)sizes_of(*args).total,
                                       stream);
}
