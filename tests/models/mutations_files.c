// SPDX-License-Identifier: Apache-2.0
// Shards and their index, broken; files missing or no files; and what only a tokenizer sees.
#include <string.h>

#include "mutations.h"

static const char st_index[] = "model.safetensors.index.json";
static const char pt_index[] = "pytorch_model.bin.index.json";

// The names that reach outside the folder, for the second shard.
static void set_shard_name(folder *f, const mutation *m, int variant) {
    static const char *const names[] = {
        "/etc/passwd", "../model.safetensors", "..",      ".",      "", "sub/model.safetensors",
        "..\\\\model", "./config.json",        ".hidden", "a/../b",
    };
    bytes *index = folder_file_of(f, m->file);
    const size_t at = find_text(index, 0, m->find);
    replace_bytes(index, at, strlen(m->find), names[variant], strlen(names[variant]));
}
enum { N_SHARD_NAMES = 10 };

// An index of number tensors or shards that are not there.
static void many_entries(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *index = folder_add(f, st_index);
    put_text(index, "{\"weight_map\":{");
    for (long long i = 0; i < m->number; i++) {
        put_format(index, "%s\"t%llx\":\"s", i ? "," : "", i);
        put_format(index, m->put[0] == 's' ? "%llx\"" : "\"", i);
    }
    put_text(index, "}}");
}

static void remove_file(folder *f, const mutation *m, int variant) {
    (void)variant;
    folder_remove(f, m->file);
}

static void make_directory(folder *f, const mutation *m, int variant) {
    (void)variant;
    folder_add(f, m->file);
    f->files[f->n - 1].is_directory = true;
}

// A named pipe that nobody writes to: opening it must not wait.
static void make_pipe(folder *f, const mutation *m, int variant) {
    (void)variant;
    folder_add(f, m->file);
    f->files[f->n - 1].is_pipe = true;
}

// The first shard's bytes become the second's.
static void exchange_shard(folder *f, const mutation *m, int variant) {
    (void)variant;
    const bytes *other = folder_file_of(f, m->put);
    bytes copy = {0};
    put(&copy, other->data, other->n);
    clear_bytes(folder_weights(f));
    *folder_weights(f) = copy;
}

static void repeat_text(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_add(f, m->file);
    for (long long i = 0; i < m->number; i++) put_text(file, m->put);
}

#define INDEX(name, find, put, expect) \
    { name, SAFETENSORS_SHARDS, edit_text, st_index, find, put, expect, 0, 0 }
#define WHOLE(name, put, expect) \
    { name, SAFETENSORS_SHARDS, set_text, st_index, NULL, put, expect, 0, 0 }

const mutation index_mutations[] = {
    {"a shard outside the folder", SAFETENSORS_SHARDS, set_shard_name, st_index,
     "model-00002-of-00002.safetensors", NULL, "only files of the same folder", 0, N_SHARD_NAMES},
    {"a torch shard outside the folder", TORCH_SHARDS, set_shard_name, pt_index,
     "pytorch_model-00002-of-00002.bin", NULL, "only files of the same folder", 0, N_SHARD_NAMES},
    {"a shard missing", SAFETENSORS_SHARDS, remove_file, "model-00002-of-00002.safetensors", NULL,
     NULL, "No such file", 0, 0},
    {"a torch shard missing", TORCH_SHARDS, remove_file, "pytorch_model-00001-of-00002.bin", NULL,
     NULL, "No such file", 0, 0},
    {"a shard is another's copy", SAFETENSORS_SHARDS, exchange_shard, NULL, NULL,
     "model-00002-of-00002.safetensors", "does not place tensor", 0, 0},
    {"a shard cut", SAFETENSORS_SHARDS, cut_file, "model-00001-of-00002.safetensors", NULL, NULL,
     NULL, 0, 4},
    {"a torch shard cut", TORCH_SHARDS, cut_file, "pytorch_model-00002-of-00002.bin", NULL, NULL,
     NULL, 0, 4},
    {"a shard is the index", SAFETENSORS_SHARDS, edit_text, st_index,
     "model-00002-of-00002.safetensors", "model.safetensors.index.json", "states a header", 0, 0},
    {"index cut", SAFETENSORS_SHARDS, cut_file, st_index, NULL, NULL, "malformed JSON", 0, 8},
    INDEX("index names one tensor more", "\"weight_map\": {",
          "\"weight_map\": {\"extra\": \"model-00001-of-00002.safetensors\",",
          "extra is not in its shard"),
    INDEX("index names one tensor twice", "\"weight_map\": {",
          "\"weight_map\": {\"classifier.bias\": \"model-00002-of-00002.safetensors\",",
          "names the tensor classifier.bias twice"),
    INDEX("index lacks a tensor", "\"classifier.bias\"", "\"classifier.bios\"",
          "does not place tensor classifier.bias"),
    INDEX("index places a tensor wrong", "\"distilbert.embeddings.LayerNorm.bias\": \"model-00002",
          "\"distilbert.embeddings.LayerNorm.bias\": \"model-00001", "does not place tensor"),
    INDEX("a shard of a number", "\"model-00002-of-00002.safetensors\"", "2", "expected a text"),
    INDEX("a shard with a 0 byte", "model-00002-of-00002.safetensors",
          "model-00002-of-00002.safetensors\\u0000", "\\u0000"),
    INDEX("two weight_maps", "\"metadata\": {", "\"weight_map\": {}, \"metadata\": {",
          "weight_map occurs twice"),
    INDEX("weight_map a list", "\"weight_map\": {", "\"weight_map\": [], \"x\": {",
          "expected an object"),
    INDEX("no weight_map", "\"weight_map\"", "\"weight_mop\"", "has no weight_map"),
    WHOLE("index empty", "", "expected an object"),
    WHOLE("index says nothing", "{}", "has no weight_map"),
    WHOLE("index of nothing", "{\"weight_map\": {}}", "has no weight_map"),
    {"a megabyte of {\"a\":", SAFETENSORS_SHARDS, repeat_text, st_index, NULL,
     "{\"a\":", "64 levels", 1 << 18, 0},
    {"100,000 tensors", SAFETENSORS_SHARDS, many_entries, NULL, NULL, "tensors",
     "more than 16384 tensors", 100000, 0},
    {"100,000 shards", SAFETENSORS_SHARDS, many_entries, NULL, NULL, "shards",
     "more than 1024 shards", 100000, 0},
    {0},
};

#define REMOVE(form, file, expect) \
    { "without " file, form, remove_file, file, NULL, NULL, expect, 0, 0 }
#define MAKE_DIRECTORY(form, file) \
    { "a folder called " file, form, make_directory, file, NULL, NULL, "not a regular file", 0, 0 }

const mutation file_mutations[] = {
    REMOVE(SAFETENSORS, "config.json", "No such file"),
    REMOVE(SAFETENSORS, "model.safetensors", "neither model.safetensors nor pytorch_model.bin"),
    REMOVE(TORCH, "pytorch_model.bin", "neither model.safetensors nor pytorch_model.bin"),
    REMOVE(SAFETENSORS_SHARDS, "model.safetensors.index.json", "neither model.safetensors"),
    REMOVE(TORCH_SHARDS, "pytorch_model.bin.index.json", "neither model.safetensors"),
    MAKE_DIRECTORY(SAFETENSORS, "config.json"),
    MAKE_DIRECTORY(SAFETENSORS, "model.safetensors"),
    MAKE_DIRECTORY(TORCH, "pytorch_model.bin"),
    MAKE_DIRECTORY(TORCH_SHARDS, "pytorch_model.bin.index.json"),
    MAKE_DIRECTORY(SAFETENSORS_SHARDS, "model-00002-of-00002.safetensors"),
    {"a pipe for a configuration", SAFETENSORS, make_pipe, "config.json", NULL, NULL,
     "not a regular file", 0, 0},
    {"a pipe for weights", TORCH, make_pipe, "pytorch_model.bin", NULL, NULL, "not a regular file",
     0, 0},
    {"a broken safetensors next to a sound archive", TORCH, set_text, "model.safetensors", NULL,
     "x", "shorter", 0, 0},
    {"weights of the other format", SAFETENSORS, set_text, "model.safetensors", NULL,
     "PK\x03\x04 this is no safetensors file at all", "states a header", 0, 0},
    {0},
};

const mutation *const checkpoint_mutations[] = {
    config_mutations, safetensors_mutations, tensor_mutations,
    index_mutations,  zip_mutations,         storage_mutations,
    pickle_mutations, file_mutations,        NULL,
};

// ---- What the checkpoint does not look at -------------------------------------------

static void edit_tokenizer(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_add(f, "tokenizer.json");
    put_tokenizer(file);
    replace_text(file, 0, m->find, m->put);
}

static void cut_tokenizer(folder *f, const mutation *m, int variant) {
    bytes *file = folder_add(f, "tokenizer.json");
    put_tokenizer(file);
    file->n = file->n * (size_t)(2 * variant + 1) / (size_t)(2 * m->count);
}

// A sound tokenizer but for its kind, with number times put in a key that says nothing: JSON trees
// cost a hundred bytes a byte.
static void grow_tokenizer(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_add(f, "tokenizer.json"), many = {0};
    put_tokenizer(file);
    replace_text(file, 0, "BertPreTokenizer", "ByteLevel");
    put_text(&many, "\"x\":[");
    for (long long i = 0; i < m->number; i++) put_text(&many, m->put);
    put_text(&many, "0],");
    replace_bytes(file, 1, 0, many.data, many.n);
    clear_bytes(&many);
}

#define TOKENIZER(name, find, put) \
    { name, SAFETENSORS, edit_tokenizer, NULL, find, put, NULL, 0, 0 }
#define VOCAB(name, put) \
    { name, SAFETENSORS, set_text, "vocab.txt", NULL, put, NULL, 0, 0 }
#define JSON(name, put) \
    { name, SAFETENSORS, set_text, "tokenizer.json", NULL, put, NULL, 0, 0 }
#define SETTINGS(name, put) \
    { name, SAFETENSORS, set_text, "tokenizer_config.json", NULL, put, NULL, 0, 0 }
#define REPEAT(name, file, put, number) \
    { name, SAFETENSORS, repeat_text, file, NULL, put, NULL, number, 0 }

const mutation vocab_mutations[] = {
    REMOVE(SAFETENSORS, "vocab.txt", NULL),
    MAKE_DIRECTORY(SAFETENSORS, "vocab.txt"),
    VOCAB("vocabulary empty", ""),
    VOCAB("vocabulary of one word", "hello\n"),
    VOCAB("vocabulary without [UNK]", "[PAD]\n[CLS]\n[SEP]\n[MASK]\na\n"),
    VOCAB("vocabulary without [CLS]", "[PAD]\n[UNK]\n[SEP]\n[MASK]\na\n"),
    VOCAB("vocabulary without [SEP]", "[PAD]\n[UNK]\n[CLS]\n[MASK]\na\n"),
    {"vocabulary larger than the model", SAFETENSORS, append_text, "vocab.txt", NULL,
     "one\ntwo\nthree\n", NULL, 0, 0},
    {"vocabulary is HTML", SAFETENSORS, set_text, "vocab.txt", NULL, "<html>404</html>", NULL, 0,
     0},
    REPEAT("a megabyte of empty lines", "vocab.txt", "\n", 1 << 20),
    REPEAT("a line of a megabyte", "vocab.txt", "a", 1 << 20),
    JSON("tokenizer empty", ""),
    JSON("tokenizer a list", "[]"),
    JSON("tokenizer says nothing", "{}"),
    TOKENIZER("tokenizer of another kind", "\"type\":\"WordPiece\",\"unk",
              "\"type\":\"BPE\",\"unk"),
    TOKENIZER("tokenizer without model", "\"model\"", "\"modal\""),
    TOKENIZER("another way to split", "BertPreTokenizer", "ByteLevel"),
    TOKENIZER("another normalizer", "BertNormalizer", "Precompiled"),
    TOKENIZER("vocabulary a list", "\"vocab\":{", "\"vocab\":[],\"x\":{"),
    TOKENIZER("vocabulary of nothing", "\"vocab\":{", "\"vocab\":{},\"x\":{"),
    TOKENIZER("vocabulary missing", "\"vocab\"", "\"vocal\""),
    TOKENIZER("id of a text", "\"a\":5", "\"a\":\"5\""),
    TOKENIZER("id of a fraction", "\"a\":5", "\"a\":5.5"),
    TOKENIZER("id negative", "\"a\":5", "\"a\":-5"),
    TOKENIZER("id of 2^40", "\"a\":5", "\"a\":1099511627776"),
    TOKENIZER("id of 2^31 - 1", "\"a\":5", "\"a\":2147483647"),
    TOKENIZER("id beyond the embeddings", "\"s\":23", "\"s\":24"),
    TOKENIZER("no [UNK]", "\"[UNK]\":1,", ""),
    TOKENIZER("added token beyond the embeddings", "{\"id\":0,\"content\":\"[PAD]\"",
              "{\"id\":99,\"content\":\"[X]\""),
    TOKENIZER("added token without text", "\"content\":\"[PAD]\",", ""),
    TOKENIZER("added token of a number", "\"content\":\"[PAD]\"", "\"content\":7"),
    TOKENIZER("added tokens a text", "\"added_tokens\":[", "\"added_tokens\":\"x\",\"x\":["),
    TOKENIZER("lower case a number", "\"lowercase\":true", "\"lowercase\":1"),
    TOKENIZER("invalid UTF-8 in a piece", "\"b\":6", "\"\xff\":6"),
    TOKENIZER("longest word of 0", "\"max_input_chars_per_word\":100",
              "\"max_input_chars_per_word\":-1"),
    {"tokenizer cut", SAFETENSORS, cut_tokenizer, NULL, NULL, NULL, NULL, 0, 12},
    REPEAT("endless tokenizer", "tokenizer.json", "[", 1 << 20),
    REPEAT("endless tokenizer of objects", "tokenizer.json", "{\"model\":", 1 << 17),
    SETTINGS("settings a list", "[]"),
    SETTINGS("settings cut", "{\"do_lower_case\": tr"),
    SETTINGS("lower case a text", "{\"do_lower_case\": \"yes\"}"),
    REPEAT("tokenizer of empty lists", "tokenizer.json", "[],", 1 << 18),
    {"a tree in the tokenizer", SAFETENSORS, grow_tokenizer, NULL, NULL, "[],", NULL, 1 << 18, 0},
    {"objects in the tokenizer", SAFETENSORS, grow_tokenizer, NULL, NULL, "{},", NULL, 1 << 18, 0},
    {"numbers in the tokenizer", SAFETENSORS, grow_tokenizer, NULL, NULL, "1,", NULL, 1 << 18, 0},
    REPEAT("endless settings", "tokenizer_config.json", "{\"a\":", 1 << 18),
    {0},
};

const mutation *const tokenizer_mutations[] = {vocab_mutations, NULL};
