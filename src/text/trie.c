// SPDX-License-Identifier: Apache-2.0
// Sorted strings are a trie already: the nodes of one depth are the groups of neighbours that agree
// so far. One pass over a growing queue of groups writes all nodes in order.
#include <stdlib.h>
#include <string.h>

#include "text/trie.h"

// By bytes, shorter first where one begins the other: a node's own string comes before those below.
static int compare_texts(const wb_piece *x, const wb_piece *y) {
    const size_t n = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    const int order = n ? memcmp(x->text, y->text, n) : 0;
    if (order) return order;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

// Equal texts keep the order they were given in: qsort alone does not promise that.
static int compare_pieces(const void *a, const void *b) {
    const wb_piece *x = a, *y = b;
    const int order = compare_texts(x, y);
    return order ? order : x->given < y->given ? -1 : 1;
}

// Sorts, and of equal texts keeps the last one given; returns how many remain.
static size_t sort_unique(wb_piece *pieces, size_t n) {
    for (size_t i = 0; i < n; i++) pieces[i].given = (uint32_t)i;
    if (n > 1) qsort(pieces, n, sizeof *pieces, compare_pieces);
    size_t n_unique = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_unique > 0 && compare_texts(&pieces[n_unique - 1], &pieces[i]) == 0) n_unique--;
        pieces[n_unique++] = pieces[i];
    }
    return n_unique;
}

// One node for every byte that a text does not share with its left neighbour, and the root.
static size_t count_nodes(const wb_piece *pieces, size_t n) {
    size_t n_nodes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t common = 0;
        if (i > 0) {
            // They differ, so the left one ends or departs before this one does.
            const wb_piece *left = &pieces[i - 1];
            while (common < left->n_bytes && left->text[common] == pieces[i].text[common]) common++;
        }
        n_nodes += pieces[i].n_bytes - common;
    }
    return n_nodes;
}

typedef struct group {
    uint32_t first, end;  // of the sorted pieces
} group;

// For "a", "an", "at", "b":     node     0     1   2   3   4
//                               label    -     a   b   n   t
//                        first_child     1     3   5   5   5   5
static void write_nodes(wb_trie *trie, const wb_piece *pieces, group *groups) {
    size_t n_nodes = 1, depth = 0, depth_end = 1;
    for (size_t node = 0; node < trie->n_nodes; node++) {
        // Nodes of one depth were appended together: where they end, the next depth begins.
        if (node == depth_end) {
            depth++;
            depth_end = n_nodes;
        }
        uint32_t piece = groups[node].first;
        const uint32_t end = groups[node].end;
        trie->value[node] = -1;
        if (piece < end && pieces[piece].n_bytes == depth)
            trie->value[node] = pieces[piece++].value;
        trie->first_child[node] = (uint32_t)n_nodes;
        while (piece < end) {
            const uint8_t label = pieces[piece].text[depth];
            groups[n_nodes].first = piece;
            while (piece < end && pieces[piece].text[depth] == label) piece++;
            groups[n_nodes].end = piece;
            trie->label[n_nodes++] = label;
        }
    }
    trie->first_child[trie->n_nodes] = (uint32_t)n_nodes;
}

wb_status wb_trie_open(wb_trie *trie, wb_piece *pieces, size_t n, wb_error *err) {
    *trie = (wb_trie){0};
    trie->n_strings = sort_unique(pieces, n);
    trie->n_nodes = count_nodes(pieces, trie->n_strings);
    group *groups = NULL;
    // Nodes are numbered in 32 bits; the files read here are too short for more.
    if (trie->n_nodes < UINT32_MAX) {
        trie->first_child = wb_alloc_array(trie->n_nodes + 1, sizeof *trie->first_child);
        trie->label = wb_alloc_array(trie->n_nodes, sizeof *trie->label);
        trie->value = wb_alloc_array(trie->n_nodes, sizeof *trie->value);
        groups = wb_alloc_array(trie->n_nodes, sizeof *groups);
    }
    if (!trie->first_child || !trie->label || !trie->value || !groups) {
        wb_free(groups);
        wb_trie_close(trie);
        return wb_fail(err, WB_ERR_MEMORY, 0, "vocabulary: no memory for %zu pieces", n);
    }
    groups[0] = (group){.first = 0, .end = (uint32_t)trie->n_strings};
    write_nodes(trie, pieces, groups);
    wb_free(groups);
    return WB_OK;
}

void wb_trie_close(wb_trie *trie) {
    wb_free(trie->first_child);
    wb_free(trie->label);
    wb_free(trie->value);
    *trie = (wb_trie){0};
}

uint32_t wb_trie_walk(const wb_trie *trie, const uint8_t *text, size_t n_bytes) {
    uint32_t node = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        node = wb_trie_step(trie, node, text[i]);
        if (!node) return 0;
    }
    return node;
}

int32_t wb_trie_find(const wb_trie *trie, const uint8_t *text, size_t n_bytes) {
    if (n_bytes == 0) return trie->n_nodes ? trie->value[0] : -1;
    const uint32_t node = trie->n_nodes ? wb_trie_walk(trie, text, n_bytes) : 0;
    return node ? trie->value[node] : -1;
}
