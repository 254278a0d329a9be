// SPDX-License-Identifier: Apache-2.0
// Texts are worked off in chunks that end at a space, on the stack: a text of any length costs no
// more than max_length tokens' worth of it, and no allocation unless it has no spaces.
#include <string.h>

#include "text/settings.h"
#include "text/tokenizer.h"
#include "text/wordpiece.h"

struct wb_tokenizer {
    wb_normalizer *normalizer;
    wb_normalizer *plain;  // all options off: splits what is normalized already; NULL if not needed
    wb_vocab vocab;
    wb_added raw, normalized;  // tokens looked for before and after normalization
    wb_template single, pair;
    int size, max_length;
};

// ---- Opening ----

// Gives every token its id as Hugging Face does: the vocabulary's, or the next free one after it.
// What the file says the id is does not count.
static void number_added(wb_tokenizer *tokenizer, wb_tokenizer_settings *settings) {
    int32_t next = (int32_t)tokenizer->vocab.trie.n_strings;
    size_t n_kept = 0;
    for (size_t i = 0; i < settings->n_added; i++) {
        wb_added_token token = settings->added[i];
        token.id = wb_vocab_find(&tokenizer->vocab, token.content);
        if (token.id < 0 && token.is_optional) continue;
        if (token.id < 0) token.id = next;
        if (token.id >= next) next = token.id + 1;
        if (token.id >= tokenizer->size) tokenizer->size = token.id + 1;
        settings->added[n_kept++] = token;
    }
    settings->n_added = n_kept;
}

// *pattern <- what is looked for instead of content in normalized text; the caller frees its text.
static wb_status normalize_content(const wb_tokenizer *tokenizer, const char *content,
                                   const char *dir, wb_piece *pattern, wb_error *err) {
    const size_t n_bytes = strlen(content);
    uint8_t *text = wb_alloc(wb_normalizer_capacity(n_bytes));
    if (!text) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: added token %.64s", dir, content);
    *pattern = (wb_piece){.text = text};
    pattern->n_bytes =
        wb_normalizer_apply(tokenizer->normalizer, (const uint8_t *)content, n_bytes, false, text);
    if (pattern->n_bytes > 0) return WB_OK;
    return wb_fail(err, WB_ERR_MODEL, 0,
                   "%s: nothing is left of the added token \"%.64s\" once normalized", dir,
                   content);
}

// Opens one of the two sets: all tokens whose is_normalized is as given.
static wb_status open_added(wb_tokenizer *tokenizer, const wb_tokenizer_settings *settings,
                            bool is_normalized, wb_error *err) {
    wb_added_token *tokens = wb_alloc_array(settings->n_added, sizeof *tokens);
    wb_piece *patterns = wb_alloc_array(settings->n_added, sizeof *patterns);
    wb_status status = WB_OK;
    if (!tokens || !patterns)
        status = wb_fail(err, WB_ERR_MEMORY, 0, "%s: added tokens", settings->dir);
    size_t n = 0;
    for (size_t i = 0; !status && i < settings->n_added; i++) {
        const wb_added_token *token = &settings->added[i];
        if (token->is_normalized != is_normalized) continue;
        tokens[n] = *token;
        if (is_normalized)
            status = normalize_content(tokenizer, token->content, settings->dir, &patterns[n], err);
        else
            patterns[n] = (wb_piece){.text = (const uint8_t *)token->content,
                                     .n_bytes = strlen(token->content)};
        n++;
    }
    wb_added *added = is_normalized ? &tokenizer->normalized : &tokenizer->raw;
    if (!status) status = wb_added_open(added, tokens, patterns, n, err);
    for (size_t i = 0; is_normalized && i < n; i++) wb_free((void *)(uintptr_t)patterns[i].text);
    wb_free(tokens);
    wb_free(patterns);
    return status;
}

// The id of a special token, -1 where neither the vocabulary nor the added tokens have it.
static int32_t find_special(const wb_tokenizer *tokenizer, const wb_tokenizer_settings *settings,
                            const char *name) {
    for (size_t i = 0; i < settings->n_added; i++)
        if (strcmp(settings->added[i].content, name) == 0) return settings->added[i].id;
    return wb_vocab_find(&tokenizer->vocab, name);
}

// Which specials go around the texts: post_processor's, else [CLS] and [SEP] by their names.
static wb_status lay_out(wb_tokenizer *tokenizer, const wb_tokenizer_settings *settings,
                         wb_error *err) {
    tokenizer->single = settings->single;
    tokenizer->pair = settings->pair;
    if (!settings->has_template) {
        const int32_t cls = find_special(tokenizer, settings, settings->cls);
        const int32_t sep = find_special(tokenizer, settings, settings->sep);
        if (cls < 0 || sep < 0)
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: the vocabulary has no %s", settings->dir,
                           cls < 0 ? settings->cls : settings->sep);
        tokenizer->single = (wb_template){.ids = {{cls}, {sep}}, .n = {1, 1}};
        tokenizer->pair = (wb_template){.ids = {{cls}, {sep}, {sep}}, .n = {1, 1, 1}};
    }
    for (int gap = 0; gap < 3; gap++)
        for (int i = 0; i < WB_TEMPLATE_MAX; i++)
            if (tokenizer->single.ids[gap][i] >= tokenizer->size ||
                tokenizer->pair.ids[gap][i] >= tokenizer->size)
                return wb_fail(err, WB_ERR_MODEL, 0,
                               "%s: post_processor has an id outside the vocabulary of %d",
                               settings->dir, tokenizer->size);
    return WB_OK;
}

// Borrows the texts of settings and copies all of them, so that the files can be closed afterwards.
static wb_status build(wb_tokenizer *tokenizer, wb_tokenizer_settings *settings, wb_error *err) {
    wb_status status = wb_normalizer_open(&tokenizer->normalizer, &settings->normalizer, err);
    if (!status)
        status =
            wb_vocab_open(&tokenizer->vocab, settings->pieces, settings->n_pieces, settings->prefix,
                          settings->unknown, settings->max_chars, settings->dir, err);
    if (status) return status;
    tokenizer->size = tokenizer->vocab.size;
    tokenizer->max_length = settings->max_length;
    number_added(tokenizer, settings);
    status = open_added(tokenizer, settings, false, err);
    if (!status) status = open_added(tokenizer, settings, true, err);
    if (!status && tokenizer->normalized.n > 0)
        status = wb_normalizer_open(&tokenizer->plain, &(wb_normalizer_options){0}, err);
    if (!status) status = lay_out(tokenizer, settings, err);
    return status;
}

wb_status wb_tokenizer_open(wb_tokenizer **out, const char *dir, wb_error *err) {
    *out = NULL;
    wb_tokenizer_settings settings;
    wb_status status = wb_settings_read(&settings, dir, err);
    if (status) return status;
    wb_tokenizer *tokenizer = wb_alloc_zeroed(sizeof *tokenizer);
    if (tokenizer)
        status = build(tokenizer, &settings, err);
    else
        status = wb_fail(err, WB_ERR_MEMORY, 0, "%s: tokenizer", dir);
    wb_settings_close(&settings);
    if (status) {
        wb_tokenizer_close(tokenizer);
        return status;
    }
    *out = tokenizer;
    return WB_OK;
}

void wb_tokenizer_close(wb_tokenizer *tokenizer) {
    if (!tokenizer) return;
    wb_normalizer_close(tokenizer->normalizer);
    wb_normalizer_close(tokenizer->plain);
    wb_vocab_close(&tokenizer->vocab);
    wb_added_close(&tokenizer->raw);
    wb_added_close(&tokenizer->normalized);
    wb_free(tokenizer);
}

int wb_tokenizer_size(const wb_tokenizer *tokenizer) {
    return tokenizer->size;
}

int wb_tokenizer_max_length(const wb_tokenizer *tokenizer) {
    return tokenizer->max_length;
}

// ---- Encoding ----

enum { CHUNK = 512 };  // bytes; all but 68 of 40,166 dev texts of SST-2 and MNLI are one chunk

static wb_status fail_text(size_t n_bytes, wb_error *err) {
    return wb_fail(err, WB_ERR_MEMORY, 0, "text: no memory to normalize %zu bytes of it", n_bytes);
}

// Bytes of text[n_bytes] that can be normalized by themselves: a space ends every word and every
// run of marks.
static size_t measure_chunk(const uint8_t *text, size_t n_bytes) {
    if (n_bytes <= CHUNK) return n_bytes;
    for (size_t end = CHUNK; end > 0; end--)
        if (text[end - 1] == ' ') return end;
    const uint8_t *space = memchr(text + CHUNK, ' ', n_bytes - CHUNK);
    return space ? (size_t)(space - text) + 1 : n_bytes;
}

// Appends the ids of text that holds no added tokens.
static wb_status encode_words(const wb_tokenizer *tokenizer, const wb_normalizer *normalizer,
                              const uint8_t *text, size_t n_bytes, wb_ids *out, wb_error *err) {
    // What wb_normalizer_capacity says of a chunk; only a stretch without spaces needs more.
    uint8_t room[6 * CHUNK + 16 + WB_WORDPIECE_SLACK];
    for (size_t at = 0; at < n_bytes && out->n < out->limit;) {
        const size_t n_chunk = measure_chunk(text + at, n_bytes - at);
        uint8_t *words = room;
        const size_t n_needed = wb_normalizer_capacity(n_chunk) + WB_WORDPIECE_SLACK;
        if (n_needed > sizeof room) words = wb_alloc(n_needed);
        if (!words) return fail_text(n_chunk, err);
        const size_t n_words = wb_normalizer_apply(normalizer, text + at, n_chunk, true, words);
        wb_wordpiece_run(&tokenizer->vocab, words, n_words, out);
        if (words != room) wb_free(words);
        at += n_chunk;
    }
    return WB_OK;
}

// Appends the ids of text that holds no tokens of the raw set. Where there are tokens to be found
// in normalized text, all of it is normalized first and split afterwards.
static wb_status encode_segment(const wb_tokenizer *tokenizer, const uint8_t *text, size_t n_bytes,
                                wb_ids *out, wb_error *err) {
    if (tokenizer->normalized.n == 0)
        return encode_words(tokenizer, tokenizer->normalizer, text, n_bytes, out, err);
    uint8_t *normal = wb_alloc(wb_normalizer_capacity(n_bytes));
    if (!normal) return fail_text(n_bytes, err);
    const size_t n_normal =
        wb_normalizer_apply(tokenizer->normalizer, text, n_bytes, false, normal);
    wb_added_scan scan = {0};
    wb_added_match match;
    wb_status status = WB_OK;
    while (!status && out->n < out->limit) {
        const size_t from = scan.taken;
        const bool is_found =
            wb_added_next(&tokenizer->normalized, normal, n_normal, &scan, &match);
        const size_t end = is_found ? match.start : n_normal;
        if (end > from)
            status = encode_words(tokenizer, tokenizer->plain, normal + from, end - from, out, err);
        if (!is_found) break;
        wb_ids_push(out, match.id);
    }
    wb_free(normal);
    return status;
}

// Appends the ids of a text without the specials around it. out->n ends above out->limit or exact.
static wb_status encode_text(const wb_tokenizer *tokenizer, const char *text, size_t n_bytes,
                             wb_ids *out, wb_error *err) {
    const uint8_t *bytes = (const uint8_t *)text;
    wb_added_scan scan = {0};
    wb_added_match match;
    wb_status status = WB_OK;
    while (!status && n_bytes > 0 && out->n < out->limit) {
        const size_t from = scan.taken;
        const bool is_found = wb_added_next(&tokenizer->raw, bytes, n_bytes, &scan, &match);
        const size_t end = is_found ? match.start : n_bytes;
        if (end > from) status = encode_segment(tokenizer, bytes + from, end - from, out, err);
        if (!is_found) break;
        wb_ids_push(out, match.id);
    }
    return status;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// What longest_first keeps of a pair in room: the longer text is cut first. Where both are cut,
// the one that was longer gets the odd token, of equals the second.
static void share_room(size_t room, size_t *n_a, size_t *n_b) {
    const bool is_a_longer = *n_a > *n_b;
    size_t *shorter = is_a_longer ? n_b : n_a, *longer = is_a_longer ? n_a : n_b;
    if (*shorter <= room / 2) {
        *longer = room - *shorter;
        return;
    }
    *shorter = room / 2;
    *longer = room - room / 2;
}

// Writes the specials of one gap to ids; returns where they end.
static int32_t *write_gap(const wb_template *layout, int gap, int32_t *ids) {
    for (int i = 0; i < layout->n[gap]; i++) *ids++ = layout->ids[gap][i];
    return ids;
}

typedef struct span {
    const char *text;
    size_t n_bytes;
} span;

// *n_a, *n_b <- how many ids of each text stay.
static wb_status cut_pair(const wb_tokenizer *tokenizer, const span *a, const span *b, size_t room,
                          size_t *n_a, size_t *n_b, wb_error *err) {
    wb_status status = WB_OK;
    // Counts above room were not finished, and which is larger decides where the odd id goes.
    if (*n_a > room && *n_b > room && room % 2) {
        wb_ids all_a = {.limit = SIZE_MAX}, all_b = {.limit = SIZE_MAX};
        status = encode_text(tokenizer, a->text, a->n_bytes, &all_a, err);
        if (!status) status = encode_text(tokenizer, b->text, b->n_bytes, &all_b, err);
        *n_a = all_a.n;
        *n_b = all_b.n;
    }
    if (!status) share_room(room, n_a, n_b);
    return status;
}

// a is written behind its specials and b behind a, as far as there is room: in most pairs that is
// all, and nothing is written twice.
static wb_status encode_pair(const wb_tokenizer *tokenizer, const span *a, const span *b,
                             size_t room, int32_t *ids, int *n_ids, wb_error *err) {
    const wb_template *layout = &tokenizer->pair;
    int32_t *ids_a = write_gap(layout, 0, ids);
    wb_ids out_a = {.ids = ids_a, .capacity = room, .limit = room + 1};
    wb_status status = encode_text(tokenizer, a->text, a->n_bytes, &out_a, err);
    if (status) return status;
    size_t n_a = out_a.n;
    int32_t *ids_b = write_gap(layout, 1, ids_a + least(n_a, room));
    wb_ids out_b = {.ids = ids_b, .capacity = room - least(n_a, room), .limit = room + 1};
    status = encode_text(tokenizer, b->text, b->n_bytes, &out_b, err);
    size_t n_b = out_b.n;
    if (!status && n_a + n_b > room) {
        // What a gives up, b was not stored for: it is encoded again, in its place. Rare.
        status = cut_pair(tokenizer, a, b, room, &n_a, &n_b, err);
        ids_b = write_gap(layout, 1, ids_a + n_a);
        out_b = (wb_ids){.ids = ids_b, .capacity = n_b, .limit = n_b};
        if (!status) status = encode_text(tokenizer, b->text, b->n_bytes, &out_b, err);
    }
    if (!status) *n_ids = (int)(write_gap(layout, 2, ids_b + n_b) - ids);
    return status;
}

wb_status wb_tokenizer_encode(const wb_tokenizer *tokenizer, const char *text, size_t n_bytes,
                              const char *pair, size_t pair_bytes, int max_length, int32_t *ids,
                              int *n_ids, wb_error *err) {
    *n_ids = 0;
    const wb_template *layout = pair ? &tokenizer->pair : &tokenizer->single;
    const int n_special = layout->n[0] + layout->n[1] + layout->n[2];
    if (max_length < 3 || max_length < n_special)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "max_length is %d, need at least %d for special tokens", max_length,
                       n_special > 3 ? n_special : 3);
    const size_t room = (size_t)(max_length - n_special);
    if (pair)
        return encode_pair(tokenizer, &(span){text, n_bytes}, &(span){pair, pair_bytes}, room, ids,
                           n_ids, err);
    int32_t *ids_a = write_gap(layout, 0, ids);
    wb_ids out = {.ids = ids_a, .capacity = room, .limit = room};
    const wb_status status = encode_text(tokenizer, text, n_bytes, &out, err);
    if (!status) *n_ids = (int)(write_gap(layout, 1, ids_a + least(out.n, room)) - ids);
    return status;
}
