// SPDX-License-Identifier: Apache-2.0
// Most words are one piece of at most 16 bytes: two loads, one multiplication, one compare. The
// rest walk the trie, once per piece and from its first byte. A failure link per node would make
// that one walk per word; words are cut into 1.2 pieces on average, there is little to save.
#include <string.h>

#include "text/utf8.h"
#include "text/wordpiece.h"

// Eight bytes as a number, the first lowest. Compilers make it one load.
static inline uint64_t load_8(const uint8_t *text) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)text[i] << 8 * i;
    return value;
}

// The id of a whole word of 1 to 16 bytes, -1 where the table has none. Reads 16 bytes whatever the
// length and masks what is not the word's.
static inline int32_t find_word(const wb_vocab *vocab, const uint8_t *word, size_t n_bytes) {
    const uint64_t low_mask = n_bytes >= 8 ? UINT64_MAX : ((uint64_t)1 << 8 * n_bytes) - 1;
    const uint64_t high_mask = n_bytes <= 8    ? 0
                               : n_bytes >= 16 ? UINT64_MAX
                                               : ((uint64_t)1 << 8 * (n_bytes - 8)) - 1;
    const uint64_t low = load_8(word) & low_mask, high = load_8(word + 8) & high_mask;
    const wb_word *slot = &vocab->words[wb_word_slot(vocab, low, high)];
    for (int probe = 0; probe < WB_WORD_PROBES && slot->n_bytes; probe++, slot++)
        if (slot->low == low && slot->high == high && slot->n_bytes == (int32_t)n_bytes)
            return slot->id;
    return -1;
}

// The longest piece that word begins with, from the node start; *n_piece <- its bytes.
static int32_t match_piece(const wb_trie *trie, uint32_t start, const uint8_t *word, size_t n_bytes,
                           size_t *n_piece) {
    int32_t id = -1;
    uint32_t node = start;
    for (size_t i = 0; i < n_bytes; i++) {
        node = wb_trie_step(trie, node, word[i]);
        if (!node) break;
        if (trie->value[node] < 0) continue;
        id = trie->value[node];
        *n_piece = i + 1;
    }
    return id;
}

// A word beyond max_chars characters is unknown as a whole, even where it is in the vocabulary.
static void push_word(const wb_vocab *vocab, const uint8_t *word, size_t n_bytes, wb_ids *out) {
    if (n_bytes > vocab->max_chars && wb_utf8_count(word, n_bytes) > vocab->max_chars) {
        wb_ids_push(out, vocab->unknown);
        return;
    }
    if (n_bytes <= WB_WORD_MAX) {
        const int32_t id = find_word(vocab, word, n_bytes);
        if (id >= 0) {
            wb_ids_push(out, id);
            return;
        }
    }
    const size_t n_before = out->n;  // to take back the pieces of a word that turns out unknown
    size_t n_piece = 0;
    for (size_t at = 0; at < n_bytes; at += n_piece) {
        int32_t id = -1;
        if (at == 0 || vocab->has_continuing)
            id = match_piece(&vocab->trie, at == 0 ? 0 : vocab->continuing, word + at, n_bytes - at,
                             &n_piece);
        if (id < 0) {  // one piece missing makes the whole word unknown
            out->n = n_before;
            wb_ids_push(out, vocab->unknown);
            return;
        }
        wb_ids_push(out, id);
    }
}

void wb_wordpiece_run(const wb_vocab *vocab, uint8_t *text, size_t n_bytes, wb_ids *out) {
    text[n_bytes] = ' ';  // so that looking for the end of a word needs no other bound
    size_t at = 0;
    while (out->n < out->limit) {
        const size_t end = wb_word_next(vocab, text, n_bytes, &at);
        if (end == at) return;
        if (vocab->byte_kind[text[at]] == WB_BYTE_PUNCT)
            wb_ids_push(out, vocab->punct_id[text[at]]);
        else
            push_word(vocab, text + at, end - at, out);
        at = end;
    }
}
