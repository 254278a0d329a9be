// SPDX-License-Identifier: Apache-2.0
// Whole folders: what each file may say, what is refused and how, and the arithmetic around
// truncation. That ids equal Hugging Face's is tests/golden/tokenizer's part.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/tokenizer.h"

#define VOCAB "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##b\nA\n"
#define VOCAB_JSON \
    "\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"[MASK]\":4,\"a\":5,\"b\":6}"
#define MODEL "\"model\":{\"type\":\"WordPiece\"," VOCAB_JSON "}"
#define PRE "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
#define NORM(more) "\"normalizer\":{\"type\":\"BertNormalizer\"," more "}"
#define FLAGS "\"clean_text\":true,\"handle_chinese_chars\":true,\"lowercase\":true"

enum { N_FILES = 3 };
static const char *const names[N_FILES] = {"vocab.txt", "tokenizer.json", "tokenizer_config.json"};

// Opens a folder of the files given; NULL: that file is missing.
static wb_status open_folder(const char *const files[N_FILES], wb_tokenizer **tokenizer,
                             wb_error *err) {
    char dir[] = "/tmp/wattbert-tokenizer-XXXXXX", path[N_FILES][64];
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < N_FILES; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", dir, names[i]);
        if (!files[i]) continue;
        FILE *file = fopen(path[i], "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(files[i], 1, strlen(files[i]), file), strlen(files[i]));
        assert_int_equal(fclose(file), 0);
    }
    const wb_status status = wb_tokenizer_open(tokenizer, dir, err);
    for (int i = 0; i < N_FILES; i++) unlink(path[i]);
    assert_int_equal(rmdir(dir), 0);
    return status;
}

static void assert_ids(const wb_tokenizer *tokenizer, const char *text, const char *pair,
                       int max_length, const char *expected) {
    int32_t ids[512];
    int n_ids;
    wb_error err;
    assert_int_equal(wb_tokenizer_encode(tokenizer, text, strlen(text), pair,
                                         pair ? strlen(pair) : 0, max_length, ids, &n_ids, &err),
                     WB_OK);
    assert_true(n_ids <= max_length);
    char seen[4096] = "";
    size_t n = 0;
    for (int i = 0; i < n_ids; i++)
        n += (size_t)snprintf(seen + n, sizeof seen - n, "%s%d", i ? " " : "", ids[i]);
    assert_string_equal(seen, expected);
}

static const struct {
    const char *files[N_FILES];
    wb_status status;
    const char *says;
} bad_folders[] = {
    {{NULL, NULL, NULL}, WB_ERR_IO, "neither tokenizer.json nor vocab.txt"},
    {{"", NULL, NULL}, WB_ERR_MODEL, "empty vocabulary"},
    {{"a\n\xff\n", NULL, NULL}, WB_ERR_FORMAT, "not UTF-8 at byte 2"},
    {{"[CLS]\n[SEP]\n", NULL, NULL}, WB_ERR_MODEL, "no [UNK]"},
    {{"[UNK]\n[SEP]\n", NULL, NULL}, WB_ERR_MODEL, "no [CLS]"},
    {{"[UNK]\n[CLS]\n", NULL, NULL}, WB_ERR_MODEL, "no [SEP]"},
    {{VOCAB, "", NULL}, WB_ERR_FORMAT, "the file is empty"},
    {{VOCAB, "{", NULL}, WB_ERR_FORMAT, "not JSON, line 1"},
    {{VOCAB, "[]", NULL}, WB_ERR_FORMAT, "not a JSON object"},
    {{VOCAB, "{\"a\":\"\xff\"}", NULL}, WB_ERR_FORMAT, "unable to decode byte 0xff"},
    {{VOCAB, "{\"a\":\"\\ud800\"}", NULL}, WB_ERR_FORMAT, "not JSON"},
    {{VOCAB, "{}", NULL}, WB_ERR_MODEL, "pre_tokenizer.type"},
    {{VOCAB, "{" PRE "}", NULL}, WB_ERR_MODEL, "model.type"},
    {{VOCAB, "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," MODEL "}", NULL},
     WB_ERR_MODEL,
     "pre_tokenizer.type is \"ByteLevel\", only BertPreTokenizer"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"BPE\"}}", NULL},
     WB_ERR_MODEL,
     "model.type is \"BPE\""},
    {{VOCAB, "{" PRE ",\"model\":{\"vocab\":{\"a\":1},\"merges\":[]}}", NULL},
     WB_ERR_MODEL,
     "model.type"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"vocab\":[]}}", NULL},
     WB_ERR_MODEL,
     "model.vocab is no object"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":-1}}}", NULL},
     WB_ERR_MODEL,
     "\"a\" no valid id"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1073741824}}}", NULL},
     WB_ERR_MODEL,
     "\"a\" no valid id"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1.5}}}", NULL},
     WB_ERR_MODEL,
     "\"a\" no valid id"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1}}}", NULL},
     WB_ERR_MODEL,
     "no [UNK]"},
    {{VOCAB, "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"unk_token\":3," VOCAB_JSON "}}", NULL},
     WB_ERR_MODEL,
     "unk_token"},
    {{VOCAB,
      "{" PRE ",\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":-1," VOCAB_JSON "}}",
      NULL},
     WB_ERR_MODEL,
     "max_input_chars_per_word"},
    {{VOCAB, "{" PRE ",\"normalizer\":{\"type\":\"NFC\"}," MODEL "}", NULL},
     WB_ERR_MODEL,
     "normalizer.type is \"NFC\""},
    {{VOCAB,
      "{" PRE ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{"
      "\"type\":\"NFC\"}]}," MODEL "}",
      NULL},
     WB_ERR_MODEL,
     "normalizer.type is \"Sequence\""},
    {{VOCAB, "{" PRE "," NORM("\"clean_text\":true") "," MODEL "}", NULL},
     WB_ERR_MODEL,
     "normalizer.handle_chinese_chars"},
    {{VOCAB, "{" PRE "," NORM(FLAGS ",\"strip_accents\":1") "," MODEL "}", NULL},
     WB_ERR_MODEL,
     "normalizer.strip_accents"},
    {{VOCAB, "{" PRE ",\"added_tokens\":{}," MODEL "}", NULL},
     WB_ERR_MODEL,
     "added_tokens is no array"},
    {{VOCAB, "{" PRE ",\"added_tokens\":[{\"id\":1}]," MODEL "}", NULL},
     WB_ERR_MODEL,
     "added_tokens has no text"},
    {{VOCAB, "{" PRE ",\"added_tokens\":[{\"content\":\"x\",\"lstrip\":\"yes\"}]," MODEL "}", NULL},
     WB_ERR_MODEL,
     "\"x\" has a flag"},
    {{VOCAB,
      "{" PRE
      "," NORM(FLAGS) ",\"added_tokens\":[{\"content\":\"\u200b\",\"normalized\":true}]," MODEL "}",
      NULL},
     WB_ERR_MODEL,
     "nothing is left"},
    {{VOCAB, "{" PRE ",\"post_processor\":{\"type\":\"RobertaProcessing\"}," MODEL "}", NULL},
     WB_ERR_MODEL,
     "post_processor.type is \"RobertaProcessing\""},
    {{VOCAB,
      "{" PRE ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}," MODEL "}",
      NULL},
     WB_ERR_MODEL,
     "post_processor is not special tokens around A"},
    {{VOCAB,
      "{" PRE ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",9],\"cls\":[\"y\","
      "2]}," MODEL "}",
      NULL},
     WB_ERR_MODEL,
     "id outside the vocabulary of 7"},
    {{VOCAB, NULL, "{\"do_lower_case\":\"yes\"}"}, WB_ERR_MODEL, "do_lower_case is neither"},
    {{VOCAB, NULL, "{\"strip_accents\":0}"}, WB_ERR_MODEL, "strip_accents is neither"},
    {{VOCAB, NULL, "{\"model_max_length\":\"512\"}"},
     WB_ERR_MODEL,
     "model_max_length is no number"},
    {{VOCAB, NULL, "{\"model_max_length\":0}"}, WB_ERR_MODEL, "model_max_length is below 1"},
    {{VOCAB, NULL, "{\"truncation_side\":\"left\"}"}, WB_ERR_MODEL, "truncation_side is \"left\""},
    {{VOCAB, NULL, "{\"cls_token\":7}"}, WB_ERR_MODEL, "cls_token has no text"},
    {{VOCAB, NULL, "{\"cls_token\":\"<s>\"}"}, WB_ERR_MODEL, "no <s>"},
    {{VOCAB, NULL, "{\"added_tokens_decoder\":[]}"}, WB_ERR_MODEL, "added_tokens_decoder"},
    {{VOCAB, NULL, "nonsense"}, WB_ERR_FORMAT, "tokenizer_config.json: not JSON"},
};

static void bad_folders_give_one_clear_error(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_folders / sizeof *bad_folders; i++) {
        wb_tokenizer *tokenizer = (wb_tokenizer *)&tokenizer;
        wb_error err = {0};
        const wb_status status = open_folder(bad_folders[i].files, &tokenizer, &err);
        if (status != bad_folders[i].status || !strstr(err.message, bad_folders[i].says))
            fail_msg("case %zu, \"%s\": status %d, \"%s\"", i, bad_folders[i].says, status,
                     err.message);
        assert_null(tokenizer);
    }
}

static void endless_nesting_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 1 << 20 };
    char *json = malloc(DEPTH + 8);
    assert_non_null(json);
    strcpy(json, "{\"a\":");
    memset(json + 5, '[', DEPTH);
    json[5 + DEPTH] = 0;
    wb_tokenizer *tokenizer;
    wb_error err;
    const char *const files[N_FILES] = {VOCAB, json, NULL};
    assert_int_equal(open_folder(files, &tokenizer, &err), WB_ERR_FORMAT);
    assert_non_null(strstr(err.message, "depth"));
    free(json);
}

static const struct {
    const char *files[N_FILES];
    const char *text, *expected;
    int max_length;
} good_folders[] = {
    {{VOCAB, NULL, NULL}, "A ab [MASK]", "2 5 5 7 4 3", 0},
    {{VOCAB, NULL, "{}"}, "A", "2 5 3", 0},
    {{VOCAB, NULL, "{\"do_lower_case\":false,\"model_max_length\":128}"}, "A", "2 8 3", 128},
    {{VOCAB, NULL, "{\"do_lower_case\":null,\"model_max_length\":1000000000000000019884624838656}"},
     "A",
     "2 5 3",
     0},
    // tokenizer.json is asked, vocab.txt is not.
    {{"nothing", "{" PRE "," NORM(FLAGS) "," MODEL "}", NULL}, "A b", "2 5 6 3", 0},
    // Without a normalizer A stays A, and what the config states brings one back.
    {{NULL, "{" PRE "," MODEL "}", NULL}, "A b", "2 1 6 3", 0},
    {{NULL, "{" PRE "," MODEL "}", "{\"do_lower_case\":true}"}, "A\x01 b", "2 5 6 3", 0},
    {{NULL, "{" PRE "," NORM(FLAGS) "," MODEL "}", "{\"do_lower_case\":false}"}, "A", "2 1 3", 0},
    {{NULL, "{" PRE "," NORM(FLAGS) "," MODEL "}", "{\"strip_accents\":false}"},
     "\u00e1",
     "2 1 3",
     0},
    {{NULL, "{" PRE "," NORM(FLAGS ",\"strip_accents\":false") "," MODEL "}", NULL},
     "\u00e1",
     "2 1 3",
     0},
    {{NULL, "{" PRE "," NORM(FLAGS ",\"strip_accents\":false") "," MODEL "}",
      "{\"strip_accents\":null}"},
     "\u00e1",
     "2 5 3",
     0},
    // A special that is in no vocabulary is not looked for; an added one gets the next id.
    {{"[UNK]\n[CLS]\n[SEP]\na\n", NULL, NULL}, "a [MASK]", "1 3 0 0 0 2", 0},
    {{VOCAB, NULL, "{\"added_tokens_decoder\":{\"40\":{\"content\":\"<x>\"}}}"},
     "a<x>",
     "2 5 9 3",
     0},
    {{VOCAB, NULL, "{\"mask_token\":{\"content\":\"[MASK]\",\"lstrip\":true}}"},
     "a [MASK]",
     "2 5 4 3",
     0},
    {{VOCAB, NULL, "{\"cls_token\":\"a\",\"sep_token\":\"b\"}"}, "[CLS]", "5 1 1 1 6", 0},
    // The last of equal lines counts.
    {{VOCAB "a\n", NULL, NULL}, "a", "2 9 3", 0},
};

static void settings_come_from_the_file_that_states_them(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good_folders / sizeof *good_folders; i++) {
        wb_tokenizer *tokenizer;
        wb_error err;
        if (open_folder(good_folders[i].files, &tokenizer, &err))
            fail_msg("case %zu: %s", i, err.message);
        assert_ids(tokenizer, good_folders[i].text, NULL, 512, good_folders[i].expected);
        assert_int_equal(wb_tokenizer_max_length(tokenizer), good_folders[i].max_length);
        wb_tokenizer_close(tokenizer);
    }
}

static wb_tokenizer *open_plain(void) {
    static const char *const files[N_FILES] = {VOCAB, NULL, NULL};
    wb_tokenizer *tokenizer;
    assert_int_equal(open_folder(files, &tokenizer, NULL), WB_OK);
    assert_int_equal(wb_tokenizer_size(tokenizer), 9);
    return tokenizer;
}

static void too_short_a_length_is_the_callers_fault(void **state) {
    (void)state;
    wb_tokenizer *tokenizer = open_plain();
    int32_t ids[3];
    int n_ids = 7;
    assert_int_equal(wb_tokenizer_encode(tokenizer, "a", 1, NULL, 0, 2, ids, &n_ids, NULL),
                     WB_ERR_ARGUMENT);
    assert_int_equal(n_ids, 0);
    assert_int_equal(wb_tokenizer_encode(tokenizer, NULL, 0, NULL, 0, 3, ids, &n_ids, NULL), WB_OK);
    assert_int_equal(n_ids, 2);
    wb_tokenizer_close(tokenizer);
}

// One token at a time from the longer side, from the second of equals: longest_first as it was
// first written down, but for who gets the odd token.
static void cut_slowly(int room, int *n_a, int *n_b) {
    const bool was_a_longer = *n_a > *n_b;
    while (*n_a + *n_b > room) {
        if (*n_a > *n_b || (*n_a == *n_b && !was_a_longer))
            --*n_a;
        else
            --*n_b;
    }
}

static void pairs_are_cut_from_the_longer_side(void **state) {
    (void)state;
    wb_tokenizer *tokenizer = open_plain();
    enum { MOST = 14 };
    char a[2 * MOST + 1], b[2 * MOST + 1];
    for (int n_a = 0; n_a <= MOST; n_a++) {
        for (int n_b = 0; n_b <= MOST; n_b++) {
            for (int max_length = 3; max_length <= 20; max_length++) {
                a[0] = b[0] = 0;
                for (int i = 0; i < n_a; i++) strcat(a, "a ");
                for (int i = 0; i < n_b; i++) strcat(b, "b ");
                int keep_a = n_a, keep_b = n_b;
                cut_slowly(max_length - 3, &keep_a, &keep_b);
                char expected[256] = "2";
                for (int i = 0; i < keep_a; i++) strcat(expected, " 5");
                strcat(expected, " 3");
                for (int i = 0; i < keep_b; i++) strcat(expected, " 6");
                strcat(expected, " 3");
                assert_ids(tokenizer, a, b, max_length, expected);
            }
        }
    }
    wb_tokenizer_close(tokenizer);
}

// The text's own length must not show: chunks end at spaces, or nowhere.
static void long_texts_are_the_sum_of_their_words(void **state) {
    (void)state;
    wb_tokenizer *tokenizer = open_plain();
    enum { N_BYTES = 20000 };
    char *text = malloc(N_BYTES);
    int32_t *ids = malloc((N_BYTES + 2) * sizeof *ids);
    assert_true(text && ids);
    wb_random random = {.state = 11};
    for (int round = 0; round < 40; round++) {
        // From one space in 3 bytes to one in 3,000.
        const uint64_t rarity = 3u << (round % 11);
        int expected = 0, n_word = 0;
        for (int i = 0; i < N_BYTES; i++) {
            const bool is_space = wb_random_below(&random, rarity) == 0;
            const bool is_dot = !is_space && wb_random_below(&random, 40) == 0;
            text[i] = is_space ? ' ' : is_dot ? '.' : n_word == 0 ? 'a' : 'b';
            if (is_space || is_dot) {
                expected += n_word > 100 ? 1 : n_word;
                n_word = 0;
                expected += is_dot;
            } else {
                n_word++;
            }
        }
        expected += n_word > 100 ? 1 : n_word;
        int n_ids;
        assert_int_equal(
            wb_tokenizer_encode(tokenizer, text, N_BYTES, NULL, 0, N_BYTES + 2, ids, &n_ids, NULL),
            WB_OK);
        assert_int_equal(n_ids, expected + 2);
        // Cut short, it begins with the same ids.
        int32_t first[64];
        int n_first;
        assert_int_equal(
            wb_tokenizer_encode(tokenizer, text, N_BYTES, NULL, 0, 64, first, &n_first, NULL),
            WB_OK);
        assert_int_equal(n_first, n_ids < 64 ? n_ids : 64);
        assert_memory_equal(first, ids, (size_t)(n_first - 1) * sizeof *ids);
    }
    free(text);
    free(ids);
    wb_tokenizer_close(tokenizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_folders_give_one_clear_error),
        cmocka_unit_test(endless_nesting_is_refused),
        cmocka_unit_test(settings_come_from_the_file_that_states_them),
        cmocka_unit_test(too_short_a_length_is_the_callers_fault),
        cmocka_unit_test(pairs_are_cut_from_the_longer_side),
        cmocka_unit_test(long_texts_are_the_sum_of_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
