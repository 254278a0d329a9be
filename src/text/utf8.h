// SPDX-License-Identifier: Apache-2.0
// UTF-8 one code point at a time. Inline, because the normalizer calls it for every
// character outside ASCII. Malformed bytes become U+FFFD, one for each maximal subpart, as
// Python's errors="replace" and the WHATWG decoder do.
#ifndef WB_TEXT_UTF8_H
#define WB_TEXT_UTF8_H

#include "base/base.h"

enum { WB_REPLACEMENT = 0xFFFD, WB_UTF8_MAX = 4 };

// The code point at text[0, n_bytes), n_bytes >= 1; *n_used <- the bytes it takes, 1 to 4.
static inline uint32_t wb_utf8_decode(const uint8_t *text, size_t n_bytes, size_t *n_used) {
    const uint8_t lead = text[0];
    *n_used = 1;
    if (lead < 0x80) return lead;
    if (lead < 0xC2 || lead > 0xF4) return WB_REPLACEMENT;
    const size_t n_tail = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    // The second byte alone decides between overlong, surrogate, too large and good (Unicode
    // 15, table 3-7).
    const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (n_bytes < 2 || text[1] < low || text[1] > high) return WB_REPLACEMENT;
    uint32_t code = (uint32_t)(lead & (0x3F >> n_tail)) << 6 | (text[1] & 0x3F);
    for (size_t i = 2; i <= n_tail; i++) {
        *n_used = i;
        if (i >= n_bytes || (text[i] & 0xC0) != 0x80) return WB_REPLACEMENT;
        code = code << 6 | (text[i] & 0x3F);
    }
    *n_used = n_tail + 1;
    return code;
}

// out[returned, at most 4] <- code, which is a scalar value.
static inline size_t wb_utf8_encode(uint32_t code, uint8_t *out) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    const size_t n_tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (uint8_t)(leads[n_tail] | code >> 6 * n_tail);
    for (size_t i = 1; i <= n_tail; i++)
        out[i] = (uint8_t)(0x80 | (code >> 6 * (n_tail - i) & 0x3F));
    return n_tail + 1;
}

// Characters in valid UTF-8: bytes that continue none.
static inline size_t wb_utf8_count(const uint8_t *text, size_t n_bytes) {
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++) n += (text[i] & 0xC0) != 0x80;
    return n;
}

// Whether all of text is well formed; else *offset <- where it first is not.
static inline bool wb_utf8_is_valid(const uint8_t *text, size_t n_bytes, size_t *offset) {
    size_t n_used = 0;
    for (size_t at = 0; at < n_bytes; at += n_used) {
        // A well-formed U+FFFD takes three bytes and begins with EF; no malformed sequence does
        // both.
        if (wb_utf8_decode(text + at, n_bytes - at, &n_used) == WB_REPLACEMENT &&
            !(n_used == 3 && text[at] == 0xEF)) {
            *offset = at;
            return false;
        }
    }
    return true;
}

#endif
