// SPDX-License-Identifier: Apache-2.0
// Products in fp8 with short k on compute capability 9.0. cuBLASLt's epilogue runs after its sums,
// and at k = 768 the sums take no longer than gelu; here they overlap, and w is read once.
//
// A block keeps a strip of w, 256 columns of y by all of k (192 of 227 KiB of shared memory), for
// as long as it lives and passes over tiles of 64 rows of x. Blocks of different strips meet the
// same rows at the same time, so that x comes from memory once. One warp copies x ahead; two
// warpgroups take turns (ping-pong): one multiplies while the other finishes its last tile.
//
//     warpgroup 0   multiply tile 0 | finish 0        | multiply tile 2 | ..
//     warpgroup 1                   | multiply tile 1 | finish 1        | ..
//
// The rows of a strip lie in shared memory in an order that gives a lane 16 neighbouring bytes of a
// row of y. Of every 8 results of a row, lane q of its four holds 2 q and 2 q + 1; with P columns
// to 16 bytes, pair i of lane q in block b (of 4 P columns) is therefore w's row 4 P b + P q + 2 i
// + e, and all pairs i of the strip lie together:
//
//     row of the strip   (512 / P) i + 8 b + 2 q + e          i < P / 2, e < 2
//
// 65,536 rows on an H100 at its limit of 700 W, beside cuBLASLt's fastest (checkcuda --bench -f
// product-fp8): qkv 208 against 245 us, attention-out 101 against 115, up with gelu 279 against
// 364, where cuBLASLt takes 270 without gelu. Longer k does not fit, and has cuBLASLt's epilogue
// weigh less. Copying x into the L2 cache two or four tiles ahead of its use was 1 to 13 % slower.
#include <cudaTypedefs.h>

#include "cuda/activate.cuh"
#include "cuda/hopper.cuh"

enum {
    ROWS = 64,      // of a tile
    COLUMNS = 256,  // of a strip
    STEP = 128,     // of k
    MOST_STEPS = 6,
    MOST_STAGES = 16,  // tiles of x by one step on their way or in use; 4 at k = 768
    X_BYTES = ROWS * STEP,
    W_BYTES = COLUMNS * STEP,
    GROUP = 128,  // threads of a warpgroup
    THREADS = 3 * GROUP,
    MOST_SHARED = 227 * 1024,
};

// Behind the strip and the stages in shared memory.
struct corner {
    float bias[COLUMNS];
    uint64_t w_full[MOST_STEPS], x_full[MOST_STAGES], x_empty[MOST_STAGES];
};

struct product_args {
    const void *bias, *residual;
    void *y;
    const float *x_scale, *w_scale, *y_scale;
    int m, n, ld_y, n_steps, n_stages;
    int n_strips, n_tiles, n_sharers;  // n_sharers blocks share a strip's tiles
};

// How a lane's results lie in y: pieces of 16 bytes, one in each block of columns.
template <typename Y>
struct layout {
    static constexpr int PIECE = 16 / sizeof(Y), BLOCK = 4 * PIECE, N_BLOCKS = COLUMNS / BLOCK;
    static constexpr int SIDES = PIECE / 8;  // 16-byte pieces of the residual beside it
};

// A lane's first piece of a tile; it has the piece 8 rows below, too.
struct place {
    int row, column;
};

// ---- The epilogue ----

__device__ inline float tanh_fast(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// activation(x) * y_scale. gelu is tanh's form with numbers fitted to erf's, from which it differs
// by at most 2.7e-4 (4.7e-4 with the usual ones), less than tanh.approx does. At the limit of power
// instructions cost time even where they hide: one more term, 4e-5 from erf's form, made the up
// product 3 to 6 % longer, exp in tanh's place 15 to 28 %, erf_short 58 %.
template <wb_activation ACTIVATION>
__device__ inline float activate_scaled(float x, float y_scale) {
    if constexpr (ACTIVATION == WB_RELU) return fmaxf(x, 0.0f) * y_scale;
    if constexpr (ACTIVATION != WB_GELU) return x * y_scale;
    const float half = 0.5f * y_scale * x, inner = fmaf(x * x, 0.0347004981f, 0.80015701f);
    return fmaf(half, tanh_fast(x * inner), half);
}

template <typename T>
__device__ inline uint4 pack_piece(const float v[8], T) {
    return make_uint4(pack_pair(v[0], v[1], T()), pack_pair(v[2], v[3], T()),
                      pack_pair(v[4], v[5], T()), pack_pair(v[6], v[7], T()));
}

__device__ inline uint4 pack_piece(const float v[16], __nv_fp8_e4m3) {
    uint4 packed;
    store8_fp8(&packed.x, v);
    store8_fp8(&packed.z, v + 8);
    return packed;
}

// Loaded where the code says: long before its use, and before y, which may be the residual.
__device__ inline uint4 load_now(const void *p) {
    uint4 r;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
                 : "l"(p)
                 : "memory");
    return r;
}

template <typename Y, typename Side>
__device__ inline void load_residual(uint4 residual[16], const product_args &args, place at) {
    using L = layout<Y>;
#pragma unroll
    for (int b = 0; b < L::N_BLOCKS; b++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = at.row + 8 * half, column = at.column + L::BLOCK * b;
            const bool is_there = row < args.m && column < args.n;
            const Side *from = (const Side *)args.residual + (size_t)row * args.ld_y + column;
#pragma unroll
            for (int s = 0; s < L::SIDES; s++)
                residual[(2 * b + half) * L::SIDES + s] =
                    is_there ? load_now(from + 8 * s) : make_uint4(0, 0, 0, 0);
        }
}

template <typename Side>
__device__ inline void add8(float v[8], const uint4 &residual) {
    float r[8];
    load8(r, (const Side *)&residual);
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] += r[i];
}

// y <- a lane's sums; bias is that of its columns.
template <typename Y, typename Side, wb_activation ACTIVATION, bool HAS_RESIDUAL>
__device__ inline void finish_tile(const float sums[128], const uint4 residual[16],
                                   const product_args &args, const float *bias, float scale,
                                   float y_scale, place at) {
    using L = layout<Y>;
#pragma unroll
    for (int b = 0; b < L::N_BLOCKS; b++) {
        const int column = at.column + L::BLOCK * b;
        if (column >= args.n) return;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = at.row + 8 * half;
            float v[L::PIECE];
#pragma unroll
            for (int i = 0; i < L::PIECE; i++) {
                const int eight = L::N_BLOCKS * (i / 2) + b;
                v[i] = fmaf(sums[4 * eight + 2 * half + i % 2], scale, bias[L::BLOCK * b + i]);
            }
            if constexpr (HAS_RESIDUAL)
#pragma unroll
                for (int s = 0; s < L::SIDES; s++)
                    add8<Side>(v + 8 * s, residual[(2 * b + half) * L::SIDES + s]);
#pragma unroll
            for (int i = 0; i < L::PIECE; i++) v[i] = activate_scaled<ACTIVATION>(v[i], y_scale);
            if (row < args.m)
                *(uint4 *)((Y *)args.y + (size_t)row * args.ld_y + column) = pack_piece(v, Y());
        }
    }
}

// ---- The roles ----

// One thread: the strip of w, once. It depends on nothing and does not wait for the predecessor.
template <int PIECE>
__device__ inline void copy_w(uint8_t *w, corner *c, const CUtensorMap *map,
                              const product_args &args, int first_column) {
    for (int step = 0; step < args.n_steps; step++) {
        barrier_expect(&c->w_full[step], W_BYTES);
        for (int pair = 0; pair < PIECE / 2; pair++)
            copy_tile3(w + step * W_BYTES + pair * (2 * W_BYTES / PIECE), map, step * STEP,
                       2 * pair, first_column / PIECE, &c->w_full[step]);
    }
}

// One thread: tiles of x, as stages come free.
__device__ inline void copy_x(uint8_t *x, corner *c, const CUtensorMap *map,
                              const product_args &args, int tile) {
    int stage = 0, parity = 1;
    wait_for_predecessor();
    for (; tile < args.n_tiles; tile += args.n_sharers)
        for (int step = 0; step < args.n_steps; step++) {
            barrier_wait(&c->x_empty[stage], parity);
            barrier_expect(&c->x_full[stage], X_BYTES);
            copy_tile2(x + stage * X_BYTES, map, step * STEP, tile * ROWS, &c->x_full[stage]);
            if (++stage == args.n_stages) stage = 0, parity ^= 1;
        }
}

// sums <- the products of a tile whose first step is copy number first; returns the stage of the
// last, which is still in use. Lane 0 of each warp gives the others back.
__device__ inline int multiply_tile(float sums[128], const uint8_t *w, const uint8_t *x, corner *c,
                                    const product_args &args, int first, int lane) {
    int stage = first % args.n_stages, parity = first / args.n_stages & 1, last = 0;
    for (int step = 0; step < args.n_steps; step++) {
        barrier_wait(&c->w_full[step], 0);
        barrier_wait(&c->x_full[stage], parity);
        group_fence();
        const uint64_t a = operand_of(x + stage * X_BYTES), b = operand_of(w + step * W_BYTES);
#pragma unroll
        for (int i = 0; i < STEP / 32; i++)
            multiply_group(sums, a + 2 * i, b + 2 * i, step == 0 && i == 0);
        group_commit();
        if (step > 0) {
            group_wait<1>();
            if (lane == 0) barrier_arrive(&c->x_empty[last]);
        }
        last = stage;
        if (++stage == args.n_stages) stage = 0, parity ^= 1;
    }
    return last;
}

// A warpgroup: every second tile of the block. Turns are barriers 1 and 2: a group waits at its own
// and, once its products are under way, arrives at the other's, unless no tile is left.
template <typename Y, typename Side, wb_activation ACTIVATION, bool HAS_RESIDUAL>
__device__ inline void compute(const uint8_t *w, const uint8_t *x, corner *c,
                               const product_args &args, int group, int first_tile,
                               int first_column) {
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    const int offset = layout<Y>::PIECE * (lane % 4);
    const float scale = *args.x_scale * *args.w_scale;
    const float y_scale = sizeof(Y) == 1 && args.y_scale ? *args.y_scale : 1.0f;
    wait_for_predecessor();
    for (int i = group;; i += 2) {
        const int tile = first_tile + i * args.n_sharers;
        if (tile >= args.n_tiles) break;
        const place at = {tile * ROWS + 16 * warp + lane / 4, first_column + offset};
        float sums[128];
        uint4 residual[16];
        if constexpr (HAS_RESIDUAL) load_residual<Y, Side>(residual, args, at);
        if (i > 0) threads_wait(1 + group, 2 * GROUP);
        const int last = multiply_tile(sums, w, x, c, args, i * args.n_steps, lane);
        if (tile + args.n_sharers < args.n_tiles) threads_arrive(2 - group, 2 * GROUP);
        group_wait<0>();
        // The compiler knows no reason not to read sums earlier.
#pragma unroll
        for (int k = 0; k < 128; k++) asm volatile("" : "+f"(sums[k])::"memory");
        if (lane == 0) barrier_arrive(&c->x_empty[last]);
        finish_tile<Y, Side, ACTIVATION, HAS_RESIDUAL>(sums, residual, args, c->bias + offset,
                                                       scale, y_scale, at);
    }
}

template <typename Y, typename Side, wb_activation ACTIVATION, bool HAS_RESIDUAL>
__device__ inline void run_block(const CUtensorMap *x_map, const CUtensorMap *w_map,
                                 const product_args &args) {
    extern __shared__ __align__(1024) uint8_t shared[];
    uint8_t *w = shared, *x = w + args.n_steps * W_BYTES;
    corner *c = (corner *)(x + args.n_stages * X_BYTES);
    const int first_column = blockIdx.x % args.n_strips * COLUMNS;
    const int first_tile = blockIdx.x / args.n_strips;
    // The same in all lanes, which the compiler must see: products in code that it thinks diverges
    // wait for one another.
    const int group = __shfl_sync(~0u, (int)threadIdx.x / GROUP, 0);
    let_successor_launch();
    if (threadIdx.x == 0) {
        for (int i = 0; i < args.n_steps; i++) barrier_init(&c->w_full[i], 1);
        for (int i = 0; i < args.n_stages; i++) {
            barrier_init(&c->x_full[i], 1);
            barrier_init(&c->x_empty[i], GROUP / 32);
        }
        barrier_publish();
    }
    for (int i = threadIdx.x; i < COLUMNS; i += THREADS)
        c->bias[i] = args.bias && first_column + i < args.n
                         ? load1((const Side *)args.bias + first_column + i)
                         : 0.0f;
    __syncthreads();
    if (group == 2) {
        registers_shrink<24>();
        if (threadIdx.x == 2 * GROUP) copy_w<layout<Y>::PIECE>(w, c, w_map, args, first_column);
        if (threadIdx.x == 2 * GROUP + 32) copy_x(x, c, x_map, args, first_tile);
    } else {
        registers_grow<240>();
        compute<Y, Side, ACTIVATION, HAS_RESIDUAL>(w, x, c, args, group, first_tile, first_column);
    }
}

template <typename Y, typename Side, wb_activation ACTIVATION, bool HAS_RESIDUAL>
__global__ static void __launch_bounds__(THREADS, 1)
    product_fp8(const __grid_constant__ CUtensorMap x_map,
                const __grid_constant__ CUtensorMap w_map,
                const __grid_constant__ product_args args) {
    if constexpr (HAS_WARPGROUPS)
        run_block<Y, Side, ACTIVATION, HAS_RESIDUAL>(&x_map, &w_map, args);
}

// ---- The host's side ----

typedef PFN_cuTensorMapEncodeTiled_v12000 encode_fn;

// The driver's function, without linking against the driver.
static cudaError_t find_encode(encode_fn *encode) {
    void *found = NULL;
    cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    const cudaError_t code = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found,
                                                              12000, cudaEnableDefault, &result);
    if (code) return code;
    *encode = (encode_fn)found;
    return result == cudaDriverEntryPointSuccess ? cudaSuccess : cudaErrorNotSupported;
}

static cudaError_t encode_map(encode_fn encode, CUtensorMap *map, const void *cells, int n_sizes,
                              const cuuint64_t *sizes, const cuuint64_t *strides,
                              const cuuint32_t *box) {
    const cuuint32_t each[3] = {1, 1, 1};
    return encode(map, CU_TENSOR_MAP_DATA_TYPE_UINT8, (cuuint32_t)n_sizes, (void *)cells, sizes,
                  strides, box, each, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                  CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
               ? cudaErrorInvalidValue
               : cudaSuccess;
}

static cudaError_t encode_maps(CUtensorMap *x_map, CUtensorMap *w_map, const wb_gpu_product &p,
                               int piece) {
    const cuuint64_t k = (cuuint64_t)p.k, rows = (cuuint64_t)piece;
    const cuuint64_t x_sizes[2] = {k, (cuuint64_t)p.m}, x_strides[1] = {k};
    const cuuint32_t x_box[2] = {STEP, ROWS};
    // As k, row of a piece, piece.
    const cuuint64_t w_sizes[3] = {k, rows, (cuuint64_t)p.n / rows}, w_strides[2] = {k, k * rows};
    const cuuint32_t w_box[3] = {STEP, 2, (cuuint32_t)(COLUMNS / piece)};
    encode_fn encode = NULL;
    cudaError_t code = find_encode(&encode);
    if (!code) code = encode_map(encode, x_map, p.x, 2, x_sizes, x_strides, x_box);
    if (!code) code = encode_map(encode, w_map, p.w, 3, w_sizes, w_strides, w_box);
    return code;
}

static product_args describe(const wb_gpu_product &p, int n_multiprocessors) {
    product_args args = {p.bias,    p.residual, p.y, p.x_scale, p.w_scale,
                         p.y_scale, p.m,        p.n, p.ld_y,    p.k / STEP};
    const int left = MOST_SHARED - (int)sizeof(corner) - args.n_steps * W_BYTES;
    args.n_stages = left / X_BYTES < MOST_STAGES ? left / X_BYTES : MOST_STAGES;
    args.n_strips = (p.n + COLUMNS - 1) / COLUMNS;
    args.n_tiles = (p.m + ROWS - 1) / ROWS;
    args.n_sharers = n_multiprocessors / args.n_strips;
    if (args.n_sharers > args.n_tiles) args.n_sharers = args.n_tiles;
    return args;
}

template <typename Y, typename Side, wb_activation ACTIVATION, bool HAS_RESIDUAL>
static cudaError_t launch(const wb_gpu_product &p, cudaStream_t stream) {
    void (*kernel)(CUtensorMap, CUtensorMap, product_args) =
        product_fp8<Y, Side, ACTIVATION, HAS_RESIDUAL>;
    int device = 0, n_multiprocessors = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code)
        code = cudaDeviceGetAttribute(&n_multiprocessors, cudaDevAttrMultiProcessorCount, device);
    if (code) return code;
    const product_args args = describe(p, n_multiprocessors);
    if (args.n_sharers < 1) return cudaErrorInvalidValue;
    CUtensorMap x_map, w_map;
    code = encode_maps(&x_map, &w_map, p, layout<Y>::PIECE);
    const size_t n_bytes =
        (size_t)(args.n_steps * W_BYTES + args.n_stages * X_BYTES) + sizeof(corner);
    if (!code)
        code =
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)n_bytes);
    if (code) return code;
    return (cudaError_t)launch_after(kernel, (unsigned)(args.n_strips * args.n_sharers), THREADS,
                                     n_bytes, stream, x_map, w_map, args);
}

template <typename Y, typename Side, bool HAS_RESIDUAL>
static cudaError_t launch_activation(const wb_gpu_product &p, cudaStream_t stream) {
    switch (p.activation) {
        case WB_RELU: return launch<Y, Side, WB_RELU, HAS_RESIDUAL>(p, stream);
        case WB_GELU: return launch<Y, Side, WB_GELU, HAS_RESIDUAL>(p, stream);
        default: return launch<Y, Side, WB_LINEAR, HAS_RESIDUAL>(p, stream);
    }
}

template <typename Y, typename Side>
static cudaError_t launch_cells(const wb_gpu_product &p, cudaStream_t stream) {
    return p.residual ? launch_activation<Y, Side, true>(p, stream)
                      : launch_activation<Y, Side, false>(p, stream);
}

bool wb_product_fp8_takes(const wb_gpu_product *p) {
    const bool is_side = p->side_cell == WB_CELL_F16 || p->side_cell == WB_CELL_BF16;
    const bool is_y = p->y_cell == WB_CELL_FP8 || p->y_cell == p->side_cell;
    return p->cell == WB_CELL_FP8 && !p->is_scale_per_row && is_side && is_y && p->m > 0 &&
           p->k % STEP == 0 && p->k <= MOST_STEPS * STEP && p->n % 64 == 0 &&
           p->n <= WB_CUDA_MOST_WIDTH && p->ld_y % 16 == 0 && p->activation != WB_SILU;
}

unsigned wb_launch_product_fp8(const wb_gpu_product *p, wb_stream stream) {
    if (!wb_product_fp8_takes(p)) return cudaErrorInvalidValue;
    if (p->y_cell == WB_CELL_F16) return launch_cells<__half, __half>(*p, stream);
    if (p->y_cell == WB_CELL_BF16) return launch_cells<__nv_bfloat16, __nv_bfloat16>(*p, stream);
    return p->side_cell == WB_CELL_F16 ? launch_cells<__nv_fp8_e4m3, __half>(*p, stream)
                                       : launch_cells<__nv_fp8_e4m3, __nv_bfloat16>(*p, stream);
}
