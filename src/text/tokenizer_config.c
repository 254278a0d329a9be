// SPDX-License-Identifier: Apache-2.0
// tokenizer_config.json: what transformers writes beside a tokenizer. Only what it states counts;
// a key that is missing or null leaves the tokenizer's own setting, but for strip_accents, whose
// null means "as lowercase".
#include <string.h>

#include "text/settings.h"

// *value <- the boolean under key; *is_stated <- whether there is one.
static wb_status read_bool(const json_t *config, const char *path, const char *key, bool *value,
                           bool *is_stated, wb_error *err) {
    const json_t *json = json_object_get(config, key);
    if (!json || json_is_null(json)) return WB_OK;
    if (!json_is_boolean(json))
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: %s is neither true, false nor null", path, key);
    *value = json_is_true(json);
    *is_stated = true;
    return WB_OK;
}

static wb_status read_normalizer(wb_tokenizer_settings *settings, const json_t *config,
                                 const char *path, wb_error *err) {
    wb_normalizer_options *options = &settings->normalizer;
    wb_normalizer_options stated = {.chinese_chars = true, .lowercase = true};
    bool has_lower = false, has_chinese = false, has_strip = false;
    wb_status status = read_bool(config, path, "do_lower_case", &stated.lowercase, &has_lower, err);
    if (!status)
        status = read_bool(config, path, "tokenize_chinese_chars", &stated.chinese_chars,
                           &has_chinese, err);
    if (!status)
        status = read_bool(config, path, "strip_accents", &stated.strip_accents, &has_strip, err);
    if (status) return status;
    // Without a normalizer to override, stating one of its options asks for BERT's.
    if (!settings->has_normalizer && (has_lower || has_chinese || has_strip)) {
        *options = stated;
        options->clean_text = true;
        settings->strips_as_lowercase = !has_strip;
        return WB_OK;
    }
    // null asks for the default as much as true and false ask for themselves; a missing key asks
    // for nothing.
    if (has_lower) options->lowercase = stated.lowercase;
    if (has_chinese) options->chinese_chars = stated.chinese_chars;
    if (has_strip) options->strip_accents = stated.strip_accents;
    if (has_strip || json_is_null(json_object_get(config, "strip_accents")))
        settings->strips_as_lowercase = !has_strip;
    return WB_OK;
}

// cls_token and its like: *name <- its text, and its flags count if it is an object.
static wb_status read_name(wb_tokenizer_settings *settings, const json_t *config, const char *path,
                           const char *key, const char **name, wb_error *err) {
    const json_t *json = json_object_get(config, key);
    if (!json || json_is_null(json)) return WB_OK;
    wb_added_token token;
    wb_status status = wb_settings_parse_token(json, path, key, &token, err);
    if (status) return status;
    *name = token.content;
    token.is_optional = true;
    return wb_settings_add(settings, &token, false, err);
}

// Tokens by id, as transformers keeps them for tokenizers that are only a vocab.txt. The ids are
// not used: Hugging Face gives out its own, in this order.
static wb_status read_added(wb_tokenizer_settings *settings, const json_t *config, const char *path,
                            wb_error *err) {
    json_t *added = json_object_get(config, "added_tokens_decoder");
    if (!added || json_is_null(added)) return WB_OK;
    if (!json_is_object(added))
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: added_tokens_decoder is no object", path);
    const char *id;
    json_t *json;
    json_object_foreach(added, id, json) {
        wb_added_token token;
        wb_status status =
            wb_settings_parse_token(json, path, "added_tokens_decoder's token", &token, err);
        if (!status) status = wb_settings_add(settings, &token, true, err);
        if (status) return status;
    }
    return WB_OK;
}

// How long a text may be, and that it is cut at its end: nothing else is implemented.
static wb_status read_limits(wb_tokenizer_settings *settings, const json_t *config,
                             const char *path, wb_error *err) {
    const json_t *length = json_object_get(config, "model_max_length");
    if (length && !json_is_null(length)) {
        if (!json_is_number(length))
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: model_max_length is no number", path);
        // "No limit" is written as 1e30.
        const double value = json_number_value(length);
        if (value < 1)
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: model_max_length is below 1", path);
        settings->max_length = value <= INT32_MAX ? (int)value : 0;
    }
    const char *side = json_string_value(json_object_get(config, "truncation_side"));
    if (side && strcmp(side, "right") != 0)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: truncation_side is \"%s\", only \"right\" is known", path, side);
    return WB_OK;
}

wb_status wb_settings_read_config(wb_tokenizer_settings *settings, const char *path,
                                  wb_error *err) {
    // Lenient, for the 1e30 of model_max_length is often written out as 31 digits.
    wb_status status = wb_settings_load_json(&settings->config_json, path, true, err);
    if (status) return status;
    const json_t *config = settings->config_json;
    status = read_normalizer(settings, config, path, err);
    if (!status) status = read_limits(settings, config, path, err);
    if (!status) status = read_added(settings, config, path, err);
    const struct {
        const char *key, **name;
    } names[] = {
        {"unk_token", &settings->unknown}, {"sep_token", &settings->sep},
        {"cls_token", &settings->cls},     {"pad_token", &settings->pad},
        {"mask_token", &settings->mask},
    };
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++)
        status = read_name(settings, config, path, names[i].key, names[i].name, err);
    return status;
}
