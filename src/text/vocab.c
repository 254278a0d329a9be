// SPDX-License-Identifier: Apache-2.0
// Builds the trie and the table of whole words. A word that finds its places in the table taken is
// left to the trie, so that no file can make the table slow.
#include <string.h>

#include "text/unicode.h"
#include "text/utf8.h"
#include "text/vocab.h"

// Without the locale, and without the bytes above ASCII that ispunct() may claim.
static bool is_ascii_punct(int byte) {
    return (byte >= '!' && byte <= '/') || (byte >= ':' && byte <= '@') ||
           (byte >= '[' && byte <= '`') || (byte >= '{' && byte <= '~');
}

// Whether normalized text can hold piece as one whole word that the table takes. Pieces with
// punctuation in them, "##ing" and "[CLS]", never are a word.
static bool is_short_word(const wb_vocab *vocab, const wb_piece *piece) {
    if (piece->n_bytes == 0 || piece->n_bytes > WB_WORD_MAX) return false;
    for (size_t i = 0; i < piece->n_bytes; i++)
        if (vocab->byte_kind[piece->text[i]] != WB_BYTE_WORD) return false;
    return true;
}

static void insert_word(wb_vocab *vocab, const wb_piece *piece) {
    wb_word word = {.id = piece->value, .n_bytes = (int32_t)piece->n_bytes};
    for (size_t i = 0; i < piece->n_bytes; i++) {
        uint64_t *half = i < 8 ? &word.low : &word.high;
        *half |= (uint64_t)piece->text[i] << 8 * (i % 8);
    }
    const size_t slot = wb_word_slot(vocab, word.low, word.high);
    for (size_t probe = 0; probe < WB_WORD_PROBES; probe++) {
        if (vocab->words[slot + probe].n_bytes) continue;
        vocab->words[slot + probe] = word;
        return;
    }
}

static wb_status build_words(wb_vocab *vocab, const wb_piece *pieces, wb_error *err) {
    size_t n_words = 0;
    for (size_t i = 0; i < vocab->trie.n_strings; i++) n_words += is_short_word(vocab, &pieces[i]);
    // At most half full: of the 23,659 short words of BERT, uncased, 220 find no place.
    vocab->word_bits = 1;
    while (((size_t)1 << vocab->word_bits) < 2 * n_words) vocab->word_bits++;
    const size_t n_slots = ((size_t)1 << vocab->word_bits) + WB_WORD_PROBES - 1;
    vocab->words = wb_alloc_array(n_slots, sizeof *vocab->words);
    if (!vocab->words)
        return wb_fail(err, WB_ERR_MEMORY, 0, "vocabulary: no memory for %zu words", n_words);
    for (size_t i = 0; i < vocab->trie.n_strings; i++)
        if (is_short_word(vocab, &pieces[i])) insert_word(vocab, &pieces[i]);
    return WB_OK;
}

int32_t wb_vocab_find(const wb_vocab *vocab, const char *piece) {
    return wb_trie_find(&vocab->trie, (const uint8_t *)piece, strlen(piece));
}

// Punctuation is always a word of one byte, so its ids are looked up once here. The pieces inside a
// word share the prefix "##": they are a subtree of the same trie, entered where the prefix ends.
static void build_bytes(wb_vocab *vocab, const char *prefix) {
    for (int byte = 0; byte < 128; byte++) {
        const uint8_t text = (uint8_t)byte;
        const int32_t id = wb_trie_find(&vocab->trie, &text, 1);
        vocab->punct_id[byte] = id < 0 || vocab->max_chars == 0 ? vocab->unknown : id;
    }
    const size_t n_prefix = strlen(prefix);
    vocab->continuing = wb_trie_walk(&vocab->trie, (const uint8_t *)prefix, n_prefix);
    vocab->has_continuing = vocab->continuing != 0 || n_prefix == 0;
}

// The trie sorts the pieces and moves the distinct ones to the front, which build_words relies on.
wb_status wb_vocab_open(wb_vocab *vocab, wb_piece *pieces, size_t n, const char *prefix,
                        const char *unknown, size_t max_chars, const char *where, wb_error *err) {
    *vocab = (wb_vocab){.max_chars = max_chars};
    for (int byte = 0; byte < 256; byte++)
        vocab->byte_kind[byte] = byte == ' '            ? WB_BYTE_SPACE
                                 : is_ascii_punct(byte) ? WB_BYTE_PUNCT
                                                        : WB_BYTE_WORD;
    for (size_t i = 0; i < n; i++)
        if (pieces[i].value >= vocab->size) vocab->size = pieces[i].value + 1;
    wb_status status = wb_trie_open(&vocab->trie, pieces, n, err);
    if (!status) status = build_words(vocab, pieces, err);
    if (!status) {
        vocab->unknown = wb_vocab_find(vocab, unknown);
        if (vocab->unknown < 0)
            status = wb_fail(err, WB_ERR_MODEL, 0, "%s: the vocabulary has no %s for unknown words",
                             where, unknown);
        build_bytes(vocab, prefix);
    }
    if (status) wb_vocab_close(vocab);
    return status;
}

void wb_vocab_close(wb_vocab *vocab) {
    wb_trie_close(&vocab->trie);
    wb_free(vocab->words);
    *vocab = (wb_vocab){0};
}

// n_bytes less the white space that text ends in.
static size_t trim_end(const uint8_t *text, size_t n_bytes) {
    while (n_bytes > 0) {
        size_t start = n_bytes - 1, n_used;
        while (start > 0 && (text[start] & 0xC0) == 0x80) start--;
        const uint32_t last = wb_utf8_decode(text + start, n_bytes - start, &n_used);
        if (!(wb_unicode_classify(last).flags & WB_UNICODE_SPACE)) break;
        n_bytes = start;
    }
    return n_bytes;
}

wb_status wb_vocab_read_lines(wb_piece **pieces, size_t *n, const uint8_t *data, size_t n_bytes,
                              const char *path, wb_error *err) {
    *pieces = NULL;
    *n = 0;
    size_t offset = 0;
    if (!wb_utf8_is_valid(data, n_bytes, &offset))
        return wb_fail(err, WB_ERR_FORMAT, offset, "%s: not UTF-8 at byte %zu", path, offset);
    // A final newline ends the last line and begins none.
    size_t n_lines = n_bytes > 0 && data[n_bytes - 1] != '\n';
    for (size_t i = 0; i < n_bytes; i++) n_lines += data[i] == '\n';
    if (n_lines == 0) return wb_fail(err, WB_ERR_MODEL, 0, "%s: empty vocabulary", path);
    wb_piece *lines = wb_alloc_array(n_lines, sizeof *lines);
    if (!lines) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for %zu lines", path, n_lines);
    size_t at = 0;
    for (size_t line = 0; line < n_lines; line++) {
        const uint8_t *newline = memchr(data + at, '\n', n_bytes - at);
        const size_t end = newline ? (size_t)(newline - data) : n_bytes;
        lines[line] = (wb_piece){
            .text = data + at, .n_bytes = trim_end(data + at, end - at), .value = (int32_t)line};
        at = end + 1;
    }
    *pieces = lines;
    *n = n_lines;
    return WB_OK;
}
