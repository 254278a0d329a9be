// SPDX-License-Identifier: Apache-2.0
// Every code point alone, inside a word, after and before a letter and between marks, under all 16
// sets of options: the normalized text and the words it splits into must have the digests of
// Hugging Face's package. The ids too, where the shared folder has the vocabulary of 30,522 pieces.
#include "golden.h"
#include "text/normalizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"
#include "text/wordpiece.h"

enum { GROUP = 1024, LINE_BYTES = 64, TEXT_BYTES = GROUP * LINE_BYTES, N_OPTIONS = 16 };

typedef struct checker {
    golden_crc crc;
    wb_normalizer *normalizers[N_OPTIONS];
    wb_vocab splitter;        // only its kinds of bytes are used
    wb_tokenizer *tokenizer;  // NULL without the shared folder
    uint8_t *text, *normal;
    int32_t *ids;
} checker;

// The same order of options as itertools.product((True, False), repeat=4).
static wb_normalizer_options options_at(int index) {
    return (wb_normalizer_options){.clean_text = !(index & 8),
                                   .chinese_chars = !(index & 4),
                                   .strip_accents = !(index & 2),
                                   .lowercase = !(index & 1)};
}

// As contexts() of the tool that made the digests, with ~ for the code point: less in the planes
// that hold nothing but ideographs, private use and nothing.
static size_t write_group(uint32_t first, uint8_t *text) {
    const bool is_plain = first >= 0x20000 && first >> 16 != 14;
    // U+1D165 and U+302E: marks that stay, of different classes.
    const char *const form = is_plain ? "~ a~b\n"
                                      : "~ a~b a~ ~a a\xF0\x9D\x85\xA5~\xE3\x80\xAE"
                                        "b\n";
    size_t n = 0;
    for (uint32_t code = first; code < first + GROUP; code++) {
        if (code >= 0xD800 && code < 0xE000) continue;
        for (const char *c = form; *c; c++) {
            if (*c == '~')
                n += wb_utf8_encode(code, text + n);
            else
                text[n++] = (uint8_t)*c;
        }
    }
    return n;
}

static uint32_t add_words(checker *c, uint32_t so_far, size_t n_bytes) {
    c->normal[n_bytes] = ' ';
    size_t at = 0;
    for (;;) {
        const size_t end = wb_word_next(&c->splitter, c->normal, n_bytes, &at);
        if (end == at) return so_far;
        so_far = golden_crc_add(&c->crc, so_far, c->normal + at, end - at);
        so_far = golden_crc_add(&c->crc, so_far, "\n", 1);
        at = end;
    }
}

// Returns the number of digests that differ, 0 to 3.
static int check_group(checker *c, uint32_t first, const uint32_t expected[3]) {
    const size_t n_text = write_group(first, c->text);
    uint32_t digests[3] = {0};
    for (int i = 0; i < N_OPTIONS; i++) {
        size_t n = wb_normalizer_apply(c->normalizers[i], c->text, n_text, false, c->normal);
        digests[0] = golden_crc_add(&c->crc, digests[0], c->normal, n);
        n = wb_normalizer_apply(c->normalizers[i], c->text, n_text, true, c->normal);
        digests[1] = add_words(c, digests[1], n);
    }
    int n_ids = 0;
    if (c->tokenizer && wb_tokenizer_encode(c->tokenizer, (const char *)c->text, n_text, NULL, 0,
                                            TEXT_BYTES, c->ids, &n_ids, NULL) == WB_OK)
        digests[2] = golden_crc_add_ids(&c->crc, 0, c->ids, n_ids);
    int n_wrong = 0;
    static const char *const names[] = {"text", "words", "ids"};
    for (int i = 0; i < (c->tokenizer ? 3 : 2); i++) {
        if (digests[i] == expected[i]) continue;
        n_wrong++;
        printf("U+%04X to U+%04X: %s have digest %08x, want %08x\n", first, first + GROUP - 1,
               names[i], digests[i], expected[i]);
    }
    return n_wrong;
}

static bool open_checker(checker *c) {
    wb_error err = {0};
    *c = (checker){.crc = golden_crc_make()};
    for (int i = 0; i < N_OPTIONS; i++) {
        const wb_normalizer_options options = options_at(i);
        if (wb_normalizer_open(&c->normalizers[i], &options, &err)) return false;
    }
    wb_piece unknown = {.text = (const uint8_t *)"[UNK]", .n_bytes = 5};
    if (wb_vocab_open(&c->splitter, &unknown, 1, "##", "[UNK]", 100, "test", &err)) return false;
    c->text = wb_alloc(TEXT_BYTES);
    c->normal = wb_alloc(wb_normalizer_capacity(TEXT_BYTES) + WB_WORDPIECE_SLACK);
    c->ids = wb_alloc_array(TEXT_BYTES, sizeof *c->ids);
    char path[4096];
    // A folder with vocab.txt and tokenizer.json and no config: BERT's own settings.
    if (golden_find_shared(path, sizeof path, "models/parts") &&
        wb_tokenizer_open(&c->tokenizer, path, &err)) {
        printf("%s\n", err.message);
        return false;
    }
    return c->text && c->normal && c->ids;
}

static void close_checker(checker *c) {
    for (int i = 0; i < N_OPTIONS; i++) wb_normalizer_close(c->normalizers[i]);
    wb_vocab_close(&c->splitter);
    wb_tokenizer_close(c->tokenizer);
    wb_free(c->text);
    wb_free(c->normal);
    wb_free(c->ids);
}

int main(void) {
    checker c;
    int n_groups = 0, n_wrong = 0;
    FILE *digests = fopen(WB_SOURCE_DIR "/tests/golden/tokenizer/codepoints.tsv", "r");
    const bool is_open = open_checker(&c) && digests;
    char line[256];
    while (is_open && golden_read_line(digests, line, sizeof line)) {
        uint32_t first, expected[3];
        if (sscanf(line, "%x\t%x\t%x\t%x", &first, &expected[0], &expected[1], &expected[2]) != 4)
            break;
        n_wrong += check_group(&c, first, expected);
        n_groups++;
    }
    if (digests) fclose(digests);
    close_checker(&c);
    printf("%d of %d groups of %d code points checked, %d digests differ\n", n_groups,
           0x110000 / GROUP, GROUP, n_wrong);
    return n_wrong > 0 || n_groups != 0x110000 / GROUP;
}
