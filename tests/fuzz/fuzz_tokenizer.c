// SPDX-License-Identifier: Apache-2.0
// Any bytes as text, under settings that the first byte chooses: ids in range, a shorter
// max_length gives a prefix, and a text cut at a space is the sum of its parts.
#include "tokenizer_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

// Pieces for every kind of character, specials that strip, and one that is normalized.
static const char form[] =
    "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":%s,\"handle_chinese_chars\":%s,"
    "\"strip_accents\":%s,\"lowercase\":%s},"
    "\"added_tokens\":[{\"content\":\"[SEP]\"},{\"content\":\"[M]\",\"lstrip\":%s,\"rstrip\":%s},"
    "{\"content\":\"<w>\",\"single_word\":true},{\"content\":\"N\u00c9w\",\"normalized\":%s}],"
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##"
    "\","
    "\"max_input_chars_per_word\":20,\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##"
    "a\":4,"
    "\"b\":5,\"##b\":6,\"ab\":7,\"##ab\":8,\"\u00e9\":9,\"##\u00e9\":10,\"\u4e2d\":11,\"##\u4e2d\":"
    "12,"
    "\"\u302e\":13,\"##\u302e\":14,\"##\u1b44\":15,\"\u1100\":16,\"##\u1161\":17,\".\":18,"
    "\"\u2014\":19,"
    "\"e\":20,\"##e\":21,\"i\":22,\"##\u0307\":23}}}";

enum { N_SETTINGS = 128, MOST_IDS = 1 << 16 };

static wb_tokenizer *open_tokenizer(int settings) {
    const char *flags[7];
    for (int i = 0; i < 7; i++) flags[i] = settings >> i & 1 ? "true" : "false";
    char json[2048];
    const int n = snprintf(json, sizeof json, form, flags[0], flags[1], flags[2], flags[3],
                           flags[4], flags[5], flags[6]);
    wb_tokenizer *tokenizer;
    if (fuzz_open_tokenizer(&tokenizer, "tokenizer.json", json, (size_t)n)) abort();
    return tokenizer;
}

// Tokens that strip white space, or hold letters that are normalized, reach over a space.
static void check_cut(const wb_tokenizer *tokenizer, const uint8_t *text, size_t n_bytes,
                      const int32_t *whole, int n_whole) {
    static int32_t parts[MOST_IDS];
    const uint8_t *space = memchr(text, ' ', n_bytes);
    if (!space) return;
    const size_t cut = (size_t)(space - text);
    // [CLS] a [SEP], then [SEP] is overwritten by what [CLS] b [SEP] has after its [CLS].
    const int n_first = fuzz_encode(tokenizer, text, cut, NULL, 0, MOST_IDS / 2, parts);
    const int32_t kept = parts[n_first - 2];
    const int n_second =
        fuzz_encode(tokenizer, space, n_bytes - cut, NULL, 0, MOST_IDS / 2, parts + n_first - 2);
    parts[n_first - 2] = kept;
    if (n_first == 2) parts[0] = whole[0];
    if (n_first + n_second - 2 != n_whole ||
        memcmp(parts, whole, (size_t)n_whole * sizeof *whole) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    static wb_tokenizer *tokenizers[N_SETTINGS];
    static int32_t whole[MOST_IDS], cut[MOST_IDS];
    if (n_bytes < 2 || n_bytes > MOST_IDS / 8) return 0;
    const int settings = data[0] % N_SETTINGS, max_length = 3 + data[1] % 32;
    if (!tokenizers[settings]) tokenizers[settings] = open_tokenizer(settings);
    const wb_tokenizer *tokenizer = tokenizers[settings];
    data += 2;
    n_bytes -= 2;

    const int n_whole = fuzz_encode(tokenizer, data, n_bytes, NULL, 0, MOST_IDS, whole);
    const int n_cut = fuzz_encode(tokenizer, data, n_bytes, NULL, 0, max_length, cut);
    if (n_cut != (n_whole < max_length ? n_whole : max_length)) abort();
    if (memcmp(whole, cut, (size_t)(n_cut - 1) * sizeof *cut) != 0) abort();
    if (!(settings & 0x30)) check_cut(tokenizer, data, n_bytes, whole, n_whole);

    const size_t half = n_bytes / 2;
    fuzz_encode(tokenizer, data, half, data + half, n_bytes - half, max_length, cut);
    return 0;
}
