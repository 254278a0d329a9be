// SPDX-License-Identifier: Apache-2.0
// The pieces of a model: a trie that knows them all, and before it a table of whole short words,
// which answers for most words of a text with one probe.
#ifndef WB_TEXT_VOCAB_H
#define WB_TEXT_VOCAB_H

#include "text/trie.h"

enum { WB_WORD_MAX = 16, WB_WORD_PROBES = 4 };

typedef struct wb_word {
    uint64_t low, high;  // its bytes, little end first, zeros behind
    int32_t id;
    int32_t n_bytes;  // 0: a free place
} wb_word;

enum { WB_BYTE_WORD, WB_BYTE_SPACE, WB_BYTE_PUNCT };

typedef struct wb_vocab {
    wb_trie trie;
    uint32_t continuing;  // the node where pieces inside a word begin, with the prefix behind
    bool has_continuing;
    wb_word *words;  // [2^word_bits + WB_WORD_PROBES - 1]
    int word_bits;
    int32_t size;            // ids are in [0, size)
    int32_t unknown;         // id for words that cannot be cut into pieces
    size_t max_chars;        // longer words are unknown
    uint8_t byte_kind[256];  // of normalized text: part of a word, ' ', ASCII punctuation
    int32_t punct_id[128];   // the id of ASCII punctuation
} wb_vocab;

// *vocab <- pieces[n] with ids >= 0 as values, sorted in place. unknown must be one of them.
// where is for messages.
//   WB_ERR_MODEL unknown is not; WB_ERR_MEMORY
wb_status wb_vocab_open(wb_vocab *vocab, wb_piece *pieces, size_t n, const char *prefix,
                        const char *unknown, size_t max_chars, const char *where, wb_error *err);
void wb_vocab_close(wb_vocab *vocab);
int32_t wb_vocab_find(const wb_vocab *vocab, const char *piece);  // its id, -1 if there is none

// (*pieces)[*n] <- the lines of a vocab.txt: the id is the line's number from 0, white space at the
// end is cut as Hugging Face does. The texts lie in data. path is for messages.
//   WB_ERR_FORMAT not UTF-8 (with the offset); WB_ERR_MODEL no line; WB_ERR_MEMORY
wb_status wb_vocab_read_lines(wb_piece **pieces, size_t *n, const uint8_t *data, size_t n_bytes,
                              const char *path, wb_error *err);

// Where a word of at most WB_WORD_MAX bytes lies in words, or up to WB_WORD_PROBES - 1 further on.
static inline size_t wb_word_slot(const wb_vocab *vocab, uint64_t low, uint64_t high) {
    // Fibonacci hashing; the rotation keeps words apart that differ in both halves alike.
    const uint64_t mixed = (low ^ (high << 29 | high >> 35)) * 0x9e3779b97f4a7c15u;
    return (size_t)(mixed >> (64 - vocab->word_bits));
}

#endif
