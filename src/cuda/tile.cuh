// SPDX-License-Identifier: Apache-2.0
// Tiles of f16 or bf16 in shared memory and their products on tensor cores, as every attention
// kernel of 16-bit cells uses them. A tile has rows of D cells in chunks of 8 (16 bytes); chunks
// are exchanged inside a row so that the 8 rows of one ldmatrix lie in different banks:
//
//     D = 64, row r:  chunk c lies at c ^ (r % 8)          a row is all 32 banks
//     D = 32, row r:  chunk c lies at c ^ (r / 2 % 4)      two rows are
//
// A warp multiplies 16 rows at a time with mma.m16n8k16, f32 sums. Of such a 16 x 8 result, lane l
// holds rows l / 4 and l / 4 + 8, columns 2 (l % 4) and the next.
#ifndef WB_CUDA_TILE_CUH
#define WB_CUDA_TILE_CUH

#include "cuda/cell.cuh"

template <int D>
__device__ inline int tile_at(int row, int chunk) {
    const int swizzle = D == 64 ? row & 7 : (row >> 1) & 3;
    return row * D + 8 * (chunk ^ swizzle);
}

__device__ inline uint32_t shared_address(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

// 16 bytes on their way to shared memory; zeros where is_there is false.
__device__ inline void copy16(void *to, const void *from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(to)),
                 "l"(from), "r"(is_there ? 16 : 0));
}

__device__ inline void copy_commit() {
    asm volatile("cp.async.commit_group;\n");
}

template <int LEFT>
__device__ inline void copy_wait() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(LEFT));
}

// Rows [0, n_rows) of a tile <- from[row, ld], zeros from n_there on; by n_lanes threads.
template <typename T, int D>
__device__ inline void load_tile(T *tile, const T *from, int ld, int n_rows, int n_there, int lane,
                                 int n_lanes) {
    constexpr int CHUNKS = D / 8;
    for (int i = lane; i < n_rows * CHUNKS; i += n_lanes) {
        const int row = i / CHUNKS, chunk = i % CHUNKS;
        const bool is_there = row < n_there;
        const T *source = from + (size_t)(is_there ? row : 0) * ld + 8 * chunk;
        copy16(tile + tile_at<D>(row, chunk), source, is_there);
    }
}

__device__ inline void load_matrices(uint32_t r[4], const void *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}

__device__ inline void load_matrices_transposed(uint32_t r[4], const void *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}

__device__ inline void multiply(float c[4], const uint32_t a[4], const uint32_t b[2], __half) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline void multiply(float c[4], const uint32_t a[4], const uint32_t b[2],
                                __nv_bfloat16) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline uint32_t pack_pair(float low, float high, __half) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *(const uint32_t *)&pair;
}

__device__ inline uint32_t pack_pair(float low, float high, __nv_bfloat16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *(const uint32_t *)&pair;
}

// a <- the 16 x 16 block of a tile at (row, 16 step) as the left side of a product.
template <typename T, int D>
__device__ inline void load_left(uint32_t a[4], const T *tile, int row, int step, int lane) {
    load_matrices(a, tile + tile_at<D>(row + (lane & 15), 2 * step + (lane >> 4)));
}

// b[0..1], b[2..3] <- columns [16 step, + 16) of the tile's rows [row, + 8) and [row + 8, + 8) as
// right sides: a product with the tile transposed, as q k^T.
template <typename T, int D>
__device__ inline void load_right_rows(uint32_t b[4], const T *tile, int row, int step, int lane) {
    const int r = row + (lane & 7) + ((lane >> 4) << 3);
    load_matrices(b, tile + tile_at<D>(r, 2 * step + ((lane >> 3) & 1)));
}

// b[0..1], b[2..3] <- rows [row, + 16) of the tile's columns [16 step, + 8) and the next 8 as right
// sides: a product with the tile itself, as p v.
template <typename T, int D>
__device__ inline void load_right_columns(uint32_t b[4], const T *tile, int row, int step,
                                          int lane) {
    load_matrices_transposed(b, tile + tile_at<D>(row + (lane & 15), 2 * step + (lane >> 4)));
}

// s[n_tiles][4] <- 16 rows of q (from row) times keys [0, 8 N) of the tile k, those from n_valid on
// skipped in steps of 16; q is held in registers as D / 16 left sides.
template <typename T, int D, int N>
__device__ inline void multiply_keys(float s[N][4], const uint32_t q[D / 16][4], const T *k,
                                     int n_valid, int lane) {
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        for (int j = 0; j < 4; j++) s[n][j] = s[n + 1][j] = 0.0f;
        if (8 * n >= n_valid) continue;
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            uint32_t b[4];
            load_right_rows<T, D>(b, k, 8 * n, step, lane);
            multiply(s[n], q[step], b, T());
            multiply(s[n + 1], q[step], b + 2, T());
        }
    }
}

// o[D / 8][4] += p v, p[16 rows, 8 N keys] as multiply_keys leaves scores: two neighbouring results
// are, packed, the left side of the next product.
template <typename T, int D, int N>
__device__ inline void multiply_values(float o[D / 8][4], const float p[N][4], const T *v,
                                       int n_valid, int lane) {
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        if (8 * n >= n_valid) continue;
        const uint32_t a[4] = {pack_pair(p[n][0], p[n][1], T()), pack_pair(p[n][2], p[n][3], T()),
                               pack_pair(p[n + 1][0], p[n + 1][1], T()),
                               pack_pair(p[n + 1][2], p[n + 1][3], T())};
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            uint32_t b[4];
            load_right_columns<T, D>(b, v, 8 * n, step, lane);
            multiply(o[2 * step], a, b, T());
            multiply(o[2 * step + 1], a, b + 2, T());
        }
    }
}

// The same value in the four lanes that share a row.
__device__ inline float row_sum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

__device__ inline float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

// context[first_row + i, column ..] <- 16 rows of o, scaled by inverse[0] (rows 0..7) and
// inverse[1] (8..15), the first n_rows of them; by way of the warp's own 16 rows of a tile, so that
// memory is written in whole chunks.
template <typename T, int D>
__device__ inline void store_rows(const wb_narrow &context, wb_cell cell, const float o[D / 8][4],
                                  const float inverse[2], T *tile, int tile_row, int first_row,
                                  int n_rows, int column, int lane) {
    __syncwarp();
    const int row = tile_row + lane / 4, offset = 2 * (lane % 4);
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
        *(uint32_t *)(tile + tile_at<D>(row, n) + offset) =
            pack_pair(o[n][0] * inverse[0], o[n][1] * inverse[0], T());
        *(uint32_t *)(tile + tile_at<D>(row + 8, n) + offset) =
            pack_pair(o[n][2] * inverse[1], o[n][3] * inverse[1], T());
    }
    __syncwarp();
    constexpr int CHUNKS = D / 8;
    for (int i = lane; i < 16 * CHUNKS; i += 32) {
        const int r = i / CHUNKS, chunk = i % CHUNKS;
        if (r >= n_rows) continue;
        const T *from = tile + tile_at<D>(tile_row + r, chunk);
        const int at = column + 8 * chunk;
        if (context.cell == cell) {
            T *to = (T *)context.rows + (size_t)(first_row + r) * context.ld + at;
            *(uint4 *)to = *(const uint4 *)from;
            continue;
        }
        float x[8];
        load8(x, from);
        store_narrow8(context, first_row + r, at, x, context.multiplier);
    }
    __syncwarp();
}

#endif
