// SPDX-License-Identifier: Apache-2.0
// Which files of a folder count, and what is common to the JSON ones. tokenizer.json comes before
// vocab.txt; what tokenizer_config.json states overrides both, as transformers does.
#include <string.h>

#include "text/settings.h"
#include "text/vocab.h"

enum {
    MAX_ADDED = 10000,           // each is compared with all others
    MAX_VOCAB_BYTES = 16 << 20,  // the largest BERT vocabulary, multilingual, takes 1 MB
    MAX_JSON_BYTES = 64 << 20,   // and its tokenizer.json 3 MB
    MAX_CONFIG_BYTES = 4 << 20,
};

// Limits before parsing: jansson takes up to 30 bytes for one of the file.
wb_status wb_settings_load_json(json_t **json, const char *path, bool is_lenient, wb_error *err) {
    *json = NULL;
    wb_file file;
    const wb_status status = wb_file_map(&file, path, err);
    if (status) return status;
    const size_t max_bytes = is_lenient ? MAX_CONFIG_BYTES : MAX_JSON_BYTES;
    if (file.n_bytes > max_bytes) {
        const size_t n_bytes = file.n_bytes;
        wb_file_close(&file);
        return wb_fail(err, WB_ERR_FORMAT, max_bytes, "%s: %zu bytes, more than the %zu allowed",
                       path, n_bytes, max_bytes);
    }
    json_error_t why = {.text = "the file is empty"};
    json_t *parsed = NULL;
    if (file.n_bytes > 0)
        parsed = json_loadb((const char *)file.data, file.n_bytes,
                            is_lenient ? JSON_DECODE_INT_AS_REAL : 0, &why);
    wb_file_close(&file);
    if (!parsed && json_error_code(&why) == json_error_out_of_memory)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory to parse it", path);
    if (!parsed)
        return wb_fail(err, WB_ERR_FORMAT, why.position > 0 ? (uint64_t)why.position : 0,
                       "%s: not JSON, line %d: %s", path, why.line, why.text);
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return wb_fail(err, WB_ERR_FORMAT, 0, "%s: not a JSON object", path);
    }
    *json = parsed;
    return WB_OK;
}

// ---- Added tokens ----

// False where key is there and no boolean; *flag stays where it is missing.
static bool read_flag(const json_t *object, const char *key, bool *flag) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return true;
    *flag = json_is_true(value);
    return json_is_boolean(value);
}

wb_status wb_settings_parse_token(const json_t *json, const char *path, const char *what,
                                  wb_added_token *token, wb_error *err) {
    *token = (wb_added_token){0};
    const json_t *content = json_is_object(json) ? json_object_get(json, "content") : json;
    token->content = json_string_value(content);
    if (!token->content || !token->content[0])
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: %s has no text as its content", path, what);
    if (!json_is_object(json)) return WB_OK;
    if (!read_flag(json, "single_word", &token->is_single_word) ||
        !read_flag(json, "lstrip", &token->strips_left) ||
        !read_flag(json, "rstrip", &token->strips_right) ||
        !read_flag(json, "normalized", &token->is_normalized))
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: %s \"%s\" has a flag that is neither true nor false", path, what,
                       token->content);
    return WB_OK;
}

// A linear search: BERT adds five tokens, and MAX_ADDED bounds the rest.
wb_status wb_settings_add(wb_tokenizer_settings *settings, const wb_added_token *token,
                          bool is_replacing, wb_error *err) {
    for (size_t i = 0; i < settings->n_added; i++) {
        if (strcmp(settings->added[i].content, token->content) != 0) continue;
        if (is_replacing) settings->added[i] = *token;
        return WB_OK;
    }
    if (settings->n_added == MAX_ADDED)
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: more than %d added tokens", settings->dir,
                       MAX_ADDED);
    if (settings->n_added == settings->added_capacity) {
        const size_t doubled = settings->added_capacity ? 2 * settings->added_capacity : 8;
        wb_added_token *grown =
            wb_realloc_array(settings->added, settings->n_added, doubled, sizeof *settings->added);
        if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: added tokens", settings->dir);
        settings->added = grown;
        settings->added_capacity = doubled;
    }
    settings->added[settings->n_added++] = *token;
    return WB_OK;
}

// ---- Files ----

// The file stays mapped: the pieces are its lines.
static wb_status read_vocab_txt(wb_tokenizer_settings *settings, const char *path, wb_error *err) {
    const wb_status status = wb_file_map(&settings->vocab_file, path, err);
    if (status) return status;
    const wb_file *file = &settings->vocab_file;
    if (file->n_bytes > MAX_VOCAB_BYTES)
        return wb_fail(err, WB_ERR_FORMAT, MAX_VOCAB_BYTES,
                       "%s: %zu bytes, more than the %d allowed", path, file->n_bytes,
                       MAX_VOCAB_BYTES);
    return wb_vocab_read_lines(&settings->pieces, &settings->n_pieces, file->data, file->n_bytes,
                               path, err);
}

// Specials by name; only those that tokenizer.json does not list and the vocabulary has are added
// later.
static wb_status add_named(wb_tokenizer_settings *settings, wb_error *err) {
    const char *names[] = {settings->unknown, settings->sep, settings->cls, settings->pad,
                           settings->mask};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const wb_added_token token = {.content = names[i], .is_optional = true};
        const wb_status status = wb_settings_add(settings, &token, false, err);
        if (status) return status;
    }
    return WB_OK;
}

wb_status wb_settings_read(wb_tokenizer_settings *settings, const char *dir, wb_error *err) {
    *settings = (wb_tokenizer_settings){
        .dir = dir,
        .has_normalizer = true,
        .normalizer = {.clean_text = true, .chinese_chars = true, .lowercase = true},
        .strips_as_lowercase = true,
        .prefix = "##",
        .unknown = "[UNK]",
        .max_chars = 100,
        .cls = "[CLS]",
        .sep = "[SEP]",
        .pad = "[PAD]",
        .mask = "[MASK]",
    };
    char json[WB_PATH_MAX], vocab[WB_PATH_MAX], config[WB_PATH_MAX];
    if (!wb_path_join(json, sizeof json, dir, "tokenizer.json") ||
        !wb_path_join(vocab, sizeof vocab, dir, "vocab.txt") ||
        !wb_path_join(config, sizeof config, dir, "tokenizer_config.json"))
        return wb_fail(err, WB_ERR_IO, 0, "%.100s...: path too long", dir);
    // The config comes last, because what it states overrides.
    const bool has_json = wb_file_exists(json);
    wb_status status = WB_OK;
    if (has_json)
        status = wb_settings_read_tokenizer_json(settings, json, err);
    else if (wb_file_exists(vocab))
        status = read_vocab_txt(settings, vocab, err);
    else
        status =
            wb_fail(err, WB_ERR_IO, 0,
                    "%s: neither tokenizer.json nor vocab.txt, copy one from the checkpoint", dir);
    if (!status && wb_file_exists(config)) status = wb_settings_read_config(settings, config, err);
    // A tokenizer.json lists its specials; vocab.txt leaves them to their names.
    if (!status && !has_json) status = add_named(settings, err);
    if (settings->strips_as_lowercase)
        settings->normalizer.strip_accents = settings->normalizer.lowercase;
    if (status) wb_settings_close(settings);
    return status;
}

void wb_settings_close(wb_tokenizer_settings *settings) {
    json_decref(settings->tokenizer_json);
    json_decref(settings->config_json);
    wb_file_close(&settings->vocab_file);
    wb_free(settings->pieces);
    wb_free(settings->added);
    *settings = (wb_tokenizer_settings){0};
}
