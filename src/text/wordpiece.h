// SPDX-License-Identifier: Apache-2.0
// Normalized text to piece ids: split at spaces and punctuation, then cut every word greedily into
// the longest pieces of the vocabulary.
#ifndef WB_TEXT_WORDPIECE_H
#define WB_TEXT_WORDPIECE_H

#include "text/vocab.h"

// Where ids go: all are counted, the first capacity stored. Writers stop soon after limit.
typedef struct wb_ids {
    int32_t *ids;  // [capacity]
    size_t capacity, n, limit;
} wb_ids;

static inline void wb_ids_push(wb_ids *out, int32_t id) {
    if (out->n < out->capacity) out->ids[out->n] = id;
    out->n++;
}

enum { WB_WORDPIECE_SLACK = WB_WORD_MAX };  // bytes behind text that wb_wordpiece_run may touch

// The next word at or after *at, as normalized for_words: text[*at, returned); the same where
// there is none. text[n_bytes] must be ' '.
static inline size_t wb_word_next(const wb_vocab *vocab, const uint8_t *text, size_t n_bytes,
                                  size_t *at) {
    size_t end = *at;
    while (end < n_bytes && vocab->byte_kind[text[end]] == WB_BYTE_SPACE) end++;
    *at = end;
    if (end == n_bytes) return end;
    if (vocab->byte_kind[text[end]] == WB_BYTE_PUNCT) return end + 1;
    while (vocab->byte_kind[text[end]] == WB_BYTE_WORD) end++;
    return end;
}

// Appends the ids of text[n_bytes], normalized for_words. Writes into the WB_WORDPIECE_SLACK bytes
// behind it. A word is given whole or not at all, so that ids before limit never change with it.
void wb_wordpiece_run(const wb_vocab *vocab, uint8_t *text, size_t n_bytes, wb_ids *out);

#endif
