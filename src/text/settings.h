// SPDX-License-Identifier: Apache-2.0
// What a model folder says of its tokenizer, before anything is built from it. The JSON
// documents and the vocabulary file stay open in here, because the texts below lie in them.
#ifndef WB_TEXT_SETTINGS_H
#define WB_TEXT_SETTINGS_H

#include <jansson.h>

#include "text/added.h"
#include "text/normalizer.h"

enum { WB_TEMPLATE_MAX = 4, WB_PATH_MAX = 4096 };

// Special tokens before, between and behind the texts: gap 0, a, gap 1, b, gap 2.
typedef struct wb_template {
    int32_t ids[3][WB_TEMPLATE_MAX];
    int n[3];
} wb_template;

typedef struct wb_tokenizer_settings {
    const char *dir;  // borrowed
    json_t *tokenizer_json, *config_json;
    wb_file vocab_file;

    bool has_normalizer;  // false: tokenizer.json says null
    wb_normalizer_options normalizer;
    bool strips_as_lowercase;  // strip_accents: null

    wb_piece *pieces;
    size_t n_pieces;
    const char *prefix, *unknown;
    size_t max_chars;

    wb_added_token *added;  // ids are given when the vocabulary is built
    size_t n_added, added_capacity;
    const char *cls, *sep, *pad, *mask;  // names
    bool has_template;                   // else cls and sep make it
    wb_template single, pair;
    int max_length;  // 0: not stated
} wb_tokenizer_settings;

// *settings <- what the files of dir say. WB_ERR_IO, WB_ERR_FORMAT, WB_ERR_MODEL (names the field
// that is not as in BERT), WB_ERR_MEMORY.
wb_status wb_settings_read(wb_tokenizer_settings *settings, const char *dir, wb_error *err);
void wb_settings_close(wb_tokenizer_settings *settings);

// The parts of it, one a file.
wb_status wb_settings_read_tokenizer_json(wb_tokenizer_settings *settings, const char *path,
                                          wb_error *err);
wb_status wb_settings_read_config(wb_tokenizer_settings *settings, const char *path, wb_error *err);

// Appends a token, or changes the one of equal content when is_replacing.
wb_status wb_settings_add(wb_tokenizer_settings *settings, const wb_added_token *token,
                          bool is_replacing, wb_error *err);

// A token as JSON writes it: its content, or an object with content and flags.
// *token <- as specials are where flags are missing. WB_ERR_MODEL names what.
wb_status wb_settings_parse_token(const json_t *json, const char *path, const char *what,
                                  wb_added_token *token, wb_error *err);

// *json <- the document at path, to be given back with json_decref. Integers that do not fit 64
// bits (model_max_length is often 1e30) do when is_lenient, then all numbers are reals.
wb_status wb_settings_load_json(json_t **json, const char *path, bool is_lenient, wb_error *err);

#endif
