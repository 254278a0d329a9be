// SPDX-License-Identifier: Apache-2.0
// The matrix unit (AMX) in plain C, as Intel's Software Developer's Manual states each
// instruction's operation and faults. A file that includes this compiles its tile intrinsics
// against it. One unit, as there is one thread; whatever the hardware would refuse is reported and
// aborts.
#ifndef EMULATED_TILES_H
#define EMULATED_TILES_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

void emulated_load_config(const void *config);
void emulated_release(void);
bool emulated_is_released(void);
void emulated_zero(int tile);
void emulated_load(int tile, const void *base, size_t stride);
void emulated_store(int tile, void *base, size_t stride);
void emulated_dot_bytes(int sum, int x, int w);  // tdpbusd
void emulated_dot_bf16(int sum, int x, int w);   // tdpbf16ps

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_dpbusd
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated_load_config
#define _tile_release emulated_release
#define _tile_zero emulated_zero
#define _tile_loadd emulated_load
#define _tile_stream_loadd emulated_load
#define _tile_stored emulated_store
#define _tile_dpbusd emulated_dot_bytes
#define _tile_dpbf16ps emulated_dot_bf16

#endif
