// SPDX-License-Identifier: Apache-2.0
// config.json, broken: numbers out of range and of the wrong type, words that mean nothing,
// labels that do not count to n, and text that is no JSON.
#include <string.h>

#include "mutations.h"

static void set_value(folder *f, const char *key, const char *value) {
    bytes *config = folder_file_of(f, "config.json");
    const size_t first = find_text(config, find_text(config, 0, key), ": ") + 2;
    size_t end = first;
    while (config->data[end] != ',' && config->data[end] != '\n') end++;
    replace_bytes(config, first, end - first, value, strlen(value));
}

// "key": VALUE with every value that no dimension may have; one variant for each.
static void set_number(folder *f, const mutation *m, int variant) {
    static const char *const values[] = {
        "-1",          "0",     "8.5",   "8.0", "1e1",
        "99999999999", "1e999", "null",  "NaN", "-9223372036854775809",
        "[]",          "true",  "\"8\"", "{}",  "-",
        "0008",
    };
    set_value(f, m->find, values[variant]);
}
enum { N_NUMBERS = 16 };

// A number that is a legal int and still no dimension of this model.
static void set_other_number(folder *f, const mutation *m, int variant) {
    static const char *const values[] = {"7", "40"};
    set_value(f, m->find, values[variant]);
}

// number times put instead of the whole file, or behind find.
static void repeat(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *config = folder_file_of(f, "config.json");
    bytes many = {0};
    for (long long i = 0; i < m->number; i++) put_text(&many, m->put);
    const size_t at = m->find ? find_text(config, 0, m->find) : 0;
    replace_bytes(config, at, m->find ? 0 : config->n, many.data, many.n);
    clear_bytes(&many);
}

#define NUMBER(key) \
    { "number " key, SAFETENSORS, set_number, NULL, "\"" key "\"", NULL, key, 0, N_NUMBERS }
#define OTHER(key) \
    { "other " key, SAFETENSORS, set_other_number, NULL, "\"" key "\"", NULL, NULL, 0, 2 }
#define EDIT(name, find, put, expect) \
    { name, SAFETENSORS, edit_text, "config.json", find, put, expect, 0, 0 }
#define WHOLE(name, put, expect) \
    { name, TORCH, set_text, "config.json", NULL, put, expect, 0, 0 }

const mutation config_mutations[] = {
    NUMBER("dim"),
    NUMBER("hidden_dim"),
    NUMBER("max_position_embeddings"),
    NUMBER("n_heads"),
    NUMBER("n_layers"),
    NUMBER("vocab_size"),
    OTHER("dim"),
    OTHER("hidden_dim"),
    OTHER("max_position_embeddings"),
    OTHER("n_layers"),
    OTHER("vocab_size"),
    EDIT("heads do not divide", "\"n_heads\": 2", "\"n_heads\": 3", "multiple of n_heads"),
    EDIT("dim missing", "\"dim\"", "\"dimension\"", "768"),
    EDIT("dim twice", "\"dim\": 8", "\"dim\": 8, \"dim\": 8", "dim occurs twice"),
    EDIT("dim in two spellings", "\"dim\": 8", "\"dim\": 8, \"hidden_size\": 16",
         "hidden_size is 16"),
    EDIT("n_layers escaped twice", "\"n_layers\": 2", "\"n_layers\": 2, \"n\\u005flayers\": 2",
         "n_layers occurs twice"),
    EDIT("num_labels disagrees", "\"dim\": 8", "\"dim\": 8, \"num_labels\": 3", "num_labels"),
    EDIT("num_labels disagrees later", "\"vocab_size\"", "\"num_labels\": 3, \"vocab_size\"",
         "num_labels is 3"),
    EDIT("num_labels negative", "\"dim\": 8", "\"dim\": 8, \"num_labels\": -2", "num_labels"),
    EDIT("activation unknown", "\"gelu\"", "\"gelu_new\"", "gelu, relu and silu"),
    EDIT("activation is code", "\"gelu\"", "\"__import__('os').system('true')\"", "activation"),
    EDIT("activation a number", "\"gelu\"", "1", "activation is not a text"),
    EDIT("activation null", "\"gelu\"", "null", "activation is not a text"),
    EDIT("activation twice", "\"activation\"", "\"activation\": \"relu\", \"activation\"",
         "activation occurs twice"),
    EDIT("model_type bert", "\"distilbert\"", "\"bert\"", "model_type is \"bert\""),
    EDIT("model_type a list", "\"distilbert\"", "[\"distilbert\"]", "model_type is not a text"),
    EDIT("sinusoidal a number", "\"sinusoidal_pos_embds\": false", "\"sinusoidal_pos_embds\": 0",
         "sinusoidal_pos_embds is not true or false"),
    EDIT("problem unknown", "\"single_label_classification\"", "\"translation\"",
         "problem_type is \"translation\""),
    EDIT("problem a number", "\"single_label_classification\"", "3", "problem_type is not a text"),
    EDIT("label missing", "\"0\": \"NEGATIVE\",", "", "id2label has the key \"1\""),
    EDIT("label index too high", "\"1\": \"POSITIVE\"", "\"2\": \"POSITIVE\"", "the key \"2\""),
    EDIT("label index negative", "\"1\": \"POSITIVE\"", "\"-1\": \"POSITIVE\"", "the key \"-1\""),
    EDIT("label index padded", "\"1\": \"POSITIVE\"", "\"01\": \"POSITIVE\"", "the key \"01\""),
    EDIT("label index a word", "\"1\": \"POSITIVE\"", "\"one\": \"POSITIVE\"", "the key \"one\""),
    EDIT("label index empty", "\"1\": \"POSITIVE\"", "\"\": \"POSITIVE\"", "the key \"\""),
    EDIT("label index huge", "\"1\": \"POSITIVE\"", "\"4294967297\": \"POSITIVE\"", "4294967297"),
    EDIT("label twice", "\"1\": \"POSITIVE\"", "\"0\": \"POSITIVE\"", "the key \"0\""),
    EDIT("label a number", "\"POSITIVE\"\n", "7\n", "id2label has a value that is no text"),
    EDIT("label with a 0 byte", "\"POSITIVE\"\n", "\"POS\\u0000\"\n", "\\u0000"),
    EDIT("one label more", "\"1\": \"POSITIVE\"", "\"1\": \"POSITIVE\", \"2\": \"NEUTRAL\"",
         "tensor classifier.weight has the shape [2, 8], config.json wants [3, 8]"),
    EDIT("one label less", ",\n    \"1\": \"POSITIVE\"", "", "config.json wants [1, 8]"),
    EDIT("labels empty", "\"id2label\": {", "\"id2label\": {}, \"x\": {", "id2label has no label"),
    EDIT("labels a list", "\"id2label\": {", "\"id2label\": [], \"x\": {",
         "id2label is not an object"),
    EDIT("labels twice", "\"id2label\": {",
         "\"id2label\": {\"0\": \"A\", \"1\": \"B\"}, \"id2label\": {", "id2label occurs twice"),
    EDIT("comma missing", "\"dim\": 8,", "\"dim\": 8", "expected a comma"),
    EDIT("comma too many", "\"vocab_size\": 24", "\"vocab_size\": 24,", "expected a text"),
    EDIT("colon missing", "\"dim\": 8", "\"dim\" 8", "expected a colon"),
    EDIT("key not quoted", "\"dim\": 8", "dim: 8", "expected a text"),
    EDIT("comment", "\"dim\": 8", "// eight\n\"dim\": 8", "expected a text"),
    EDIT("single quotes", "\"gelu\"", "'gelu'", "activation is not a text"),
    EDIT("bad escape", "\"4.40.0\"", "\"\\x41\"", "unknown escape"),
    EDIT("half a surrogate", "\"4.40.0\"", "\"\\ud800\"", "surrogate"),
    EDIT("two high surrogates", "\"4.40.0\"", "\"\\ud800\\ud800\"", "surrogate"),
    EDIT("escape cut off", "\"4.40.0\"", "\"\\u12\"", "hexadecimal"),
    EDIT("control character", "\"4.40.0\"", "\"4.\n0\"", "control character"),
    EDIT("invalid UTF-8", "\"4.40.0\"", "\"\xff\"", "not UTF-8"),
    EDIT("overlong UTF-8", "\"4.40.0\"", "\"\xc0\xaf\"", "not UTF-8"),
    EDIT("surrogate in UTF-8", "\"4.40.0\"", "\"\xed\xa0\x80\"", "not UTF-8"),
    EDIT("word cut off", "\"tie_weights_\": true", "\"tie_weights_\": tru", "expected a value"),
    EDIT("infinity", "\"initializer_range\": 0.02", "\"initializer_range\": Infinity",
         "expected a value"),
    EDIT("number without digits", "\"initializer_range\": 0.02", "\"initializer_range\": 1.",
         "not a number"),
    WHOLE("config empty", "", "expected an object"),
    WHOLE("config spaces", "  \n", "expected an object"),
    WHOLE("config a list", "[1]", "expected an object"),
    WHOLE("config a number", "8", "expected an object"),
    WHOLE("config with byte order mark", "\xef\xbb\xbf{}", "expected an object"),
    WHOLE("config is HTML", "<!DOCTYPE html><html>404</html>", "expected an object"),
    WHOLE("config says nothing", "{}", "config.json wants [30522, 768]"),
    WHOLE("config is two", "{}{}", "something follows the end"),
    {"config and more", SAFETENSORS, append_text, "config.json", NULL, "x", "follows the end", 0,
     0},
    {"config cut", SAFETENSORS, cut_file, "config.json", NULL, NULL, "malformed JSON", 0, 12},
    {"config without end", SAFETENSORS, cut_at, "config.json", NULL, NULL, "malformed JSON", -2, 0},
    {"a megabyte of [", SAFETENSORS, repeat, NULL, NULL, "[", "expected an object", 1 << 20, 0},
    {"a megabyte of {\"a\":", SAFETENSORS, repeat, NULL, NULL, "{\"a\":", "64 levels", 1 << 18, 0},
    {"two megabytes of [ in a value", SAFETENSORS, repeat, NULL, "\"4.40.0\"", "[", "64 levels",
     2 << 20, 0},
    {"a megabyte of []", SAFETENSORS, repeat, NULL, "\"4.40.0\"", "[],", "expected a text", 1 << 18,
     0},
    {"an endless number", SAFETENSORS, repeat, NULL, "8,", "1", "dim", 1 << 20, 0},
    {"an endless text", SAFETENSORS, repeat, NULL, "\"4.40.0\"", "\"\\\"", "malformed JSON",
     1 << 18, 0},
    {"an endless key", SAFETENSORS, repeat, NULL, "dim\"", "k", "the text is too long", 1 << 18, 0},
    {0},
};
