// SPDX-License-Identifier: Apache-2.0
// Strings to values >= 0 by longest match. Siblings lie side by side, so that a node is nine bytes
// and a vocabulary of 30,000 pieces fits a second-level cache; built once by sorting, in O(n log n)
// whatever the strings are.
#ifndef WB_TEXT_TRIE_H
#define WB_TEXT_TRIE_H

#include "base/base.h"

typedef struct wb_piece {
    const uint8_t *text;
    size_t n_bytes;
    int32_t value;
    uint32_t given;  // its place before sorting; set by wb_trie_open
} wb_piece;

// Nodes in order of depth; node 0 is the root. The children of node i are the nodes
// [first_child[i], first_child[i + 1]), by rising label.
typedef struct wb_trie {
    uint32_t *first_child;  // [n_nodes + 1]
    uint8_t *label;         // [n_nodes] the byte that leads here
    int32_t *value;         // [n_nodes] -1: no string ends here
    size_t n_nodes;
    size_t n_strings;  // distinct ones
} wb_trie;

// *trie <- pieces[n], which are sorted in place; n < 2^32. Of equal strings the last one given
// counts. The texts are not needed afterwards. WB_ERR_MEMORY; *trie is empty then.
wb_status wb_trie_open(wb_trie *trie, wb_piece *pieces, size_t n, wb_error *err);
void wb_trie_close(wb_trie *trie);

// The child of node by byte, 0 where there is none.
static inline uint32_t wb_trie_step(const wb_trie *trie, uint32_t node, uint8_t byte) {
    const uint32_t end = trie->first_child[node + 1];
    for (uint32_t child = trie->first_child[node]; child < end; child++)
        if (trie->label[child] == byte) return child;
    return 0;
}

// The node that text leads to, 0 where there is none; 0, the root, for an empty text.
uint32_t wb_trie_walk(const wb_trie *trie, const uint8_t *text, size_t n_bytes);
// The value of text, -1 where it has none.
int32_t wb_trie_find(const wb_trie *trie, const uint8_t *text, size_t n_bytes);

#endif
