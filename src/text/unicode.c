// SPDX-License-Identifier: Apache-2.0
// Binary searches in the tables of unicode_classes.c and unicode_bare.c. Only opening a tokenizer
// and rare paths come here: the normalizer expands the tables for its options.
#include "text/unicode.h"

// Number of table entries that begin at or before code; entries begin with that code point.
static size_t count_up_to(const void *table, size_t n, size_t entry_bytes, uint32_t code) {
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint32_t *first = (const void *)((const char *)table + middle * entry_bytes);
        if (*first <= code)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Code points between the ranges are ordinary letters, or not assigned, which is the same here.
wb_unicode_class wb_unicode_classify(uint32_t code) {
    const size_t n =
        count_up_to(wb_unicode_classes, wb_unicode_n_classes, sizeof *wb_unicode_classes, code);
    if (n > 0 && code <= wb_unicode_classes[n - 1].last) return wb_unicode_classes[n - 1];
    return (wb_unicode_class){.first = code, .last = code};
}

bool wb_unicode_is_word(uint32_t code) {
    const size_t n =
        count_up_to(wb_unicode_words, wb_unicode_n_words, sizeof *wb_unicode_words, code);
    return n > 0 && code <= wb_unicode_words[n - 1].last;
}

int wb_unicode_lower(uint32_t code, uint32_t *out) {
    if (code == 0x130) {  // capital I with dot above
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = code;
    const size_t n =
        count_up_to(wb_unicode_cases, wb_unicode_n_cases, sizeof *wb_unicode_cases, code);
    if (n == 0) return 1;
    const wb_unicode_case *range = &wb_unicode_cases[n - 1];
    // Steps of 2 skip the small letters between the capitals.
    if (code <= range->last && (code - range->first) % range->step == 0)
        out[0] = (uint32_t)((int32_t)code + range->delta);
    return 1;
}

// Hangul syllables are leading consonant x vowel x final consonant (Unicode 15, section 3.12).
static int strip_hangul(uint32_t code, uint32_t *out) {
    enum { VOWELS = 21, FINALS = 28 };
    const uint32_t index = code - WB_HANGUL_FIRST;
    out[0] = 0x1100 + index / (VOWELS * FINALS);
    out[1] = 0x1161 + index / FINALS % VOWELS;
    out[2] = 0x11A7 + index % FINALS;
    return index % FINALS ? 3 : 2;
}

int wb_unicode_strip(uint32_t code, uint32_t *out) {
    if (code >= WB_HANGUL_FIRST && code <= WB_HANGUL_LAST) return strip_hangul(code, out);
    if (wb_unicode_classify(code).flags & WB_UNICODE_MARK) return 0;
    out[0] = code;
    const size_t n =
        count_up_to(wb_unicode_bares, wb_unicode_n_bares, sizeof *wb_unicode_bares, code);
    if (n == 0 || wb_unicode_bares[n - 1].from != code) return 1;
    int n_out = 0;
    while (n_out < WB_UNICODE_MAX && wb_unicode_bares[n - 1].to[n_out]) {
        out[n_out] = wb_unicode_bares[n - 1].to[n_out];
        n_out++;
    }
    return n_out;
}
