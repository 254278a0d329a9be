// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T) in the matrix unit's tiles (AMX): eight registers of 16
// rows of 64 bytes, and an instruction that adds the product of two of them to 16 x 16 sums.
// Written over AVX-512's lanes and TILES_DOT, the instruction of the precision. To the unit x and w
// are bytes: a word of 4 is two bf16 or four int8. Tiles of w lie in panels (panels_tiles.h), a
// tile of x, 64 bytes of each of 16 rows, is read where it lies.
//
// a x b tiles of sums take a b + min(a, b) + 1 registers and (a + b) / (a b) loads a product: 2 x 2
// is the least that eight allow, one load of 8 cycles for each product of 16. Up to 16 rows are 1 x
// 4 instead: a product's 52 cycles of latency need four chains (Intel's Optimization Reference
// Manual on AMX). The unit works beside the core's lanes, so between the products of one block of
// sums the core closes the block before: scales, bias and activation, and on to y.
//
// An operand is zeroed after its last product. A tile that holds something seems to keep one of the
// core's physical tile registers, a zeroed one none, and a core whose other hyperthread is busy has
// hardly one to spare: each load then waits for the product before it, and 32 x 32 sums take 37 ns
// a product instead of 8.7; zeroed, 21 and 8.5 (bf16, k = 768, a shared Xeon, docs/performance.md).
//
// Where the CPU has no AMX, checkkernels runs the same source over an emulated unit
// (tests/kernels/emulated_tiles.h).
#ifndef WB_KERNELS_GEMM_AMX_H
#define WB_KERNELS_GEMM_AMX_H

#include "kernels/generic/panels_tiles.h"
#include "kernels/generic/rows.h"
#include "kernels/generic/tile.h"

enum {
    UNIT_ROWS = 16,   // of a tile
    UNIT_BYTES = 64,  // of a tile's row
    BLOCK_ROWS = 2 * UNIT_ROWS,
    PART_COLUMNS = 32,
    PART_VECTORS = 2,
    // Of x, which each panel reads again: with two panels of k = 3072 in bf16 it stays in a
    // second-level cache of 2 MB.
    LIVE_BYTES = 1 << 20,
    // Of panels that 32 rows pass before the next 32 do. m = 224, k = 768, one core of a shared
    // Xeon (Emerald Rapids), tiles of 1 KB in one piece, ns a product with 48, 96 and 192 KB of
    // int8: n = 2304 20.4, 16.0 and 12.8, n = 3072 17.9, 16.8 and 16.4; with 96, 192 and 384 KB of
    // bf16: n = 2304 14.0, 13.1 and 13.2. k = 3072, int8, 192 and 384 KB: 11.8 and 13.1.
    GROUP_BYTES = 200 << 10,
};

// What ldtilecfg reads.
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

// A call. x and w as bytes.
typedef struct tiled_product {
    const output *out;
    uint16_t *y_bf16;       // instead of out->y, its ld_y; NULL: not
    const uint8_t *x;       // [m, ld_x]
    size_t ld_x, k;         // bytes of a row of x, and those that count
    const float *x_scale;   // int8: [m]
    const float *w_scale;   // int8: [n]
    const uint8_t *packed;  // panels
    size_t panel_bytes;
} tiled_product;

// What the compiler knows of a call, so that closing a row takes a few instructions among its
// products and has its constants in registers, of which tiles need none.
typedef struct kind {
    bool is_int8, to_bf16;
    size_t head;  // bytes of a panel before its tiles: int8's starts, [TILE_N]
    wb_activation activation;
} kind;

// Sums of 16 rows and 32 columns on their way from tiles to cells of y, int32 or float. A block has
// two, one below the other or side by side.
typedef struct part {
    _Alignas(64) int32_t sums[UNIT_ROWS][PART_COLUMNS];
    const uint8_t *starts;  // int8: what each column's sums begin at
    int i, j, rows;         // the cell of y that they begin at, and how many rows
} part;

// What the next row to be closed needs: where it is, and what its columns end with.
typedef struct row_ends {
    const int32_t *sums;
    size_t cell;           // of y
    const float *x_scale;  // int8
    lanes bias[PART_VECTORS], scale[PART_VECTORS], factor[PART_VECTORS];
    __m512i starts[PART_VECTORS];
    __mmask16 is_there[PART_VECTORS];
} row_ends;

KERNEL_INLINE size_t count_steps(const tiled_product *p) {
    return (p->k + UNIT_BYTES - 1) / UNIT_BYTES;
}

// The compiler is not told that these instructions read memory (gcc 12: all of it but 8 bytes of a
// configuration): what was stored at p is stored by now.
KERNEL_INLINE void settle(const void *p) {
    __asm__ volatile("" : : "r"(p) : "memory");
}

// All tiles become zeros. Tiles 0-3 are sums, 4 and 5 x, 6 and 7 w. One configuration serves a
// whole call: from 32 rows on all tiles are whole, and the last block starts early enough to be; it
// repeats cells with the same bits. With fewer rows there is one block, and its tiles have the rows
// that there are.
KERNEL_INLINE void configure_tiles(int m) {
    const int top = smaller(m, UNIT_ROWS);
    const int low = m > UNIT_ROWS ? smaller(m, BLOCK_ROWS) - UNIT_ROWS : top;
    tile_config config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = UNIT_BYTES;
        config.rows[t] = (uint8_t)top;
    }
    config.rows[2] = config.rows[3] = config.rows[5] = (uint8_t)low;
    config.rows[6] = config.rows[7] = UNIT_ROWS;
    settle(&config);
    _tile_loadconfig(&config);
}

KERNEL_INLINE void fetch_step(ahead *a) {
    for (size_t done = 0; done < a->step; done += 64) __builtin_prefetch(a->p + done, 0, 2);
    a->p += a->step;
}

KERNEL_INLINE row_ends begin_part(const tiled_product *p, const part *of, const kind is) {
    const float *bias = p->out->epilogue.bias;
    row_ends ends = {.sums = of->sums[0],
                     .cell = (size_t)of->i * (size_t)p->out->ld_y + (size_t)of->j,
                     .x_scale = is.is_int8 ? p->x_scale + of->i : NULL};
    UNROLL
    for (int v = 0; v < PART_VECTORS; v++) {
        const int j = of->j + 16 * v, columns = smaller(16, j < p->out->n ? p->out->n - j : 0);
        ends.is_there[v] = first_lanes(columns);
        ends.bias[v] = bias ? lanes_load_first(bias + j, columns) : lanes_all(0.0f);
        if (!is.is_int8) continue;
        ends.scale[v] = lanes_load_first(p->w_scale + j, columns);
        ends.starts[v] = _mm512_load_si512(of->starts + 64 * v);
        if (p->out->epilogue.y_i8)
            ends.factor[v] = lanes_load_first(p->out->epilogue.factor + j, columns);
    }
    return ends;
}

// y's cells <- a row of sums, as gemm_i8.h and gemm_bf16.h end.
KERNEL_INLINE void close_row(const tiled_product *p, row_ends *ends, const kind is) {
    const lanes x_scale = lanes_all(is.is_int8 ? *ends->x_scale++ : 1.0f);
    UNROLL
    for (int v = 0; v < PART_VECTORS; v++) {
        const __m512i sum = _mm512_load_si512(ends->sums + 16 * v);
        const lanes cells =
            is.is_int8 ? lanes_fma(_mm512_cvtepi32_ps(_mm512_add_epi32(sum, ends->starts[v])),
                                   lanes_mul(x_scale, ends->scale[v]), ends->bias[v])
                       : lanes_add(_mm512_castsi512_ps(sum), ends->bias[v]);
        const lanes y = activate(cells, is.activation);
        const size_t cell = ends->cell + 16 * (size_t)v;
        if (is.to_bf16)
            _mm256_mask_storeu_epi16(p->y_bf16 + cell, ends->is_there[v], lanes_bf16(y));
        else if (is.is_int8 && p->out->epilogue.y_i8)
            _mm512_mask_cvtepi32_storeu_epi8(
                p->out->epilogue.y_i8 + cell, ends->is_there[v],
                _mm512_castps_si512(quantize_lanes(y, ends->factor[v])));
        else
            _mm512_mask_storeu_ps(p->out->y + cell, ends->is_there[v], y);
    }
    ends->sums += PART_COLUMNS;
    ends->cell += (size_t)p->out->ld_y;
}

// Rows [n_closed, to) of both parts.
KERNEL_INLINE int close_rows(const tiled_product *p, const part before[2], row_ends *ends,
                             int n_closed, int to, const kind is) {
    for (; n_closed < to; n_closed++) {
        if (n_closed == before[0].rows) *ends = begin_part(p, &before[1], is);
        close_row(p, ends, is);
    }
    return n_closed;
}

KERNEL_INLINE void zero_sums(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

// Tiles 0-3, 32 x 32 sums, += a step of k. Weights pass the first-level cache by, where nothing
// finds them again before x has pushed them out: a product takes 8.4 instead of 11.4 ns with them
// in the second level, and one of the unit alone 7.0 (a shared Xeon, Emerald Rapids).
KERNEL_INLINE void dot_square(const uint8_t *x, size_t ld_x, const uint8_t *w) {
    _tile_stream_loadd(6, w, UNIT_BYTES);
    _tile_loadd(4, x, ld_x);
    TILES_DOT(0, 4, 6);
    _tile_stream_loadd(7, w + TILE_BYTES, UNIT_BYTES);
    TILES_DOT(1, 4, 7);
    _tile_zero(4);
    _tile_loadd(5, x + UNIT_ROWS * ld_x, ld_x);
    TILES_DOT(2, 5, 6);
    _tile_zero(6);
    TILES_DOT(3, 5, 7);
    _tile_zero(5);
    _tile_zero(7);
}

// Tiles 0-3, 16 x 64 sums, += a step of k.
KERNEL_INLINE void dot_row(const uint8_t *x, size_t ld_x, const uint8_t *left,
                           const uint8_t *right) {
    _tile_loadd(4, x, ld_x);
    _tile_stream_loadd(6, left, UNIT_BYTES);
    TILES_DOT(0, 4, 6);
    _tile_zero(6);
    _tile_stream_loadd(7, left + TILE_BYTES, UNIT_BYTES);
    TILES_DOT(1, 4, 7);
    _tile_zero(7);
    _tile_stream_loadd(6, right, UNIT_BYTES);
    TILES_DOT(2, 4, 6);
    _tile_zero(6);
    _tile_stream_loadd(7, right + TILE_BYTES, UNIT_BYTES);
    TILES_DOT(3, 4, 7);
    _tile_zero(4);
    _tile_zero(7);
}

// last[rows] <- what rows [i, i + rows) of x have behind their whole steps, and zeros.
KERNEL_INLINE void copy_last_step(uint8_t last[BLOCK_ROWS][UNIT_BYTES], const tiled_product *p,
                                  int i, int rows) {
    const size_t n = p->k % UNIT_BYTES, done = p->k - n;
    memset(last, 0, BLOCK_ROWS * UNIT_BYTES);
    for (int r = 0; r < rows; r++) memcpy(last[r], p->x + (size_t)(i + r) * p->ld_x + done, n);
    settle(last);
}

// Tiles 0-3 <- rows [i, i + rows) of x . w, over the whole of k: chunks of it leave x in the
// first-level cache, but store and load sums each time. Meanwhile the block before is closed, in
// equal shares of all steps. The unit takes 64 cycles for a step's four products, in which the core
// closes up to three vectors with GELU without delaying it.
KERNEL_INLINE void multiply_and_close(const tiled_product *p, ahead *next, const part before[2],
                                      const uint8_t *w, int i, int rows, const bool is_row,
                                      const kind is) {
    const size_t n_steps = count_steps(p), n_whole = p->k / UNIT_BYTES;
    const int n_to_close = before[0].rows + before[1].rows;
    const unsigned pace = ((unsigned)n_to_close << 16) / (unsigned)n_steps + 1;
    unsigned due = 0;  // rows that should be closed, in 1 / 65536
    int n_closed = 0;
    row_ends ends = begin_part(p, &before[0], is);
    _Alignas(64) uint8_t last[BLOCK_ROWS][UNIT_BYTES];
    if (n_whole < n_steps) copy_last_step(last, p, i, rows);
    const uint8_t *x = p->x + (size_t)i * p->ld_x;
    size_t ld_x = p->ld_x;
    for (size_t s = 0; s < n_steps; s++) {
        if (s == n_whole) {
            x = last[0];
            ld_x = UNIT_BYTES;
        }
        fetch_step(next);
        if (is_row)
            dot_row(x, ld_x, w, w + n_steps * STEP_BYTES);
        else
            dot_square(x, ld_x, w);
        x += UNIT_BYTES;
        w += STEP_BYTES;
        due += pace;
        n_closed = close_rows(p, before, &ends, n_closed, (int)(due >> 16), is);
    }
}

// Rows [i, i + rows) of 32 columns from j on, of which a panel's half has the tiles, or of 64 if
// rows <= 16.
KERNEL_INLINE void multiply_block(const tiled_product *p, ahead *next, part before[2],
                                  const uint8_t *panel, int half, int i, int rows, int j,
                                  const kind is) {
    const uint8_t *w = panel + is.head + (size_t)half * count_steps(p) * STEP_BYTES;
    const bool is_row = rows <= UNIT_ROWS;
    if (is_row)
        multiply_and_close(p, next, before, w, i, rows, true, is);
    else
        multiply_and_close(p, next, before, w, i, rows, false, is);
    part *first = &before[0], *second = &before[1];
    _tile_stored(0, first->sums[0], PART_COLUMNS * 4);
    _tile_stored(1, first->sums[0] + 16, PART_COLUMNS * 4);
    _tile_stored(2, second->sums[0], PART_COLUMNS * 4);
    _tile_stored(3, second->sums[0] + 16, PART_COLUMNS * 4);
    zero_sums();
    first->starts = second->starts = panel + half * PART_COLUMNS * 4;
    first->i = second->i = i;
    first->j = second->j = j + half * PART_COLUMNS;
    first->rows = smaller(rows, UNIT_ROWS);
    second->rows = is_row ? rows : rows - UNIT_ROWS;
    if (is_row) {
        second->j += PART_COLUMNS;
        second->starts += PART_COLUMNS * 4;
    } else {
        second->i += UNIT_ROWS;
    }
}

// Rows [from, to) of n_panels panels' columns from j on, the last of them possibly with rows before
// them. As many panels from `next` on are fetched meanwhile, in equal shares of all steps: a panel
// takes a pass over k for each 16 rows. A half without columns is left out.
KERNEL_INLINE void multiply_panels(const tiled_product *p, part before[2], const uint8_t *panels,
                                   int n_panels, const void *next, int from, int to, int j,
                                   const kind is) {
    const size_t n_passes = (size_t)(to - from + UNIT_ROWS - 1) / UNIT_ROWS;
    const int n_columns = smaller(n_panels * TILE_N, p->out->n - j);
    ahead a = {next, p->panel_bytes / (n_passes * count_steps(p))};
    for (int i = from; i < to; i += BLOCK_ROWS) {
        const int left = to - i, least = left > UNIT_ROWS ? BLOCK_ROWS : UNIT_ROWS;
        const int start = left < least && p->out->m >= BLOCK_ROWS ? to - least : i;
        const int rows = smaller(to - start, BLOCK_ROWS);
        const int step = rows > UNIT_ROWS ? PART_COLUMNS : TILE_N;
        for (int c = 0; c < n_columns; c += step) {
            const int panel = c / TILE_N, half = c % TILE_N / PART_COLUMNS;
            multiply_block(p, &a, before, panels + (size_t)panel * p->panel_bytes, half, start,
                           rows, j + panel * TILE_N, is);
        }
    }
}

// The rows that pass while panels are in the cache: as many as LIVE_BYTES hold, in equal shares.
KERNEL_INLINE int live_rows(int m, size_t row_bytes) {
    const size_t most = LIVE_BYTES / row_bytes / BLOCK_ROWS * BLOCK_ROWS;
    if (most >= (size_t)m) return m;
    const int rows = most ? (int)most : BLOCK_ROWS, n_shares = (m + rows - 1) / rows;
    const int share = (m + n_shares - 1) / n_shares;
    return (share + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
}

// The columns whose panels stay in the cache while rows pass; one panel's where the rows are one
// block, which finds nothing again.
KERNEL_INLINE int live_columns(int m, size_t panel_bytes) {
    const int most = (int)(GROUP_BYTES / panel_bytes);
    return (m > BLOCK_ROWS && most ? most : 1) * TILE_N;
}

KERNEL_INLINE void gemm_tiles_as(const tiled_product *p, part before[2],
                                 const wb_activation activation, kind is) {
    is.activation = activation;
    const output *out = p->out;
    const int rows = live_rows(out->m, p->k), columns = live_columns(rows, p->panel_bytes);
    for (int from = 0, to; from < out->m; from = to) {
        const uint8_t *panels = p->packed;
        to = smaller(out->m, from + rows);
        for (int j = 0, n; j < out->n; j += columns, panels += (size_t)n * p->panel_bytes) {
            n = n_panels(smaller(columns, out->n - j));
            // After the last panel: the first again, for the next rows, or what the caller says.
            const void *again = to < out->m || !out->epilogue.next ? p->packed : out->epilogue.next;
            const void *next = j + columns < out->n ? panels + (size_t)n * p->panel_bytes : again;
            multiply_panels(p, before, panels, n, next, from, to, j, is);
        }
    }
    row_ends ends = begin_part(p, &before[0], is);
    close_rows(p, before, &ends, 0, before[0].rows + before[1].rows, is);
}

KERNEL_INLINE void gemm_tiles(const tiled_product *p, const kind is) {
    part before[2];  // nothing
    before[0].starts = p->packed;
    before[0].i = before[0].j = before[0].rows = before[1].rows = 0;
    configure_tiles(p->out->m);
    switch (p->out->epilogue.activation) {
        case WB_GELU: gemm_tiles_as(p, before, WB_GELU, is); break;
        case WB_RELU: gemm_tiles_as(p, before, WB_RELU, is); break;
        case WB_SILU: gemm_tiles_as(p, before, WB_SILU, is); break;
        case WB_LINEAR: gemm_tiles_as(p, before, WB_LINEAR, is); break;
    }
    // So that the thread's state is small again, and the unit may sleep.
    _tile_release();
}

#endif
