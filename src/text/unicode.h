// SPDX-License-Identifier: Apache-2.0
// What the tokenizer must know of each code point. The tables are observed from the `tokenizers`
// package by tools/export_unicode_tables.py and not taken from a library: its Rust crates
// mix several Unicode versions, and a system's utf8proc moves on with the system, ids must not.
#ifndef WB_TEXT_UNICODE_H
#define WB_TEXT_UNICODE_H

#include "base/base.h"

enum {
    WB_UNICODE_DROP = 1,      // removed by clean_text: control, format, private use, U+0000, U+FFFD
    WB_UNICODE_SPACE = 2,     // separates words
    WB_UNICODE_PUNCT = 4,     // is a word of its own
    WB_UNICODE_MARK = 8,      // removed by strip_accents
    WB_UNICODE_CHINESE = 16,  // gets spaces around it from tokenize_chinese_chars
};

typedef struct wb_unicode_class {
    uint32_t first, last;
    uint8_t flags;
    uint8_t order;  // canonical combining class; 0: begins a new run in canonical ordering
} wb_unicode_class;

typedef struct wb_unicode_range {
    uint32_t first, last;
} wb_unicode_range;

typedef struct wb_unicode_case {
    uint32_t first, last, step;  // every step-th from first to last
    int32_t delta;               // from upper to lower
} wb_unicode_case;

enum { WB_UNICODE_MAX = 3 };  // code points that one becomes at most

typedef struct wb_unicode_bare {
    uint32_t from, to[WB_UNICODE_MAX];  // canonical decomposition without nonspacing marks; 0 ends
} wb_unicode_bare;

// All sorted by code point; Hangul syllables are not among the decompositions.
extern const wb_unicode_class wb_unicode_classes[];
extern const size_t wb_unicode_n_classes;
extern const wb_unicode_range wb_unicode_words[];
extern const size_t wb_unicode_n_words;
extern const wb_unicode_case wb_unicode_cases[];
extern const size_t wb_unicode_n_cases;
extern const wb_unicode_bare wb_unicode_bares[];
extern const size_t wb_unicode_n_bares;

enum { WB_HANGUL_FIRST = 0xAC00, WB_HANGUL_LAST = 0xD7A3 };

// Flags and order of one code point; 0 and 0 for an ordinary letter. A binary search, as all below.
wb_unicode_class wb_unicode_classify(uint32_t code);
bool wb_unicode_is_word(uint32_t code);  // \w of regular expressions, for single_word
// out[returned] <- the lower case, 1 or 2 code points (U+0130 alone has 2).
int wb_unicode_lower(uint32_t code, uint32_t *out);
// out[returned] <- the decomposition without marks, 0 to 3 code points; {code} where it has none.
int wb_unicode_strip(uint32_t code, uint32_t *out);

#endif
