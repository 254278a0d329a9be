// SPDX-License-Identifier: Apache-2.0
// What the steps of whole.cu are made of: where results lie in memory and how they are awaited, a
// block's share of each matrix in its shared memory, and the products of up to 32 rows with the
// block's columns, whose sums warps share out by k.
#ifndef WB_CUDA_WHOLE_CUH
#define WB_CUDA_WHOLE_CUH

#include "cuda/hopper.cuh"

enum {
    ROWS = WB_WHOLE_ROWS,
    TILES = ROWS / 16,  // of rows, that a warp multiplies
    OCTETS = ROWS / 8,  // of rows, that one block of a cluster adds up
    UNIT = 8,           // columns
    UNITS = 6,          // at most, of a block and a matrix
    QUADS = 2 * UNITS,  // of columns: a thread has one in one row
    STEP_BYTES = 512,   // of a unit and 32 k: 16 a lane
    SHARES = 4,         // of k, among the warps that multiply a tile
    STEPS = 6,          // of 32 k, at most, of a share
    MOST_K = 32 * SHARES * STEPS,
    MULTIPLYING = TILES * SHARES,  // warps; the others serve them
    PARTS = QUADS / 4,             // warps that have an octet's sums
    WARPS = OCTETS * PARTS,
    MOST_SHARES = WARPS / TILES,  // of sums: of out, each head's is one
    THREADS = 32 * WARPS,
    LOG_CLUSTER = 2,
    CLUSTER = 1 << LOG_CLUSTER,
    MOST_LOG_CLUSTERS = 4,
    MOST_CLUSTERS = 1 << MOST_LOG_CLUSTERS
};

enum { QKV, OUT, UP, DOWN };

// Where a step's matrix lies, and what flags count: each place's weights, the shares of sums that
// come from the cluster's other blocks, and the warps that have left their moments.
enum { WIDE_PLACE, OUT_PLACE, DOWN_PLACE, INBOX, MOMENTS, N_FLAGS };

// ---- Shared memory ----

extern __shared__ uint4 shared_memory[];

template <typename T>
__device__ inline T *in_room(int at) {
    return (T *)((unsigned char *)shared_memory + at);
}

__device__ inline uint64_t *flag_of(const wb_whole_args &args, int i) {
    return in_room<uint64_t>(args.room.flags) + i;
}

// Numbers are unsigned where they are divided: signed ones take three times the instructions.
__device__ inline unsigned warp_here(void) {
    return threadIdx.x / 32;
}

__device__ inline unsigned lane_here(void) {
    return threadIdx.x % 32;
}

__device__ inline unsigned rank_here(void) {
    return blockIdx.x % CLUSTER;
}

// Those with a row of the batch: all of their 16 rows are computed.
__device__ inline unsigned count_tiles(const wb_whole_args &args) {
    return ((unsigned)args.m + 15) / 16;
}

// What step i multiplies with, product number i of the model: this block's share of its matrix.
// n_units units from unit first on; of each unit_bytes of them n_bytes from first_byte on.
struct place {
    unsigned kind;
    unsigned flag, at;  // in shared memory
    unsigned n_units, first, unit_bytes, first_byte, n_bytes;
    bool is_head;
};

__device__ inline unsigned first_head_of(const wb_whole_args &args, unsigned rank) {
    return args.n_heads * rank / CLUSTER;
}

// Of the blocks of a cluster this one's.
__device__ inline unsigned count_heads(const wb_whole_args &args) {
    return first_head_of(args, rank_here() + 1) - first_head_of(args, rank_here());
}

// Of qkv, up and the head's product each block has columns of its own. Of out and down a cluster
// has them, and each of its blocks a part of k: of out, that of the heads that it attends with.
__device__ inline place place_of(const wb_whole_args &args, unsigned i) {
    place p = {};
    p.kind = i % 4;
    p.is_head = i == 4 * args.n_layers;
    const bool is_shared = i % 2;
    const unsigned n = p.kind == UP ? args.d_ff : p.kind == QKV && !p.is_head ? 3 * args.d : args.d;
    const unsigned number = is_shared ? blockIdx.x / CLUSTER : blockIdx.x;
    const unsigned shift = is_shared ? args.log_clusters : args.log_clusters + LOG_CLUSTER;
    unsigned first_k = 0, k = args.d;
    if (p.kind == OUT) {
        first_k = first_head_of(args, rank_here()) * args.d_head;
        k = count_heads(args) * args.d_head;
    } else if (p.kind == DOWN) {
        k = (unsigned)args.d_ff / CLUSTER;
        first_k = k * rank_here();
    }
    p.flag = !is_shared ? WIDE_PLACE : p.kind == OUT ? OUT_PLACE : DOWN_PLACE;
    p.at = args.room.at[p.flag];
    p.first = n / UNIT * number >> shift;
    p.n_units = (n / UNIT * (number + 1) >> shift) - p.first;
    p.unit_bytes = 2 * UNIT * (p.kind == DOWN ? args.d_ff : args.d);
    p.first_byte = 2 * UNIT * first_k;
    p.n_bytes = 2 * UNIT * k;
    return p;
}

// ---- Weights on their way ----

// Sends for a block's share of product i's matrix, by one thread. What the cache can keep until the
// next forward is the last to leave it, all else the first.
__device__ inline void send_for(const wb_whole_args &args, unsigned i) {
    if (i > 4 * args.n_layers) return;
    const place p = place_of(args, i);
    if (p.n_units == 0 || p.n_bytes == 0) return;
    uint64_t *flag = flag_of(args, p.flag);
    barrier_expect(flag, p.n_units * p.n_bytes);
    const unsigned char *from = (const unsigned char *)args.products[i].units +
                                (size_t)p.first * p.unit_bytes + p.first_byte;
    uint64_t policy;
    if (i < args.n_kept)
        asm volatile("createpolicy.fractional.L2::evict_last.b64 %0, 1.0;" : "=l"(policy));
    else
        asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    const bool is_one_piece = p.n_bytes == p.unit_bytes;
    const unsigned n_bytes = is_one_piece ? p.n_units * p.n_bytes : p.n_bytes;
#pragma unroll 1
    for (unsigned u = 0; u < (is_one_piece ? 1 : p.n_units); u++)
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
            "[%0], [%1], %2, [%3], %4;" ::"r"(shared_address(in_room<char>(p.at + u * n_bytes))),
            "l"(from + (size_t)u * p.unit_bytes), "r"(n_bytes), "r"(shared_address(flag)),
            "l"(policy)
            : "memory");
}

// Until the weights of step i are there.
__device__ inline void wait_for(const wb_whole_args &args, const place &p, unsigned i) {
    const unsigned n_before = p.flag == WIDE_PLACE ? i / 2 : i / 4;
    if (p.n_units > 0 && p.n_bytes > 0) barrier_wait(flag_of(args, p.flag), n_before & 1);
}

// ---- Results in memory: who reads one waits for it itself. Each step of a forward has a place of
// its own for what it leaves, all of it ABSENT until somebody writes it; while one forward fills
// one set of places, it empties the set that the forward before has filled. ----

// Two cells, or half of a quad's float, that nobody writes: what is no number is written as 0x7fff
// or 0x7fffffff.
constexpr uint32_t ABSENT = ~0u;

__device__ inline uint4 load_result(const uint4 *p) {
    uint4 x;
    asm volatile("ld.relaxed.gpu.global.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(p));
    return x;
}

__device__ inline uint2 load_result(const uint2 *p) {
    uint2 x;
    asm volatile("ld.relaxed.gpu.global.v2.b32 {%0, %1}, [%2];" : "=r"(x.x), "=r"(x.y) : "l"(p));
    return x;
}

__device__ inline void store_result(void *p, uint32_t x) {
    asm volatile("st.relaxed.gpu.global.b32 [%0], %1;" ::"l"(p), "r"(x));
}

__device__ inline void store_result(void *p, uint2 x) {
    asm volatile("st.relaxed.gpu.global.v2.b32 [%0], {%1, %2};" ::"l"(p), "r"(x.x), "r"(x.y));
}

__device__ inline void store_result(void *p, float4 x) {
    asm volatile("st.relaxed.gpu.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(x.x),
                 "f"(x.y), "f"(x.z), "f"(x.w));
}

__device__ inline bool is_absent(const uint4 &x) {
    return max(max(x.x, x.y), max(x.z, x.w)) == ABSENT;
}

__device__ inline bool is_absent(const uint2 &x) {
    return max(x.x, x.y) == ABSENT;
}

template <int N, typename V>
__device__ inline bool is_any_absent(const V (&a)[N]) {
    bool is_any = false;
#pragma unroll
    for (int i = 0; i < N; i++) is_any |= is_absent(a[i]);
    return is_any;
}

// Asks once more for what was not there.
template <int N, typename V, typename F>
__device__ inline void load_absent(V (&a)[N], F at) {
#pragma unroll
    for (int i = 0; i < N; i++)
        if (is_absent(a[i])) a[i] = load_result(at(i));
}

// a[i] <- what is at at(i), there or not; zeros where nobody wants it.
template <int N, typename V, typename F, typename W>
__device__ inline void begin_fetch(V (&a)[N], F at, W is_wanted) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        a[i] = V();
        if (is_wanted(i)) a[i] = load_result(at(i));
    }
}

// a[i] <- what is at at(i), once it is there. All of a warp together.
template <int N, typename V, typename F, typename W>
__device__ inline void fetch(V (&a)[N], F at, W is_wanted) {
    begin_fetch(a, at, is_wanted);
    while (__any_sync(~0u, is_any_absent(a))) load_absent(a, at);
}

// What product i leaves is sums[ROWS, d] after attention or the feed-forward block, or
// qkv[ROWS, 3 d], or wide[ROWS, d_ff]; of the head's, pre_logits[ROWS, d] floats; and of product
// -1, the sums of embeddings. In memory those from product 4 l - 1 on lie together, and before
// them what is known of their rows: moments[MOST_CLUSTERS, ROWS, 2], the sums of a cluster's
// columns and those of their squares.
enum { MOMENT_BYTES = MOST_CLUSTERS * ROWS * 8 };

constexpr unsigned EMBEDDINGS = ~0u;  // product -1

__host__ __device__ inline int layer_bytes_of(const wb_whole_args &args) {
    return 2 * MOMENT_BYTES + 2 * ROWS * (5 * args.d + args.d_ff);
}

__host__ __device__ inline int results_bytes_of(const wb_whole_args &args) {
    return args.n_layers * layer_bytes_of(args) + 2 * MOMENT_BYTES + 2 * ROWS * 4 * args.d;
}

__device__ inline unsigned char *layer_of_result(const wb_whole_args &args, unsigned i) {
    return args.results + (i + 1) / 4 * layer_bytes_of(args);
}

template <typename T>
__device__ inline T *result_of(const wb_whole_args &args, unsigned i) {
    const unsigned k = (i + 1) % 4, n_before = k == 0 ? 0 : k == 1 ? 1 : k == 2 ? 4 : 5;
    return (T *)(layer_of_result(args, i) + 2 * MOMENT_BYTES + 2 * ROWS * args.d * n_before);
}

__device__ inline float2 *moments_of_result(const wb_whole_args &args, unsigned i) {
    return (float2 *)(layer_of_result(args, i) + ((i + 1) % 4 ? MOMENT_BYTES : 0));
}

// ---- How rows lie: as the left side of mma.m16n8k16, in pieces of 16 rows and 16 columns of which
// a lane has 16 bytes, so that a warp reads in one piece what it multiplies with. Lane 4 g + t has
// of columns 4 t to 4 t + 3 what are rows g and g + 8 to the instruction. These are 4 rows apart,
// so that 8 rows lie together. Keys lie as the right side: of one row first, then of the other.
// Values lie by columns of 32 rows, in the order in which lanes have probabilities. ----

enum { PIECE = 16 * 16 };

__device__ inline unsigned row_of(unsigned m, unsigned half) {
    const unsigned g = lane_here() / 4;
    return 16 * m + 8 * (g / 4) + 4 * half + g % 4;
}

// The key whose scores are column 2 (lane % 4) of a right side's 8.
__device__ inline unsigned key_of(unsigned m, unsigned half) {
    const unsigned t = lane_here() % 4;
    return 16 * m + 8 * (t / 2) + 4 * half + 2 * (t % 2);
}

// Where a lane finds, or a thread puts, 8 bytes for row of columns column to column + 3.
__device__ inline unsigned place_of_quad(unsigned row, unsigned column) {
    const unsigned g = row / 8 % 2 * 4 + row % 4, half = row / 4 % 2;
    return (column / 16 * TILES + row / 16) * PIECE + (4 * g + column / 4 % 4) * 8 + 4 * half;
}

__device__ inline unsigned place_of_value(unsigned row, unsigned column) {
    const unsigned t = row / 8 % 2 * 2 + row / 2 % 2;
    return ROWS * column + 8 * t + row / 16 * 4 + row / 4 % 2 * 2 + row % 2;
}

// Of the left side, a thread's quad of a row and that of its neighbour 4 rows away, which has
// theirs: its first half of both, or its second.
__device__ inline uint2 exchange_halves(uint2 quad, bool is_second) {
    const uint32_t other = __shfl_xor_sync(~0u, is_second ? quad.x : quad.y, 4);
    return is_second ? make_uint2(other, quad.y) : make_uint2(quad.x, other);
}

// ---- Cells ----

template <typename T>
__device__ inline float4 unpack_quad(uint2 quad) {
    const T *cells = (const T *)&quad;
    return make_float4(load1(cells), load1(cells + 1), load1(cells + 2), load1(cells + 3));
}

__device__ inline float4 floats_of(const uint4 &x) {
    return make_float4(__uint_as_float(x.x), __uint_as_float(x.y), __uint_as_float(x.z),
                       __uint_as_float(x.w));
}

__device__ inline float4 add(const float4 &a, const float4 &b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// Their sum and that of their squares.
__device__ inline float2 moments_of(const float4 &x) {
    return make_float2(x.x + x.y + x.z + x.w, x.x * x.x + x.y * x.y + x.z * x.z + x.w * x.w);
}

// The sums over the four lanes that have numbers of the same row.
__device__ inline float2 sum_of_row(float2 x) {
#pragma unroll
    for (int i = 8; i <= 16; i *= 2) {
        x.x += __shfl_xor_sync(~0u, x.x, i);
        x.y += __shfl_xor_sync(~0u, x.y, i);
    }
    return x;
}

// Mean and 1 / deviation of a row.
__device__ inline float2 stats_of(const float2 &moments, int d) {
    const float scale = __fdividef(1.0f, (float)d), mean = moments.x * scale;
    const float variance = fmaxf(moments.y * scale - mean * mean, 0.0f);
    return make_float2(mean, rsqrtf(variance + WB_NORM_EPSILON));
}

__device__ inline uint32_t add_pairs(uint32_t a, uint32_t b, __half) {
    const __half2 sum = __hadd2(*(const __half2 *)&a, *(const __half2 *)&b);
    return *(const uint32_t *)&sum;
}

__device__ inline uint32_t add_pairs(uint32_t a, uint32_t b, __nv_bfloat16) {
    const __nv_bfloat162 sum = __hadd2(*(const __nv_bfloat162 *)&a, *(const __nv_bfloat162 *)&b);
    return *(const uint32_t *)&sum;
}

// Four cells of a row's sum of both embeddings.
template <typename T>
__device__ inline uint2 load_embedding(const wb_whole_args &args, unsigned row, unsigned column) {
    const size_t word = (size_t)args.ids[row] * args.d + column;
    const size_t position = (size_t)args.position[row] * args.d + column;
    const uint2 a = *(const uint2 *)((const T *)args.words + word);
    const uint2 b = *(const uint2 *)((const T *)args.positions + position);
    return make_uint2(add_pairs(a.x, b.x, T()), add_pairs(a.y, b.y, T()));
}

// Until all threads of a cluster are here.
__device__ inline void meet_cluster(void) {
    asm volatile("barrier.cluster.arrive.aligned;\n\tbarrier.cluster.wait.aligned;" ::: "memory");
}

// ---- Products ----

// Of the steps of 32 k, the i-th of this warp. Blocks begin at different ones, so that they do not
// all want the same memory first.
__device__ inline unsigned step_of(unsigned i) {
    return (warp_here() + blockIdx.x) % SHARES + SHARES * i;
}

// Asked for where it is written, whatever the compiler thinks.
__device__ inline uint4 load_shared(uint32_t at) {
    uint4 x;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(at)
                 : "memory");
    return x;
}

// What a lane multiplies with in step step of each unit. What units that a block does not have come
// to, nobody looks at.
__device__ inline void load_units(uint4 b[UNITS], const place &p, unsigned step) {
    const uint32_t w = shared_address(in_room<char>(p.at + step * STEP_BYTES + lane_here() * 16));
#pragma unroll
    for (int u = 0; u < UNITS; u++) b[u] = load_shared(w + u * p.n_bytes);
}

// sums += 16 columns of the lane's rows times the same k of each unit. Products that follow each
// other have sums of their own, so that none waits for another.
template <typename T>
__device__ inline void multiply_units(float sums[UNITS][4], const uint4 &a, const uint4 b[UNITS],
                                      bool is_second) {
    const uint32_t left[4] = {a.x, a.y, a.z, a.w};
#pragma unroll
    for (int u = 0; u < UNITS; u++) {
        const uint32_t right[2] = {is_second ? b[u].z : b[u].x, is_second ? b[u].w : b[u].y};
        multiply(sums[u], left, right, T());
    }
}

// Where four columns' sums of a row lie in step i, [shares][OCTETS][QUADS][8 rows]: rows of every
// other quad in another order, for banks' sake. The next step's lie elsewhere, so that a warp may
// be there before others have read these.
__device__ inline float4 *place_of_sums(const wb_whole_args &args, unsigned i, unsigned share,
                                        unsigned octet, unsigned quad, unsigned row) {
    return in_room<float4>(args.room.scratch[i % 2]) +
           ((share * OCTETS + octet) * QUADS + quad) * 8 + (row ^ 4 * (quad % 2));
}

// A warp's share of the sums of 16 rows to where each thread finds those of its cells.
__device__ inline void share_sums(const wb_whole_args &args, unsigned i, unsigned share, unsigned m,
                                  const float sums[UNITS][4]) {
    const unsigned lane = lane_here();
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const unsigned row = row_of(m, half), quad = lane % 4 / 2;
        float2 *to = (float2 *)place_of_sums(args, i, share, row / 8, quad, row % 8) + lane % 2;
#pragma unroll
        for (int u = 0; u < UNITS; u++)
            to[2 * u * 8 * 2] = make_float2(sums[u][2 * half], sums[u][2 * half + 1]);
    }
}

// Four neighbouring cells of a product's result, a thread's own.
struct cells {
    unsigned row, quad, column;
    bool is_there;    // whether the block has these columns
    uint32_t shares;  // where the first share of their sums lies
};

__device__ inline bool is_row_computed(const wb_whole_args &args, unsigned row) {
    return row < 16 * count_tiles(args);
}

// A warp has an octet's rows of 16 columns; octet first is the first warps'. Found before the sums
// are there, which is why the compiler is kept from finding it where it is used.
__device__ inline cells cells_of(const wb_whole_args &args, unsigned i, const place &p,
                                 unsigned first) {
    const unsigned warp = warp_here(), lane = lane_here();
    const unsigned quad = 4 * (warp % PARTS) + lane / 8, u = quad / 2;
    const unsigned octet = (warp / PARTS + first) % OCTETS, row = lane % 8;
    uint32_t shares = shared_address(place_of_sums(args, i, 0, octet, quad, row));
    asm volatile("" : "+r"(shares));
    return {8 * octet + row, quad, UNIT * (p.first + u) + 4 * (quad % 2), u < p.n_units, shares};
}

// The sum of what n_shares warps have of them.
__device__ inline float4 sum_shares(const cells &c, unsigned n_shares) {
    float4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int k = 0; k < MOST_SHARES; k++)
        if (k < n_shares)
            sum = add(sum, floats_of(load_shared(c.shares + k * OCTETS * QUADS * 8 * 16)));
    return sum;
}

#endif
