// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4), so that an artefact can name the files it was made from in the words
// of `sha256sum`. Plain C: naming happens once, when the artefact is made.
#include <stdio.h>
#include <string.h>

#include "base/base.h"

// The first 32 bits of the fractions of the cube roots of the first 64 primes.
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

// state <- state with one block of 64 bytes.
static void add_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]),
                       majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        const uint32_t a = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choice +
                           constants[i] + w[i];
        const uint32_t b = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += a;
        s[0] = a + b;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

void wb_sha256_init(wb_sha256 *hash) {
    *hash = (wb_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                  0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void wb_sha256_add(wb_sha256 *hash, const void *data, size_t n_bytes) {
    if (n_bytes == 0) return;
    const uint8_t *bytes = data;
    size_t waiting = hash->n_bytes % 64;
    hash->n_bytes += n_bytes;
    if (waiting > 0) {
        const size_t n = n_bytes < 64 - waiting ? n_bytes : 64 - waiting;
        memcpy(hash->block + waiting, bytes, n);
        bytes += n, n_bytes -= n, waiting += n;
        if (waiting < 64) return;
        add_block(hash->state, hash->block);
    }
    for (; n_bytes >= 64; bytes += 64, n_bytes -= 64) add_block(hash->state, bytes);
    if (n_bytes > 0) memcpy(hash->block, bytes, n_bytes);
}

void wb_sha256_text(wb_sha256 *hash, char out[WB_SHA256_TEXT]) {
    const uint64_t n_bits = hash->n_bytes * 8;
    static const uint8_t padding[64] = {0x80};
    wb_sha256_add(hash, padding, 1 + (119 - hash->n_bytes % 64) % 64);
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(n_bits >> (56 - 8 * i));
    wb_sha256_add(hash, length, sizeof length);
    for (int i = 0; i < 8; i++) snprintf(out + 8 * i, 9, "%08x", hash->state[i]);
}

// ---- A fast mark, to notice a mistake ----

// Four streams of multiplications, because one would wait for itself: 0.03 s for a DistilBERT's
// 268 MB in the file cache, which is read anyway, against 0.9 s of SHA-256. No defence against
// somebody who wants two files to agree.
enum { STRIDE = 32, STREAMS = 4, PIECE_BYTES = 4 << 20 };

static void add_strides(uint64_t streams[STREAMS], const uint8_t *bytes, size_t n_bytes) {
    uint64_t words[STREAMS];
    for (size_t i = 0; i + STRIDE <= n_bytes; i += STRIDE) {
        memcpy(words, bytes + i, sizeof words);
        for (int j = 0; j < STREAMS; j++)
            streams[j] = (streams[j] ^ words[j]) * 0x9e3779b97f4a7c15u,
            streams[j] ^= streams[j] >> 32;
    }
}

// Pages of a mapped file are let go as they are read.
static uint64_t mark(uint64_t before, const uint8_t *bytes, size_t n_bytes, bool is_released) {
    wb_random end = {.state = before ^ n_bytes};
    uint64_t streams[STREAMS] = {1, 2, 3, 4}, words[STREAMS] = {0};
    const size_t whole = n_bytes / STRIDE * STRIDE;
    for (size_t i = 0; i < whole; i += PIECE_BYTES) {
        const size_t n = whole - i < PIECE_BYTES ? whole - i : PIECE_BYTES;
        add_strides(streams, bytes + i, n);
        if (is_released) wb_file_release(bytes + i, n);
    }
    if (whole < n_bytes) memcpy(words, bytes + whole, n_bytes - whole);
    for (int j = 0; j < STREAMS; j++) {
        end.state ^= streams[j];
        end.state = wb_random_next(&end) ^ words[j];
    }
    return wb_random_next(&end);
}

uint64_t wb_fingerprint(uint64_t before, const void *data, size_t n_bytes) {
    return mark(before, data, n_bytes, false);
}

uint64_t wb_fingerprint_file(uint64_t before, const wb_file *file) {
    return mark(before, file->data, file->n_bytes, file->is_mapped);
}
