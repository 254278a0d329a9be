// SPDX-License-Identifier: Apache-2.0
// gnuplot falls back to Latin-1 on a malformed byte and browsers guess: neither may meet one.
#include "report/text.h"

int text_character_bytes(const char *text) {
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] < 0x80) return c[0] >= 0x20 && c[0] != 0x7f;
    if (c[0] < 0xc2 || c[0] > 0xf4) return 0;
    const int n_bytes = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    // Overlong forms, surrogates and what lies beyond U+10FFFF: Unicode 15, table 3-7.
    const unsigned char low = c[0] == 0xe0 ? 0xa0 : c[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = c[0] == 0xed ? 0x9f : c[0] == 0xf4 ? 0x8f : 0xbf;
    if (c[1] < low || c[1] > high) return 0;
    for (int i = 2; i < n_bytes; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    return n_bytes;
}

void text_tame(char *text) {
    while (*text) {
        const int n_bytes = text_character_bytes(text);
        if (n_bytes == 0) *text = (unsigned char)*text < 0x80 ? ' ' : '?';
        text += n_bytes ? n_bytes : 1;
    }
}
