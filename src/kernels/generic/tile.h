// SPDX-License-Identifier: Apache-2.0
// What the products of all precisions share: how rows are cut into register tiles, and what
// happens to a finished tile. Written over lanes.h, which a set's file includes first.
//
// Order of the loops: panel outside, rows inside. A panel (192 KB of f32 at
// k = 768) is read once from memory and then stays in the second-level cache while all rows pass;
// with a tile of 6 x 64 the core reads it at 256 bytes per 24 multiply-adds, which that cache
// sustains.
#ifndef WB_KERNELS_TILE_H
#define WB_KERNELS_TILE_H

#include "kernels/generic/math.h"
#include "kernels/generic/panels.h"
#include "kernels/kernels.h"

// Where a product writes, and what it does to each cell first.
typedef struct output {
    float *y;  // [m, n]
    int ld_y, m, n;
    wb_epilogue epilogue;
} output;

KERNEL_INLINE output output_of(float *y, int ld_y, int m, int n, const wb_epilogue *epilogue) {
    return (output){y, ld_y, m, n, epilogue ? *epilogue : (wb_epilogue){.activation = WB_LINEAR}};
}

// The next tile's rows: as equal as possible, because a lone last row would read the whole panel
// for itself. 7 rows are 4 + 3, not 6 + 1.
KERNEL_INLINE int equal_rows(int rows_left, int most) {
    const int tiles = (rows_left + most - 1) / most;
    return (rows_left + tiles - 1) / tiles;
}

KERNEL_INLINE int tile_rows(int rows_left) {
    return equal_rows(rows_left, TILE_ROWS);
}

// What comes after this panel, fetched into the second-level cache while this one is multiplied:
// each tile of rows fetches its share, step bytes at each step over k. Weights in memory, n = 2304,
// k = 768, f32: 794 against 847 us at m = 25, 516 against 539 at m = 16, the same elsewhere
// (checkkernels --bench --cold -f "gemm_f32 m 25 n 2304", EPYC Zen 4, huge pages).
typedef struct ahead {
    const char *p;
    size_t step;
} ahead;

// For rows [i, i + rows) of out, over a panel of n_steps times step_bytes that the next one
// follows. The last panel fetches what the caller says comes next, or itself, which costs nothing.
KERNEL_INLINE ahead ahead_of(const output *out, const void *panel, size_t n_steps,
                             size_t step_bytes, int i, int rows, bool is_last) {
    const size_t panel_bytes = n_steps * step_bytes;
    const void *follower = out->epilogue.next ? out->epilogue.next : panel;
    const char *next = is_last ? follower : (const char *)panel + panel_bytes;
    const size_t m = (size_t)out->m;
    return (ahead){next + panel_bytes / m * (size_t)i, step_bytes * (size_t)rows / m};
}

// A tile of few rows is all there is time for, so a step fetches its whole share: four lines in
// one tile, f32, weights in memory, m = 6, n = 3072, k = 768: 111 against 84 GFLOP/s with two. With
// fewer than four rows memory is busy enough: 8 % slower at m = 1 (bench_onednn, EPYC Zen 4).
KERNEL_INLINE void fetch(ahead *a, const int rows) {
    __builtin_prefetch(a->p, 0, 2);
    __builtin_prefetch(a->p + 64, 0, 2);
    if (rows >= 4 && a->step > 128) {
        __builtin_prefetch(a->p + 128, 0, 2);
        __builtin_prefetch(a->p + 192, 0, 2);
    }
    a->p += a->step;
}

KERNEL_INLINE lanes load_columns(const float *p, int columns) {
    return columns >= 16 ? lanes_load(p) : lanes_load_first(p, columns > 0 ? columns : 0);
}

KERNEL_INLINE void store_columns(float *p, lanes v, int columns) {
    if (columns >= 16) {
        lanes_store(p, v);
    } else if (columns > 0) {
        lanes_store_first(p, v, columns);
    }
}

// Asks for the tile's cells of y while the product runs, so that storing it at the end does not
// wait for lines and, where rows lie pages apart, for page walks: 2.74 against 2.90 ms at m = 1024,
// n = 1536, k = 384, int8, and never slower (checkkernels --bench -f "gemm_i8 m 1024", EPYC Zen 4).
KERNEL_INLINE void fetch_cells(const output *out, int i, const int rows, int j) {
    const char *y = (const char *)(out->y + (size_t)i * (size_t)out->ld_y + j);
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            __builtin_prefetch(y + (size_t)r * (size_t)out->ld_y * sizeof(float) + 64 * v, 1, 3);
    }
}

// sum[rows] <- the chain so far: 0, or the cells of y.
KERNEL_INLINE void open_tile(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows, const output *out,
                             int i, int j, bool is_first) {
    if (is_first) fetch_cells(out, i, rows, j);
    const float *y = out->y + (size_t)i * (size_t)out->ld_y + j;
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++)
            sum[r][v] = is_first ? lanes_all(0.0f)
                                 : load_columns(y + (size_t)r * (size_t)out->ld_y + 16 * v,
                                                out->n - j - 16 * v);
    }
}

// y's cells <- sum, with the bias after the chain's last link.
KERNEL_INLINE void close_tile(lanes sum[TILE_ROWS][TILE_VECTORS], const int rows, const output *out,
                              int i, int j, bool is_last) {
    float *y = out->y + (size_t)i * (size_t)out->ld_y + j;
    const float *bias = is_last ? out->epilogue.bias : NULL;
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        const int columns = out->n - j - 16 * v;
        const lanes b = bias ? load_columns(bias + j + 16 * v, columns) : lanes_all(0.0f);
        UNROLL
        for (int r = 0; r < rows; r++)
            store_columns(y + (size_t)r * (size_t)out->ld_y + 16 * v, lanes_add(sum[r][v], b),
                          columns);
    }
}

KERNEL_INLINE lanes activate(lanes v, const wb_activation activation) {
    switch (activation) {
        case WB_GELU: return lanes_gelu(v);
        case WB_RELU: return lanes_relu(v);
        case WB_SILU: return lanes_silu(v);
        case WB_LINEAR: break;
    }
    return v;
}

KERNEL_INLINE void activate_row(float *y, int columns, const wb_activation activation) {
    for (int c = 0; c < columns; c += 16)
        store_columns(y + c, activate(load_columns(y + c, columns - c), activation), columns - c);
}

// A second pass over the tile while it is in the first-level cache: inside the product it would be
// copied for every number of rows, and its constants would push the sums out of registers. The
// matrix unit's products (gemm_amx.h) have no use for it.
__attribute__((unused)) static void activate_tile(const output *out, int i, int rows, int j) {
    const int columns = smaller(TILE_N, out->n - j);
    for (int r = i; r < i + rows; r++) {
        float *y = out->y + (size_t)r * (size_t)out->ld_y + j;
        switch (out->epilogue.activation) {
            case WB_GELU: activate_row(y, columns, WB_GELU); break;
            case WB_RELU: activate_row(y, columns, WB_RELU); break;
            case WB_SILU: activate_row(y, columns, WB_SILU); break;
            case WB_LINEAR: break;
        }
    }
}

#endif
