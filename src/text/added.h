// SPDX-License-Identifier: Apache-2.0
// Tokens that are found in a text as they stand, before it is cut into words: [SEP], [MASK] and
// whatever a model adds. Leftmost match first, the longest of those, as Hugging Face's automaton.
#ifndef WB_TEXT_ADDED_H
#define WB_TEXT_ADDED_H

#include "text/trie.h"

typedef struct wb_added_token {
    const char *content;  // ends in 0
    int32_t id;
    bool is_single_word;  // not between or beside letters and digits
    bool strips_left;     // takes the white space before it
    bool strips_right;    // and behind it
    bool is_normalized;   // is looked for in the normalized text, itself normalized
    bool is_optional;     // left out where the vocabulary has no such piece
} wb_added_token;

// One set of tokens to look for, all in raw or all in normalized text.
typedef struct wb_added {
    wb_trie trie;            // of what is looked for, to an index of tokens
    wb_added_token *tokens;  // content is not kept
    size_t n;
    bool begins[256];  // whether some token begins with this byte
    int only_byte;     // the one byte that all begin with, -1 if they differ
} wb_added;

// *added <- tokens[n], where patterns[i].text is what to look for. WB_ERR_MEMORY.
wb_status wb_added_open(wb_added *added, const wb_added_token *tokens, wb_piece *patterns, size_t n,
                        wb_error *err);
void wb_added_close(wb_added *added);

// Where a scan of one text stands; zeroed at its start.
typedef struct wb_added_scan {
    size_t searched;  // matches begin here or later
    size_t taken;     // text before it is used up, white space that a token took included
} wb_added_scan;

typedef struct wb_added_match {
    size_t start,
        end;  // with the white space that the token takes; start may lie before scan.taken
    int32_t id;
} wb_added_match;

// The next token in text and moves scan behind it; false where there is none.
bool wb_added_next(const wb_added *added, const uint8_t *text, size_t n_bytes, wb_added_scan *scan,
                   wb_added_match *match);

#endif
