// SPDX-License-Identifier: Apache-2.0
// The table is two-level: code point >> 8 gives a block, the block gives what to do. Plain ASCII
// goes eight bytes at a time and never looks anything up.
#include <string.h>

#include "text/normalizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

// What to do with a code point. Values from N_KINDS on are indices of expansions.
enum {
    COPY,      // an ordinary letter
    SPACE,     // white space
    PUNCT,     // a word of its own
    CHINESE,   // a word of its own, by spaces around it
    DROP,      // nothing is written
    BOUNDARY,  // nothing is written, but a run of floating marks ends here
    FLOATING,  // a mark that stays and takes its place in canonical order
    HANGUL,    // a syllable to be taken apart
    N_KINDS
};

enum { BLOCK = 256, N_PAGES = 0x110000 / BLOCK };

typedef struct expansion {
    uint32_t to[WB_UNICODE_MAX];
    uint8_t kind[WB_UNICODE_MAX];
    uint8_t n;
} expansion;

struct wb_normalizer {
    wb_normalizer_options options;
    uint16_t pages[N_PAGES];    // indices of blocks
    uint16_t (*blocks)[BLOCK];  // block k < N_KINDS is k everywhere and shared
    size_t n_blocks, block_capacity;
    expansion *expansions;
    size_t n_expansions, expansion_capacity;
};

// ---- Building ----

// The order of these tests is the order of Hugging Face's steps: what cleaning drops is never
// spaced, what is spaced as Chinese is never looked at as punctuation. A space counts as one even
// without cleaning, because words are split there later.
static int kind_of(const wb_normalizer_options *options, wb_unicode_class class) {
    if (options->clean_text && class.flags & WB_UNICODE_DROP) return DROP;
    if (class.flags & WB_UNICODE_SPACE) return SPACE;
    if (options->chinese_chars && class.flags & WB_UNICODE_CHINESE) return CHINESE;
    if (options->strip_accents && class.flags & WB_UNICODE_MARK)
        return class.order ? DROP : BOUNDARY;
    if (class.flags & WB_UNICODE_PUNCT) return PUNCT;
    return options->strip_accents && class.order ? FLOATING : COPY;
}

// Gives page a block of its own, equal to the one it shares.
static bool own_block(wb_normalizer *normalizer, uint32_t page) {
    if (normalizer->pages[page] >= N_KINDS) return true;
    if (normalizer->n_blocks == normalizer->block_capacity) {
        const size_t doubled = 2 * normalizer->block_capacity;
        void *grown = wb_realloc_array(normalizer->blocks, normalizer->n_blocks, doubled,
                                       sizeof *normalizer->blocks);
        if (!grown) return false;
        normalizer->blocks = grown;
        normalizer->block_capacity = doubled;
    }
    memcpy(normalizer->blocks[normalizer->n_blocks], normalizer->blocks[normalizer->pages[page]],
           sizeof *normalizer->blocks);
    normalizer->pages[page] = (uint16_t)normalizer->n_blocks++;
    return true;
}

// Whole pages keep sharing a block: private use and the ideographs are most of Unicode and cost
// nothing.
static bool set_range(wb_normalizer *normalizer, uint32_t first, uint32_t last, int value) {
    for (uint32_t code = first; code <= last;) {
        const uint32_t page = code / BLOCK;
        const uint32_t end = (page + 1) * BLOCK - 1 < last ? (page + 1) * BLOCK : last + 1;
        if (end - code == BLOCK && normalizer->pages[page] < N_KINDS && value < N_KINDS) {
            normalizer->pages[page] = (uint16_t)value;
        } else {
            if (!own_block(normalizer, page)) return false;
            uint16_t *block = normalizer->blocks[normalizer->pages[page]];
            for (uint32_t i = code; i < end; i++) block[i % BLOCK] = (uint16_t)value;
        }
        code = end;
    }
    return true;
}

static int look_up(const wb_normalizer *normalizer, uint32_t code) {
    return normalizer->blocks[normalizer->pages[code / BLOCK]][code % BLOCK];
}

// Enters what code becomes, unless it is itself or already entered.
static bool add_expansion(wb_normalizer *normalizer, uint32_t code) {
    const wb_normalizer_options *options = &normalizer->options;
    const int kind = kind_of(options, wb_unicode_classify(code));
    if (look_up(normalizer, code) >= N_KINDS || kind == DROP) return true;
    if (kind == SPACE && options->clean_text) return true;  // ' ' before it is ever decomposed

    uint32_t bare[WB_UNICODE_MAX] = {code};
    const int n_bare = options->strip_accents ? wb_unicode_strip(code, bare) : 1;
    expansion *e = &normalizer->expansions[normalizer->n_expansions];
    e->n = 0;
    for (int i = 0; i < n_bare; i++) {
        uint32_t lower[2] = {bare[i]};
        const int n_lower = options->lowercase ? wb_unicode_lower(bare[i], lower) : 1;
        for (int k = 0; k < n_lower; k++) {
            e->to[e->n] = lower[k];
            // A Chinese character is spaced before it is decomposed, into what may be in no
            // Chinese range.
            e->kind[e->n++] =
                (uint8_t)(kind == CHINESE ? CHINESE
                                          : kind_of(options, wb_unicode_classify(lower[k])));
        }
    }
    if (e->n == 1 && e->to[0] == code) return true;
    return set_range(normalizer, code, code, N_KINDS + (int)normalizer->n_expansions++);
}

// First what every code point is, then over it what some become.
static bool build(wb_normalizer *normalizer) {
    const wb_normalizer_options *options = &normalizer->options;
    for (size_t i = 0; i < wb_unicode_n_classes; i++) {
        const wb_unicode_class *class = &wb_unicode_classes[i];
        if (!set_range(normalizer, class->first, class->last, kind_of(options, *class)))
            return false;
    }
    if (options->strip_accents) {
        if (!set_range(normalizer, WB_HANGUL_FIRST, WB_HANGUL_LAST, HANGUL)) return false;
        for (size_t i = 0; i < wb_unicode_n_bares; i++)
            if (!add_expansion(normalizer, wb_unicode_bares[i].from)) return false;
    }
    if (!options->lowercase) return true;
    for (size_t i = 0; i < wb_unicode_n_cases; i++) {
        const wb_unicode_case *range = &wb_unicode_cases[i];
        for (uint32_t code = range->first; code <= range->last; code += range->step)
            if (!add_expansion(normalizer, code)) return false;
    }
    return add_expansion(normalizer, 0x130);  // the one lower case of two code points
}

// An upper bound of the expansions: every decomposition and every lower case.
static size_t count_expansions(void) {
    size_t n = wb_unicode_n_bares + 1;
    for (size_t i = 0; i < wb_unicode_n_cases; i++)
        n += (wb_unicode_cases[i].last - wb_unicode_cases[i].first) / wb_unicode_cases[i].step + 1;
    return n;
}

wb_status wb_normalizer_open(wb_normalizer **out, const wb_normalizer_options *options,
                             wb_error *err) {
    *out = NULL;
    enum { FIRST_BLOCKS = 128 };  // all options on need 113
    wb_normalizer *normalizer = wb_alloc_zeroed(sizeof *normalizer);
    if (!normalizer) return wb_fail(err, WB_ERR_MEMORY, 0, "normalizer: no memory for its tables");
    normalizer->options = *options;
    normalizer->block_capacity = FIRST_BLOCKS;
    normalizer->blocks = wb_alloc_array(FIRST_BLOCKS, sizeof *normalizer->blocks);
    normalizer->expansion_capacity = count_expansions();
    normalizer->expansions =
        wb_alloc_array(normalizer->expansion_capacity, sizeof *normalizer->expansions);
    bool is_built = normalizer->blocks && normalizer->expansions;
    if (is_built) {
        normalizer->n_blocks = N_KINDS;
        for (int kind = 0; kind < N_KINDS; kind++)
            for (int i = 0; i < BLOCK; i++) normalizer->blocks[kind][i] = (uint16_t)kind;
        is_built = build(normalizer);
    }
    if (!is_built) {
        wb_normalizer_close(normalizer);
        return wb_fail(err, WB_ERR_MEMORY, 0, "normalizer: no memory for its tables");
    }
    *out = normalizer;
    return WB_OK;
}

void wb_normalizer_close(wb_normalizer *normalizer) {
    if (!normalizer) return;
    wb_free(normalizer->blocks);
    wb_free(normalizer->expansions);
    wb_free(normalizer);
}

// ---- Applying ----

typedef struct writer {
    const wb_normalizer *normalizer;
    uint8_t *out;
    size_t n_out;
    size_t run;  // where the open run of floating marks begins, if has_run
    bool has_run, for_words;
} writer;

// A byte becomes at most three (U+0DDD decomposes into three times its bytes, a bad byte into
// U+FFFD); sorting a run needs a copy of it behind.
size_t wb_normalizer_capacity(size_t n_bytes) {
    return 6 * n_bytes + 16;
}

// Canonical ordering: a stable sort by combining class, one pass per class that occurs (six at
// most among the marks that stay).
static void sort_run(writer *w) {
    w->has_run = false;
    const size_t n_bytes = w->n_out - w->run;
    if (n_bytes <= WB_UTF8_MAX && wb_utf8_count(w->out + w->run, n_bytes) == 1) return;
    const uint8_t *copy = memcpy(w->out + w->n_out, w->out + w->run, n_bytes);
    size_t written = w->run;
    int done = 0;
    while (written < w->n_out) {
        int next = UINT8_MAX + 1;
        size_t n_used = 0;
        // The smallest class above those done, then all that have it.
        for (size_t at = 0; at < n_bytes; at += n_used) {
            const int order =
                wb_unicode_classify(wb_utf8_decode(copy + at, n_bytes - at, &n_used)).order;
            if (order > done && order < next) next = order;
        }
        for (size_t at = 0; at < n_bytes; at += n_used) {
            const int order =
                wb_unicode_classify(wb_utf8_decode(copy + at, n_bytes - at, &n_used)).order;
            if (order != next) continue;
            memcpy(w->out + written, copy + at, n_used);
            written += n_used;
        }
        done = next;
    }
}

// Writes one code point of the output. Everything but a floating mark ends the run of those; a
// dropped mark (DROP) does not, because ordering comes before dropping and it moves within the run.
static void put(writer *w, uint32_t code, int kind) {
    if (kind == DROP) return;
    if (kind == FLOATING) {
        if (!w->has_run) w->run = w->n_out;
        w->has_run = true;
    } else if (w->has_run) {
        sort_run(w);
    }
    if (kind == BOUNDARY) return;
    if (kind == SPACE && (w->for_words || w->normalizer->options.clean_text)) code = ' ';
    const bool is_spaced = kind == CHINESE || (kind == PUNCT && w->for_words && code >= 0x80);
    if (is_spaced) w->out[w->n_out++] = ' ';
    w->n_out += wb_utf8_encode(code, w->out + w->n_out);
    if (is_spaced) w->out[w->n_out++] = ' ';
}

// Writes what one code point of the input becomes.
static void put_any(writer *w, uint32_t code) {
    const wb_normalizer *normalizer = w->normalizer;
    const int what = look_up(normalizer, code);
    if (what >= N_KINDS) {
        const expansion *e = &normalizer->expansions[what - N_KINDS];
        for (int i = 0; i < e->n; i++) put(w, e->to[i], e->kind[i]);
    } else if (what == HANGUL) {
        uint32_t jamo[WB_UNICODE_MAX];
        const int n = wb_unicode_strip(code, jamo);
        for (int i = 0; i < n; i++) put(w, jamo[i], COPY);
    } else {
        put(w, code, what);
    }
}

// Eight bytes as one number, the first lowest; missing ones are 0. Compilers make it one load.
static inline uint64_t load_8(const uint8_t *text, size_t n_bytes) {
    uint64_t value = 0;
    if (n_bytes >= 8) {
        for (int i = 0; i < 8; i++) value |= (uint64_t)text[i] << 8 * i;
        return value;
    }
    for (size_t i = 0; i < n_bytes; i++) value |= (uint64_t)text[i] << 8 * i;
    return value;
}

static inline void store_8(uint8_t *out, uint64_t value) {
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(value >> 8 * i);
}

// Printable ASCII needs no table in any mode: space, punctuation and letters stay, or are lowered.
// Returns how many bytes of it text begins with, all written; may write 7 bytes more.
static size_t copy_ascii(const uint8_t *text, size_t n_bytes, bool lowercase, uint8_t *out) {
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    for (size_t at = 0; at < n_bytes; at += 8) {
        const uint64_t bytes = load_8(text + at, n_bytes - at);
        // Bit 7 of each byte: is it not ASCII, below ' ', or 0x7f? Carries reach only bytes
        // above one that is not ASCII.
        const uint64_t is_other = (bytes | ~(bytes + 0x60 * ones) | (bytes + ones)) & tops;
        const uint64_t is_upper = ((bytes + 0x3F * ones) ^ (bytes + 0x25 * ones)) & tops;
        store_8(out + at, lowercase ? bytes | is_upper >> 2 : bytes);
        if (is_other) return at + (size_t)__builtin_ctzll(is_other) / 8;
    }
    return n_bytes;
}

size_t wb_normalizer_apply(const wb_normalizer *normalizer, const uint8_t *text, size_t n_bytes,
                           bool for_words, uint8_t *out) {
    writer w = {.normalizer = normalizer, .out = out, .for_words = for_words};
    size_t at = 0;
    while (at < n_bytes) {
        // With a run open the next character goes the slow way, which closes it.
        if (text[at] < 0x80 && !w.has_run) {
            const size_t n_plain =
                copy_ascii(text + at, n_bytes - at, normalizer->options.lowercase, w.out + w.n_out);
            w.n_out += n_plain;
            at += n_plain;
            if (at == n_bytes) break;
        }
        size_t n_used;
        const uint32_t code = wb_utf8_decode(text + at, n_bytes - at, &n_used);
        put_any(&w, code);
        at += n_used;
    }
    if (w.has_run) sort_run(&w);
    return w.n_out;
}
