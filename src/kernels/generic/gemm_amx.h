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
// An operand is zeroed after its last product. A tile that holds something keeps one of the core's
// physical tile registers, a zeroed one none, and while the core's other hyperthread is busy there
// is hardly one to spare: each load then waits for the product before it, and 32 x 32 sums take 37
// ns a product instead of 8.7. With operands zeroed they take 21 and 8.5 (k = 768 in bf16, a shared
// Xeon, Emerald Rapids). Fewer sums leave more registers, but load more: 32 x 16 take 18 and 9.6,
// and lose in whole products.
//
// Where the CPU has no AMX, checkkernels runs the same source over an emulated unit
// (tests/kernels/emulated_tiles.h).
#ifndef WB_KERNELS_GEMM_AMX_H
#define WB_KERNELS_GEMM_AMX_H

#include "kernels/generic/panels_tiles.h"
#include "kernels/generic/tile.h"

enum {
    UNIT_ROWS = 16,   // of a tile
    UNIT_BYTES = 64,  // of a tile's row
    BLOCK_ROWS = 2 * UNIT_ROWS,
    BLOCK_COLUMNS = 32,
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

// Sums of a block on their way from tiles to cells of y, int32 or float: 32 x 32, or 16 x 64.
typedef struct closing {
    _Alignas(64) int32_t sums[BLOCK_ROWS * BLOCK_COLUMNS];
    const int32_t *starts;  // int8: what each column's sums begin at
    int i, j;               // the cell of y that they begin at
    int rows, n_vectors;    // of a row
    int n_closed;           // rows
    unsigned due, pace;     // rows that should be, and more of them each step, in 1 / 65536
} closing;

// A call. x and w as bytes.
typedef struct tiled_product {
    const output *out;
    uint16_t *y_bf16;       // instead of out->y, its ld_y; NULL: not
    const uint8_t *x;       // [m, ld_x]
    size_t ld_x, k;         // bytes of a row of x, and those that count
    const float *x_scale;   // int8: [m]
    const float *w_scale;   // int8: [n]; NULL: sums are floats
    const uint8_t *packed;  // panels
    size_t panel_bytes;
    size_t head;      // bytes of a panel before its tiles: int8's starts, [TILE_N]
    ahead next;       // the panels that follow
    closing *before;  // the block before this
} tiled_product;

// The tiles of one panel for one block of rows.
typedef struct panel_tiles {
    const int32_t *starts;
    const uint8_t *w;
    const uint8_t *last_x;  // [rows, UNIT_BYTES] of a last step that is not whole; NULL: it is
} panel_tiles;

KERNEL_INLINE size_t count_steps(const tiled_product *p) {
    return (p->k + UNIT_BYTES - 1) / UNIT_BYTES;
}

KERNEL_INLINE size_t half_bytes(const tiled_product *p) {
    return count_steps(p) * STEP_BYTES;
}

// The compiler is not told that these instructions read memory (gcc 12: all of it but 8 bytes of a
// configuration): what was stored at p is stored by now.
KERNEL_INLINE void settle(const void *p) {
    __asm__ volatile("" : : "r"(p) : "memory");
}

// Tiles 0-3 are sums, 4 and 5 x, 6 and 7 w. One configuration serves a whole call: from 32 rows on
// all tiles are whole, and the last block starts early enough to be; it repeats cells with the same
// bits. With fewer rows there is one block, and its tiles have the rows that there are.
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

KERNEL_INLINE void store_columns_bf16(uint16_t *p, lanes v, int columns) {
    if (columns >= 16) {
        lanes_store_bf16(p, v);
    } else if (columns > 0) {
        uint16_t last[16];
        lanes_store_bf16(last, v);
        memcpy(p, last, (size_t)columns * sizeof *p);
    }
}

KERNEL_INLINE void close_rows_as(const tiled_product *p, int to, const wb_activation activation) {
    const closing *c = p->before;
    const output *out = p->out;
    const float *bias = out->epilogue.bias ? out->epilogue.bias + c->j : NULL;
    const float *w_scale = p->w_scale ? p->w_scale + c->j : NULL;
    const int n_vectors = c->n_vectors, columns = out->n - c->j;
    for (int r = c->n_closed; r < to; r++) {
        const int32_t *sums = c->sums + 16 * r * n_vectors;
        const size_t row = (size_t)(c->i + r) * (size_t)out->ld_y + (size_t)c->j;
        const lanes x_scale = lanes_all(w_scale ? p->x_scale[c->i + r] : 1.0f);
        for (int v = 0; v < n_vectors; v++) {
            const int left = columns - 16 * v;
            const __m512i sum = _mm512_load_si512(sums + 16 * v);
            const lanes b = bias ? load_columns(bias + 16 * v, left) : lanes_all(0.0f);
            const lanes cells =
                w_scale ? lanes_fma(_mm512_cvtepi32_ps(_mm512_add_epi32(
                                        sum, _mm512_load_si512(c->starts + 16 * v))),
                                    lanes_mul(x_scale, load_columns(w_scale + 16 * v, left)), b)
                        : lanes_add(_mm512_castsi512_ps(sum), b);
            const lanes y = activate(cells, activation);
            if (p->y_bf16)
                store_columns_bf16(p->y_bf16 + row + 16 * v, y, left);
            else
                store_columns(out->y + row + 16 * v, y, left);
        }
    }
}

// y's cells <- the sums of the block before up to row `to`, as gemm_i8.h and gemm_bf16.h end.
static void close_rows(const tiled_product *p, int to) {
    switch (p->out->epilogue.activation) {
        case WB_GELU: close_rows_as(p, to, WB_GELU); break;
        case WB_RELU: close_rows_as(p, to, WB_RELU); break;
        case WB_SILU: close_rows_as(p, to, WB_SILU); break;
        case WB_LINEAR: close_rows_as(p, to, WB_LINEAR); break;
    }
    p->before->n_closed = to;
}

// One step's share. The unit takes 64 cycles for the step's four products, in which the core closes
// up to three vectors with GELU without delaying it; closed after its products instead, a block of
// n = 3072, k = 768 takes 16.6 against 15.1 ns a product in bf16 and 21.5 against 18.6 in int8
// (m = 224, a shared Xeon, Emerald Rapids).
KERNEL_INLINE void close_share(const tiled_product *p) {
    closing *c = p->before;
    c->due += c->pace;
    const int to = smaller((int)(c->due >> 16), c->rows);
    if (to > c->n_closed) close_rows(p, to);
}

KERNEL_INLINE void zero_sums(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

// Tiles 0-3, 32 x 32 sums, += x . w over n_steps of k. Weights pass the first-level cache by, where
// nothing finds them again before x has pushed them out: a product takes 8.4 instead of 11.4 ns
// with them in the second level, and one of the unit alone 7.0 (a shared Xeon, Emerald Rapids).
KERNEL_INLINE void add_square(tiled_product *p, const uint8_t *x, size_t ld_x, const uint8_t *w,
                              int n_steps) {
    const uint8_t *low = x + UNIT_ROWS * ld_x;
    for (int s = 0; s < n_steps; s++) {
        fetch_step(&p->next);
        _tile_stream_loadd(6, w, UNIT_BYTES);
        _tile_loadd(4, x, ld_x);
        TILES_DOT(0, 4, 6);
        _tile_stream_loadd(7, w + TILE_BYTES, UNIT_BYTES);
        TILES_DOT(1, 4, 7);
        _tile_zero(4);
        _tile_loadd(5, low, ld_x);
        TILES_DOT(2, 5, 6);
        _tile_zero(6);
        TILES_DOT(3, 5, 7);
        _tile_zero(5);
        _tile_zero(7);
        x += UNIT_BYTES;
        low += UNIT_BYTES;
        w += STEP_BYTES;
        close_share(p);
    }
}

// Tiles 0-3, 16 x 64 sums, += x . w over n_steps of k.
KERNEL_INLINE void add_row(tiled_product *p, const uint8_t *x, size_t ld_x, const uint8_t *w,
                           int n_steps) {
    const uint8_t *right = w + half_bytes(p);
    for (int s = 0; s < n_steps; s++) {
        fetch_step(&p->next);
        _tile_loadd(4, x, ld_x);
        _tile_stream_loadd(6, w, UNIT_BYTES);
        TILES_DOT(0, 4, 6);
        _tile_zero(6);
        _tile_stream_loadd(7, w + TILE_BYTES, UNIT_BYTES);
        TILES_DOT(1, 4, 7);
        _tile_zero(7);
        _tile_stream_loadd(6, right, UNIT_BYTES);
        TILES_DOT(2, 4, 6);
        _tile_zero(6);
        _tile_stream_loadd(7, right + TILE_BYTES, UNIT_BYTES);
        TILES_DOT(3, 4, 7);
        _tile_zero(4);
        _tile_zero(7);
        x += UNIT_BYTES;
        w += STEP_BYTES;
        right += STEP_BYTES;
        close_share(p);
    }
}

// last[rows] <- what rows [i, i + rows) of x have behind their whole steps, and zeros.
KERNEL_INLINE void copy_last_step(uint8_t last[BLOCK_ROWS][UNIT_BYTES], const tiled_product *p,
                                  int i, int rows) {
    const size_t n = p->k % UNIT_BYTES, done = p->k - n;
    memset(last, 0, BLOCK_ROWS * UNIT_BYTES);
    for (int r = 0; r < rows; r++) memcpy(last[r], p->x + (size_t)(i + r) * p->ld_x + done, n);
    settle(last);
}

// What is closed during the next block, in as many steps as that takes.
KERNEL_INLINE void begin_closing(const tiled_product *p, const int32_t *starts, int i, int rows,
                                 int j, int n_vectors) {
    closing *c = p->before;
    c->starts = starts;
    c->i = i;
    c->j = j;
    c->rows = rows;
    c->n_vectors = n_vectors;
    c->n_closed = 0;
    c->due = 0;
    c->pace = ((unsigned)rows << 16) / (unsigned)count_steps(p) + 1;
}

// Rows [i, i + rows) of the 32 columns from j + 32 half on, over the whole of k: chunks of it leave
// x in the first-level cache, but store and load sums each time. Both closed after their products,
// n = 3072, k = 768 takes 20.5 ns a product of bf16 with chunks and 16.6 without, 26.3 and 21.5 of
// int8 (m = 224, a shared Xeon, Emerald Rapids).
KERNEL_INLINE void multiply_square(tiled_product *p, const panel_tiles *tiles, int i, int rows,
                                   int j, int half) {
    const uint8_t *w = tiles->w + (size_t)half * half_bytes(p);
    const int n_whole = (int)(p->k / UNIT_BYTES);
    add_square(p, p->x + (size_t)i * p->ld_x, p->ld_x, w, n_whole);
    if (tiles->last_x) add_square(p, tiles->last_x, UNIT_BYTES, w + n_whole * STEP_BYTES, 1);
    close_rows(p, p->before->rows);
    int32_t *top = p->before->sums, *low = top + UNIT_ROWS * BLOCK_COLUMNS;
    _tile_stored(0, top, BLOCK_COLUMNS * 4);
    _tile_stored(1, top + 16, BLOCK_COLUMNS * 4);
    _tile_stored(2, low, BLOCK_COLUMNS * 4);
    _tile_stored(3, low + 16, BLOCK_COLUMNS * 4);
    zero_sums();
    begin_closing(p, tiles->starts + half * BLOCK_COLUMNS, i, rows, j + half * BLOCK_COLUMNS,
                  BLOCK_COLUMNS / 16);
}

// Rows [i, i + rows) of the panel's columns; rows <= 16.
KERNEL_INLINE void multiply_row(tiled_product *p, const panel_tiles *tiles, int i, int rows,
                                int j) {
    const int n_whole = (int)(p->k / UNIT_BYTES);
    add_row(p, p->x + (size_t)i * p->ld_x, p->ld_x, tiles->w, n_whole);
    if (tiles->last_x) add_row(p, tiles->last_x, UNIT_BYTES, tiles->w + n_whole * STEP_BYTES, 1);
    close_rows(p, p->before->rows);
    int32_t *to = p->before->sums;
    _tile_stored(0, to, TILE_N * 4);
    _tile_stored(1, to + 16, TILE_N * 4);
    _tile_stored(2, to + 32, TILE_N * 4);
    _tile_stored(3, to + 48, TILE_N * 4);
    zero_sums();
    begin_closing(p, tiles->starts, i, rows, j, TILE_VECTORS);
}

// Rows [i, i + rows) of one panel's columns; rows <= 32. Without columns in its right half that is
// left out.
static void multiply_block(tiled_product *p, const uint8_t *panel, int i, int rows, int j) {
    panel_tiles tiles = {.starts = (const int32_t *)(const void *)panel, .w = panel + p->head};
    _Alignas(64) uint8_t last[BLOCK_ROWS][UNIT_BYTES];
    if (p->k % UNIT_BYTES) {
        copy_last_step(last, p, i, rows);
        tiles.last_x = last[0];
    }
    if (rows <= UNIT_ROWS) {
        multiply_row(p, &tiles, i, rows, j);
        return;
    }
    const int n_halves = p->out->n - j > BLOCK_COLUMNS ? 2 : 1;
    for (int half = 0; half < n_halves; half++) multiply_square(p, &tiles, i, rows, j, half);
}

// Rows [from, to) of n_panels panels' columns from j on, the last of them possibly with rows before
// them. As many panels from next on are fetched meanwhile, in equal shares of all steps: a panel
// takes a pass over k for each 16 rows.
KERNEL_INLINE void multiply_panels(tiled_product *p, const uint8_t *panels, int n_panels,
                                   const void *next, int from, int to, int j) {
    const size_t n_passes = (size_t)(to - from + UNIT_ROWS - 1) / UNIT_ROWS;
    p->next = (ahead){next, p->panel_bytes / (n_passes * count_steps(p))};
    for (int i = from; i < to; i += BLOCK_ROWS) {
        const int left = to - i, least = left > UNIT_ROWS ? BLOCK_ROWS : UNIT_ROWS;
        const int start = left < least && p->out->m >= BLOCK_ROWS ? to - least : i;
        for (int panel = 0; panel < n_panels; panel++)
            multiply_block(p, panels + (size_t)panel * p->panel_bytes, start,
                           smaller(to - start, BLOCK_ROWS), j + panel * TILE_N);
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

KERNEL_INLINE void gemm_tiles(tiled_product p) {
    const output *out = p.out;
    const int rows = live_rows(out->m, p.k), columns = live_columns(rows, p.panel_bytes);
    closing before;
    p.before = &before;
    begin_closing(&p, NULL, 0, 0, 0, 0);  // nothing
    configure_tiles(out->m);
    for (int from = 0, to; from < out->m; from = to) {
        const uint8_t *panels = p.packed;
        to = smaller(out->m, from + rows);
        for (int j = 0, n; j < out->n; j += columns, panels += (size_t)n * p.panel_bytes) {
            n = n_panels(smaller(columns, out->n - j));
            // After the last panel: the first again, for the next rows, or what the caller says.
            const void *again = to < out->m || !out->epilogue.next ? p.packed : out->epilogue.next;
            const void *next = j + columns < out->n ? panels + (size_t)n * p.panel_bytes : again;
            multiply_panels(&p, panels, n, next, from, to, j);
        }
    }
    close_rows(&p, before.rows);
    // So that the thread's state is small again, and the unit may sleep.
    _tile_release();
}

#endif
