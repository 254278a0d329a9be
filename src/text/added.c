// SPDX-License-Identifier: Apache-2.0
// Candidates are found by their first byte, which for BERT is always '[': one memchr over a text
// that has none. From there the trie is walked; an automaton over all tokens would save nothing,
// because tokens are short and their first byte is rare.
#include <string.h>

#include "text/added.h"
#include "text/unicode.h"
#include "text/utf8.h"

wb_status wb_added_open(wb_added *added, const wb_added_token *tokens, wb_piece *patterns, size_t n,
                        wb_error *err) {
    *added = (wb_added){.n = n, .only_byte = -1};
    if (n == 0) return WB_OK;
    added->tokens = wb_alloc_array(n, sizeof *added->tokens);
    if (!added->tokens) return wb_fail(err, WB_ERR_MEMORY, 0, "added tokens: no memory for %zu", n);
    int n_first = 0;  // how many different first bytes
    for (size_t i = 0; i < n; i++) {
        const uint8_t first = patterns[i].text[0];
        added->tokens[i] = tokens[i];
        added->tokens[i].content = NULL;
        patterns[i].value = (int32_t)i;  // of equal patterns the trie keeps the last token
        n_first += !added->begins[first];
        added->begins[first] = true;
        added->only_byte = first;
    }
    if (n_first > 1) added->only_byte = -1;
    const wb_status status = wb_trie_open(&added->trie, patterns, n, err);
    if (status) wb_added_close(added);
    return status;
}

void wb_added_close(wb_added *added) {
    wb_trie_close(&added->trie);
    wb_free(added->tokens);
    *added = (wb_added){0};
}

// The first place from `from` on where a token may begin; n_bytes where there is none.
static size_t find_candidate(const wb_added *added, const uint8_t *text, size_t n_bytes,
                             size_t from) {
    if (added->only_byte >= 0 && from < n_bytes) {
        const uint8_t *found = memchr(text + from, added->only_byte, n_bytes - from);
        return found ? (size_t)(found - text) : n_bytes;
    }
    while (from < n_bytes && !added->begins[text[from]]) from++;
    return from;
}

// The token of the longest match at text[0]; *n_match <- its bytes. NULL if there is none.
static const wb_added_token *match_longest(const wb_added *added, const uint8_t *text,
                                           size_t n_bytes, size_t *n_match) {
    const wb_added_token *token = NULL;
    uint32_t node = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        node = wb_trie_step(&added->trie, node, text[i]);
        if (!node) break;
        if (added->trie.value[node] < 0) continue;
        token = &added->tokens[added->trie.value[node]];
        *n_match = i + 1;
    }
    return token;
}

// The character that ends at text[at], at > 0; *start <- where it begins.
static uint32_t code_before(const uint8_t *text, size_t at, size_t *start) {
    size_t from = at - 1, n_used;
    while (from > 0 && at - from < WB_UTF8_MAX && (text[from] & 0xC0) == 0x80) from--;
    const uint32_t code = wb_utf8_decode(text + from, at - from, &n_used);
    *start = from;
    if (from + n_used == at) return code;
    *start = at - 1;  // malformed: neither a letter nor white space
    return WB_REPLACEMENT;
}

// Whether a letter, digit or mark touches text[start, end): then it is part of a longer word.
static bool is_beside_word(const uint8_t *text, size_t n_bytes, size_t start, size_t end) {
    size_t unused;
    return (start > 0 && wb_unicode_is_word(code_before(text, start, &unused))) ||
           (end < n_bytes &&
            wb_unicode_is_word(wb_utf8_decode(text + end, n_bytes - end, &unused)));
}

static bool is_space(uint32_t code) {
    return wb_unicode_classify(code).flags & WB_UNICODE_SPACE;
}

// Widens match over the white space that its token takes, but not before floor: what an earlier
// match took is gone.
static void strip(const wb_added_token *token, const uint8_t *text, size_t n_bytes, size_t floor,
                  wb_added_match *match) {
    size_t start = match->start, n_used;
    while (token->strips_left && match->start > floor &&
           is_space(code_before(text, match->start, &start)) && start >= floor)
        match->start = start;
    while (token->strips_right && match->end < n_bytes &&
           is_space(wb_utf8_decode(text + match->end, n_bytes - match->end, &n_used)))
        match->end += n_used;
}

bool wb_added_next(const wb_added *added, const uint8_t *text, size_t n_bytes, wb_added_scan *scan,
                   wb_added_match *match) {
    while (added->n > 0) {
        const size_t at = find_candidate(added, text, n_bytes, scan->searched);
        scan->searched = at;
        if (at >= n_bytes) return false;
        size_t n_match = 0;
        const wb_added_token *token = match_longest(added, text + at, n_bytes - at, &n_match);
        // A match that is rejected below is used up as well: Hugging Face looks for no shorter one
        // in its place.
        scan->searched = token ? at + n_match : at + 1;
        if (!token) continue;
        if (token->is_single_word && is_beside_word(text, n_bytes, at, at + n_match)) continue;
        *match = (wb_added_match){.start = at, .end = at + n_match, .id = token->id};
        strip(token, text, n_bytes, scan->taken, match);
        if (match->end > scan->taken) scan->taken = match->end;
        return true;
    }
    return false;
}
