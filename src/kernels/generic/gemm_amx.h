// SPDX-License-Identifier: Apache-2.0
// y[m, n] <- epilogue(x[m, k] . w[n, k]^T) in the matrix unit's tiles (AMX): eight registers of 16
// rows of 64 bytes, and an instruction that adds the product of two of them to 16 x 16 sums.
// Written over AVX-512's lanes and TILES_DOT, the instruction of the precision. To the unit x and w
// are bytes: a word of 4 is two bf16 or four int8, and a panel as AVX-512 packs it (panels.h) is
// four tiles wide:
//
//     a panel's row, 256 bytes:  word kw of columns  0 .. 15 | 16 .. 31 | 32 .. 47 | 48 .. 63
//     a tile of w:               16 such rows of one of the four, read with a stride of 256 bytes
//     a tile of x:               64 bytes, 16 words, of each of 16 rows, read where they lie
//
// a x b tiles of sums take a b + min(a, b) + 1 registers and (a + b) / (a b) loads a product: 2 x 2
// is the least that eight allow, one load of 8 cycles for each product of 16. Up to 16 rows are 1 x
// 4 instead: a product's 52 cycles of latency need four chains (Intel's Optimization Reference
// Manual on AMX). Where the CPU has no AMX, checkkernels runs the same source over an emulated unit
// (tests/kernels/emulated_tiles.h).
#ifndef WB_KERNELS_GEMM_AMX_H
#define WB_KERNELS_GEMM_AMX_H

#include "kernels/generic/tile.h"

enum {
    UNIT_ROWS = 16,   // of a tile
    UNIT_BYTES = 64,  // of a tile's row
    PANEL_ROW_BYTES = TILE_N * 4,
    BLOCK_ROWS = 2 * UNIT_ROWS,
    // Steps over k, of a tile each, between two halves of a block: 12 KB of x that the second half
    // finds in the first-level cache.
    CHUNK_STEPS = 6,
    // Of x, which each panel reads again: with two panels of k = 3072 in bf16 it stays in a
    // second-level cache of 2 MB.
    LIVE_BYTES = 1 << 20,
};

// What ldtilecfg reads.
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

// A product's operands, as bytes.
typedef struct tile_operands {
    const uint8_t *x;      // [m, ld_x]
    const uint8_t *w;      // the panel's rows, after its column sums
    const void *start;     // the first value of the sums of 64 columns
    size_t ld_x, k;        // bytes of a row of x, and those that count
    uint8_t *last_w;       // [UNIT_ROWS, PANEL_ROW_BYTES]: the panel's last rows, zeros below
    const float *w_scale;  // int8: the panel's, [n - j]; NULL: sums are floats
    const float *x_scale;
} tile_operands;

// Sums of 32 rows x 64 columns on their way from tiles to cells, int32 or float.
typedef struct tile_sums {
    _Alignas(64) int32_t of[BLOCK_ROWS][TILE_N];
} tile_sums;

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
    const bool is_square = m > UNIT_ROWS;
    tile_config config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = UNIT_BYTES;
        config.rows[t] = (uint8_t)top;
    }
    config.rows[2] = config.rows[3] = config.rows[5] = (uint8_t)low;
    config.rows[6] = config.rows[7] = UNIT_ROWS;
    if (!is_square) config.rows[5] = UNIT_ROWS;
    settle(&config);
    _tile_loadconfig(&config);
}

// For rows [i, i + rows) of n_rows, which make two passes over n_steps of k: each step fetches its
// share of the next panel, at most a line for each that it loads.
KERNEL_INLINE ahead ahead_of_tiles(const void *next, size_t panel_bytes, int i, int rows,
                                   int n_rows, size_t n_steps) {
    const size_t share = panel_bytes / (size_t)n_rows;
    return (ahead){(const char *)next + share * (size_t)i, share * (size_t)rows / (2 * n_steps)};
}

KERNEL_INLINE void fetch_step(ahead *a) {
    for (size_t done = 0; done < a->step; done += 64) __builtin_prefetch(a->p + done, 0, 2);
    a->p += a->step;
}

// Tiles 0-3, 32 x 32 sums, += x . w over n_steps of k. Weights pass the first-level cache by, where
// nothing finds them again before x has pushed them out: a product takes 8.4 instead of 11.4 ns
// with them in the second level, and one of the unit alone 7.0 (a shared Xeon, Emerald Rapids).
KERNEL_INLINE void add_square(const uint8_t *x_top, const uint8_t *x_low, size_t ld_x,
                              const uint8_t *w, int n_steps, ahead *next) {
    for (int s = 0; s < n_steps; s++) {
        fetch_step(next);
        _tile_stream_loadd(6, w, PANEL_ROW_BYTES);
        _tile_loadd(4, x_top, ld_x);
        TILES_DOT(0, 4, 6);
        _tile_stream_loadd(7, w + 64, PANEL_ROW_BYTES);
        TILES_DOT(1, 4, 7);
        _tile_loadd(5, x_low, ld_x);
        TILES_DOT(2, 5, 6);
        TILES_DOT(3, 5, 7);
        x_top += UNIT_BYTES;
        x_low += UNIT_BYTES;
        w += UNIT_ROWS * PANEL_ROW_BYTES;
    }
}

// Tiles 0-3, 16 x 64 sums, += x . w over n_steps of k; tile 5 is one of w here.
KERNEL_INLINE void add_row(const uint8_t *x, size_t ld_x, const uint8_t *w, int n_steps,
                           ahead *next) {
    for (int s = 0; s < n_steps; s++) {
        fetch_step(next);
        _tile_loadd(4, x, ld_x);
        _tile_stream_loadd(5, w, PANEL_ROW_BYTES);
        TILES_DOT(0, 4, 5);
        _tile_stream_loadd(6, w + 64, PANEL_ROW_BYTES);
        TILES_DOT(1, 4, 6);
        _tile_stream_loadd(7, w + 128, PANEL_ROW_BYTES);
        TILES_DOT(2, 4, 7);
        _tile_stream_loadd(5, w + 192, PANEL_ROW_BYTES);
        TILES_DOT(3, 4, 5);
        x += UNIT_BYTES;
        w += UNIT_ROWS * PANEL_ROW_BYTES;
    }
}

// The last k % 64 bytes of rows of x, zeros behind them: x ends there.
KERNEL_INLINE void copy_last_x(uint8_t last[BLOCK_ROWS][UNIT_BYTES], const uint8_t *x, size_t ld_x,
                               int rows, size_t n) {
    memset(last, 0, (size_t)rows * UNIT_BYTES);
    for (int r = 0; r < rows; r++) memcpy(last[r], x + (size_t)r * ld_x, n);
    settle(last);
}

// sums[16 < rows <= 32, 64] <- the whole chain, over k in chunks, of the left and the right half in
// turn. Without columns there the right half is left out.
KERNEL_INLINE void multiply_square(tile_sums *sums, const tile_operands *o, const uint8_t *x,
                                   int rows, int columns, ahead next) {
    const size_t last = o->k % UNIT_BYTES, low = UNIT_ROWS * o->ld_x;
    const int n_steps = (int)(o->k / UNIT_BYTES), n_halves = columns > 32 ? 2 : 1;
    _Alignas(64) uint8_t last_x[BLOCK_ROWS][UNIT_BYTES];
    if (last) copy_last_x(last_x, x + o->k - last, o->ld_x, rows, last);
    int from = 0;
    do {
        const int steps = smaller(n_steps - from, CHUNK_STEPS);
        const bool is_first = from == 0, is_last = from + steps == n_steps;
        const uint8_t *xi = x + (size_t)from * UNIT_BYTES;
        for (int half = 0; half < n_halves; half++) {
            const size_t side = (size_t)half * 128;
            const uint8_t *start = (const uint8_t *)o->start + side;
            uint8_t *top = (uint8_t *)sums->of + side, *bottom = top + UNIT_ROWS * PANEL_ROW_BYTES;
            const size_t ld = is_first ? 0 : PANEL_ROW_BYTES;  // 0: the same for every row
            _tile_loadd(0, is_first ? start : top, ld);
            _tile_loadd(1, (is_first ? start : top) + 64, ld);
            _tile_loadd(2, is_first ? start : bottom, ld);
            _tile_loadd(3, (is_first ? start : bottom) + 64, ld);
            add_square(xi, xi + low, o->ld_x,
                       o->w + (size_t)from * UNIT_ROWS * PANEL_ROW_BYTES + side, steps, &next);
            if (is_last && last)
                add_square(last_x[0], last_x[UNIT_ROWS], UNIT_BYTES, o->last_w + side, 1, &next);
            _tile_stored(0, top, PANEL_ROW_BYTES);
            _tile_stored(1, top + 64, PANEL_ROW_BYTES);
            _tile_stored(2, bottom, PANEL_ROW_BYTES);
            _tile_stored(3, bottom + 64, PANEL_ROW_BYTES);
        }
        from += steps;
    } while (from < n_steps);
}

// sums[rows <= 16, 64] <- the whole chain.
KERNEL_INLINE void multiply_row(tile_sums *sums, const tile_operands *o, const uint8_t *x, int rows,
                                ahead next) {
    const size_t last = o->k % UNIT_BYTES;
    const uint8_t *start = o->start;
    uint8_t *to = (uint8_t *)sums->of;
    next.step *= 2;  // one pass where a square makes two
    _tile_loadd(0, start, 0);
    _tile_loadd(1, start + 64, 0);
    _tile_loadd(2, start + 128, 0);
    _tile_loadd(3, start + 192, 0);
    add_row(x, o->ld_x, o->w, (int)(o->k / UNIT_BYTES), &next);
    if (last) {
        _Alignas(64) uint8_t last_x[BLOCK_ROWS][UNIT_BYTES];
        copy_last_x(last_x, x + o->k - last, o->ld_x, rows, last);
        add_row(last_x[0], UNIT_BYTES, o->last_w, 1, &next);
    }
    _tile_stored(0, to, PANEL_ROW_BYTES);
    _tile_stored(1, to + 64, PANEL_ROW_BYTES);
    _tile_stored(2, to + 128, PANEL_ROW_BYTES);
    _tile_stored(3, to + 192, PANEL_ROW_BYTES);
}

// y's cells <- the sums, as gemm_i8.h and gemm_bf16.h end. Row by row: rows of y lie in pages of
// their own, and there are few translations for stores.
KERNEL_INLINE void close_sums(const tile_sums *sums, const output *out, const tile_operands *o,
                              int i, int rows, int j) {
    const float *bias = out->epilogue.bias;
    const int left = out->n - j;
    lanes b[TILE_VECTORS], w[TILE_VECTORS];
    UNROLL
    for (int v = 0; v < TILE_VECTORS; v++) {
        b[v] = bias ? load_columns(bias + j + 16 * v, left - 16 * v) : lanes_all(0.0f);
        w[v] = o->w_scale ? load_columns(o->w_scale + 16 * v, left - 16 * v) : lanes_all(1.0f);
    }
    for (int r = 0; r < rows; r++) {
        float *y = out->y + (size_t)(i + r) * (size_t)out->ld_y + j;
        const lanes x = lanes_all(o->w_scale ? o->x_scale[i + r] : 1.0f);
        UNROLL
        for (int v = 0; v < TILE_VECTORS; v++) {
            const __m512i sum = _mm512_load_si512(&sums->of[r][16 * v]);
            const lanes cells = o->w_scale
                                    ? lanes_fma(_mm512_cvtepi32_ps(sum), lanes_mul(x, w[v]), b[v])
                                    : lanes_add(_mm512_castsi512_ps(sum), b[v]);
            store_columns(y + 16 * v, cells, left - 16 * v);
        }
    }
    if (out->epilogue.activation) activate_tile(out, i, rows, j);
}

// Rows [i, i + rows) of one panel's columns; rows <= 32.
static void multiply_tiles(const output *out, const tile_operands *o, int i, int rows, int j,
                           ahead next) {
    tile_sums sums;
    const uint8_t *x = o->x + (size_t)i * o->ld_x;
    for (int r = 0; r < rows; r++) fetch_cells(out, i + r, 1, j);
    if (rows > UNIT_ROWS)
        multiply_square(&sums, o, x, rows, out->n - j, next);
    else
        multiply_row(&sums, o, x, rows, next);
    close_sums(&sums, out, o, i, rows, j);
}

// Rows [from, to) of one panel's columns, the last of them possibly with rows before them.
KERNEL_INLINE void multiply_panel(const output *out, const tile_operands *o, const void *next,
                                  size_t panel_bytes, int from, int to, int j) {
    const size_t n_steps = (o->k + UNIT_BYTES - 1) / UNIT_BYTES;
    for (int i = from; i < to; i += BLOCK_ROWS) {
        const int left = to - i, least = left > UNIT_ROWS ? BLOCK_ROWS : UNIT_ROWS;
        const int start = left < least && out->m >= BLOCK_ROWS ? to - least : i;
        const int rows = smaller(to - start, BLOCK_ROWS);
        multiply_tiles(
            out, o, start, rows, j,
            ahead_of_tiles(next, panel_bytes, i - from, smaller(left, rows), to - from, n_steps));
    }
}

// The rows that pass while a panel is in the cache: as many as LIVE_BYTES hold, in equal shares.
KERNEL_INLINE int live_rows(int m, size_t row_bytes) {
    const size_t most = LIVE_BYTES / row_bytes / BLOCK_ROWS * BLOCK_ROWS;
    if (most >= (size_t)m) return m;
    const int rows = most ? (int)most : BLOCK_ROWS, n_shares = (m + rows - 1) / rows;
    const int share = (m + n_shares - 1) / n_shares;
    return (share + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
}

// o holds what is the same for all panels. head_bytes: what a panel opens with, column sums of
// int8.
KERNEL_INLINE void gemm_tiles(const output *out, tile_operands o, const uint8_t *packed,
                              size_t panel_bytes, size_t head_bytes) {
    static const int32_t zeros[TILE_N];
    _Alignas(64) uint8_t last_w[UNIT_ROWS * PANEL_ROW_BYTES] = {0};
    const float *w_scale = o.w_scale;
    const size_t whole = o.k / UNIT_BYTES * UNIT_ROWS * PANEL_ROW_BYTES;
    const int at_once = live_rows(out->m, o.k);
    o.last_w = last_w;
    configure_tiles(out->m);
    for (int from = 0, to; from < out->m; from = to) {
        const uint8_t *panel = packed;
        to = smaller(out->m, from + at_once);
        for (int j = 0; j < out->n; j += TILE_N, panel += panel_bytes) {
            o.start = head_bytes ? panel : (const void *)zeros;
            o.w = panel + head_bytes;
            o.w_scale = w_scale ? w_scale + j : NULL;
            memcpy(last_w, o.w + whole, panel_bytes - head_bytes - whole);
            settle(last_w);
            // After the last panel: the first again, for the next rows, or what the caller says.
            const void *again = to < out->m || !out->epilogue.next ? packed : out->epilogue.next;
            const void *next = j + TILE_N < out->n ? panel + panel_bytes : again;
            multiply_panel(out, &o, next, panel_bytes, from, to, j);
        }
    }
    // So that the thread's state is small again, and the unit may sleep.
    _tile_release();
}

#endif
