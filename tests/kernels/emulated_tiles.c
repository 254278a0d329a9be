// SPDX-License-Identifier: Apache-2.0
// Tiles as arrays. The rules are those of palette 1, the only one there is.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512VL__)
#include "emulated_tiles.h"

enum { N_TILES = 8, N_ROWS = 16, ROW_BYTES = 64, N_WORDS = ROW_BYTES / 4 };

typedef union tile {
    uint8_t u8[N_ROWS][ROW_BYTES];
    int8_t i8[N_ROWS][ROW_BYTES];
    uint16_t bf16[N_ROWS][ROW_BYTES / 2];
    int32_t i32[N_ROWS][N_WORDS];
    float f32[N_ROWS][N_WORDS];
} tile;

static struct {
    bool is_configured;
    int rows[N_TILES], row_bytes[N_TILES];
    tile tiles[N_TILES];
} unit;

static void require(bool is_met, const char *rule) {
    if (is_met) return;
    printf("the matrix unit would fault: %s\n", rule);
    fflush(stdout);
    abort();
}

void emulated_load_config(const void *config) {
    const uint8_t *bytes = config;
    memset(&unit, 0, sizeof unit);
    if (bytes[0] == 0) return;  // palette 0 is the initial state
    require(bytes[0] == 1, "a palette that is not 1");
    for (int i = 1; i < 16; i++) require(bytes[i] == 0, "a start row or a reserved byte is set");
    for (int t = 0; t < 16; t++) {
        uint16_t row_bytes;
        memcpy(&row_bytes, bytes + 16 + 2 * t, sizeof row_bytes);
        const int rows = bytes[48 + t];
        require(row_bytes <= ROW_BYTES && rows <= N_ROWS, "a tile of more than 16 x 64 bytes");
        require(!row_bytes == !rows, "a tile of no rows or no bytes");
        require(t < N_TILES || !rows, "more than eight tiles");
        if (t >= N_TILES) continue;
        unit.rows[t] = rows;
        unit.row_bytes[t] = row_bytes;
    }
    unit.is_configured = true;
}

void emulated_release(void) {
    memset(&unit, 0, sizeof unit);
}

bool emulated_is_released(void) {
    return !unit.is_configured;
}

static void require_tile(int t) {
    require(unit.is_configured, "no configuration is loaded");
    require(t >= 0 && t < N_TILES && unit.rows[t], "a tile that is not configured");
}

void emulated_zero(int t) {
    require_tile(t);
    memset(&unit.tiles[t], 0, sizeof unit.tiles[t]);
}

// What lies outside the configured rows and bytes becomes zero.
void emulated_load(int t, const void *base, size_t stride) {
    require_tile(t);
    memset(&unit.tiles[t], 0, sizeof unit.tiles[t]);
    for (int r = 0; r < unit.rows[t]; r++)
        memcpy(unit.tiles[t].u8[r], (const uint8_t *)base + (size_t)r * stride,
               (size_t)unit.row_bytes[t]);
}

void emulated_store(int t, void *base, size_t stride) {
    require_tile(t);
    for (int r = 0; r < unit.rows[t]; r++)
        memcpy((uint8_t *)base + (size_t)r * stride, unit.tiles[t].u8[r],
               (size_t)unit.row_bytes[t]);
}

static void require_product(int sum, int x, int w) {
    require_tile(sum);
    require_tile(x);
    require_tile(w);
    require(sum != x && sum != w && x != w, "a product of tiles that are the same");
    require(unit.row_bytes[sum] % 4 == 0 && unit.row_bytes[x] % 4 == 0, "a row of broken words");
    require(unit.row_bytes[x] == 4 * unit.rows[w], "x is not as long as w is high");
    require(unit.row_bytes[sum] == unit.row_bytes[w], "the sums are not as wide as w");
    require(unit.rows[sum] == unit.rows[x], "the sums are not as high as x");
}

static void clear_rows_below(int t) {
    for (int r = unit.rows[t]; r < N_ROWS; r++) memset(unit.tiles[t].u8[r], 0, ROW_BYTES);
}

void emulated_dot_bytes(int sum, int x, int w) {
    require_product(sum, x, w);
    tile *c = &unit.tiles[sum];
    const tile *a = &unit.tiles[x], *b = &unit.tiles[w];
    for (int m = 0; m < unit.rows[sum]; m++)
        for (int k = 0; k < unit.rows[w]; k++)
            for (int n = 0; n < unit.row_bytes[sum] / 4; n++) {
                int32_t dot = 0;
                for (int i = 0; i < 4; i++) dot += a->u8[m][4 * k + i] * b->i8[k][4 * n + i];
                c->i32[m][n] += dot;
            }
    clear_rows_below(sum);
}

// Denormals are zeros, in and out.
static float flush(float x) {
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

static float widen(uint16_t bf16) {
    const uint32_t bits = (uint32_t)bf16 << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return flush(x);
}

// The even and the odd products of a row of words are two chains; both are added, then to the sum.
void emulated_dot_bf16(int sum, int x, int w) {
    require_product(sum, x, w);
    tile *c = &unit.tiles[sum];
    const tile *a = &unit.tiles[x], *b = &unit.tiles[w];
    for (int m = 0; m < unit.rows[sum]; m++)
        for (int n = 0; n < unit.row_bytes[sum] / 4; n++) {
            float chains[2] = {0.0f, 0.0f};
            for (int k = 0; k < unit.rows[w]; k++)
                for (int i = 0; i < 2; i++)
                    chains[i] = flush(fmaf(widen(a->bf16[m][2 * k + i]),
                                           widen(b->bf16[k][2 * n + i]), chains[i]));
            c->f32[m][n] = flush(flush(c->f32[m][n]) + flush(chains[0] + chains[1]));
        }
    clear_rows_below(sum);
}
#endif
