// SPDX-License-Identifier: Apache-2.0
// tokenizer.json, as the `tokenizers` package saves a whole tokenizer. What BERT's files hold is
// read; anything else is refused by the name of its field, because ids would silently differ.
#include <string.h>

#include "text/settings.h"

// The type of a part, "" where it says none.
static const char *type_of(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "";
}

// A Sequence of one part is that part; list is the key of its array.
static const json_t *unwrap(const json_t *part, const char *list) {
    if (strcmp(type_of(part), "Sequence") != 0) return part;
    const json_t *parts = json_object_get(part, list);
    return json_array_size(parts) == 1 ? json_array_get(parts, 0) : part;
}

// One sentence for all parts: which field, what it is, what it would have to be.
static wb_status fail_type(const char *path, const char *field, const json_t *part,
                           const char *known, wb_error *err) {
    return wb_fail(err, WB_ERR_MODEL, 0, "%s: %s is \"%s\", only %s is known here", path, field,
                   type_of(part), known);
}

// null, no normalizer at all, is allowed: text is then only split.
static wb_status read_normalizer(wb_tokenizer_settings *settings, const json_t *root,
                                 const char *path, wb_error *err) {
    const json_t *part = unwrap(json_object_get(root, "normalizer"), "normalizers");
    settings->has_normalizer = part && !json_is_null(part);
    if (!settings->has_normalizer) {
        settings->normalizer = (wb_normalizer_options){0};
        settings->strips_as_lowercase = false;
        return WB_OK;
    }
    if (strcmp(type_of(part), "BertNormalizer") != 0)
        return fail_type(path, "normalizer.type", part, "BertNormalizer", err);
    const struct {
        const char *key;
        bool *value;
    } options[] = {
        {"clean_text", &settings->normalizer.clean_text},
        {"handle_chinese_chars", &settings->normalizer.chinese_chars},
        {"lowercase", &settings->normalizer.lowercase},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const json_t *value = json_object_get(part, options[i].key);
        if (!json_is_boolean(value))
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: normalizer.%s is neither true nor false",
                           path, options[i].key);
        *options[i].value = json_is_true(value);
    }
    const json_t *strip = json_object_get(part, "strip_accents");
    if (strip && !json_is_null(strip) && !json_is_boolean(strip))
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: normalizer.strip_accents is neither true, false nor null", path);
    settings->strips_as_lowercase = !json_is_boolean(strip);
    settings->normalizer.strip_accents = json_is_true(strip);
    return WB_OK;
}

// Ids stay below 2^30, far above any vocabulary, so that added tokens can be numbered after the
// largest within an int32_t.
static bool read_id(const json_t *json, int32_t *id) {
    if (!json_is_integer(json)) return false;
    const json_int_t value = json_integer_value(json);
    if (value < 0 || value >= (json_int_t)1 << 30) return false;
    *id = (int32_t)value;
    return true;
}

// {"piece": id}. Of a piece that is there twice the last id counts, as in every JSON reader; two
// pieces may share an id.
static wb_status read_vocab(wb_tokenizer_settings *settings, json_t *vocab, const char *path,
                            wb_error *err) {
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: model.vocab is no object with pieces", path);
    const size_t n_pieces = json_object_size(vocab);
    settings->pieces = wb_alloc_array(n_pieces, sizeof *settings->pieces);
    if (!settings->pieces)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for %zu pieces", path, n_pieces);
    const char *text;
    json_t *id;
    json_object_foreach(vocab, text, id) {
        wb_piece *piece = &settings->pieces[settings->n_pieces++];
        *piece = (wb_piece){.text = (const uint8_t *)text, .n_bytes = strlen(text)};
        if (!read_id(id, &piece->value))
            return wb_fail(err, WB_ERR_MODEL, 0, "%s: model.vocab gives \"%.64s\" no valid id",
                           path, text);
    }
    return WB_OK;
}

static wb_status read_model(wb_tokenizer_settings *settings, const json_t *root, const char *path,
                            wb_error *err) {
    const json_t *model = json_object_get(root, "model");
    // Old files name no type; BPE, the other one with a vocabulary of this form, has merges.
    const bool is_old = json_is_object(model) && !json_object_get(model, "type") &&
                        !json_object_get(model, "merges");
    if (strcmp(type_of(model), "WordPiece") != 0 && !is_old)
        return fail_type(path, "model.type", model, "WordPiece", err);
    const json_t *unknown = json_object_get(model, "unk_token");
    const json_t *prefix = json_object_get(model, "continuing_subword_prefix");
    const json_t *chars = json_object_get(model, "max_input_chars_per_word");
    if ((unknown && !json_is_string(unknown)) || (prefix && !json_is_string(prefix)))
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: model.unk_token or model.continuing_subword_prefix is no text", path);
    if (chars && (!json_is_integer(chars) || json_integer_value(chars) < 0))
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: model.max_input_chars_per_word is no whole number", path);
    if (unknown) settings->unknown = json_string_value(unknown);
    if (prefix) settings->prefix = json_string_value(prefix);
    if (chars) settings->max_chars = (size_t)json_integer_value(chars);
    return read_vocab(settings, json_object_get(model, "vocab"), path, err);
}

// Later tokens replace earlier ones of the same content. The "id" of each is not read: Hugging Face
// too looks the content up in the vocabulary and numbers what it does not find.
static wb_status read_added(wb_tokenizer_settings *settings, const json_t *root, const char *path,
                            wb_error *err) {
    const json_t *added = json_object_get(root, "added_tokens");
    if (added && !json_is_null(added) && !json_is_array(added))
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: added_tokens is no array", path);
    size_t i;
    const json_t *json;
    json_array_foreach(added, i, json) {
        const char *content = json_string_value(json_object_get(json, "content"));
        if (content && !content[0]) continue;  // ignored by Hugging Face too
        wb_added_token token;
        wb_status status = wb_settings_parse_token(json, path, "added_tokens", &token, err);
        if (!status) status = wb_settings_add(settings, &token, true, err);
        if (status) return status;
    }
    return WB_OK;
}

// Appends the ids of one special token to a gap; false where there are none or too many.
static bool append_ids(wb_template *layout, int gap, const json_t *ids) {
    size_t i;
    const json_t *json;
    if (json_array_size(ids) == 0) return false;
    json_array_foreach(ids, i, json) {
        if (layout->n[gap] == WB_TEMPLATE_MAX) return false;
        if (!read_id(json, &layout->ids[gap][layout->n[gap]++])) return false;
    }
    return true;
}

// [CLS] A [SEP], or with B: specials, A, specials, B, specials. A and B in this order, each once;
// type_id is not read, DistilBERT has no token types.
static bool read_layout(const json_t *items, const json_t *specials, bool is_pair,
                        wb_template *layout) {
    int gap = 0;
    size_t i;
    const json_t *item;
    json_array_foreach(items, i, item) {
        const json_t *special = json_object_get(item, "SpecialToken");
        const char *sequence =
            json_string_value(json_object_get(json_object_get(item, "Sequence"), "id"));
        if (special) {
            const char *name = json_string_value(json_object_get(special, "id"));
            const json_t *ids =
                name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
            if (!append_ids(layout, gap, ids)) return false;
        } else {
            const int expected = gap < (is_pair ? 2 : 1) ? "AB"[gap] : 0;
            if (!sequence || sequence[0] != expected || sequence[1]) return false;
            gap++;
        }
    }
    return gap == (is_pair ? 2 : 1);
}

// BertProcessing: {"sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}.
static bool read_bert_processing(const json_t *part, wb_template *single, wb_template *pair) {
    int32_t cls, sep;
    if (!read_id(json_array_get(json_object_get(part, "cls"), 1), &cls) ||
        !read_id(json_array_get(json_object_get(part, "sep"), 1), &sep))
        return false;
    *single = (wb_template){.ids = {{cls}, {sep}}, .n = {1, 1}};
    *pair = (wb_template){.ids = {{cls}, {sep}, {sep}}, .n = {1, 1, 1}};
    return true;
}

// null is what a tokenizer trained from nothing saves; transformers gives it [CLS] and [SEP].
static wb_status read_post_processor(wb_tokenizer_settings *settings, const json_t *root,
                                     const char *path, wb_error *err) {
    const json_t *part = unwrap(json_object_get(root, "post_processor"), "processors");
    if (!part || json_is_null(part)) return WB_OK;
    bool is_read = false;
    if (strcmp(type_of(part), "BertProcessing") == 0) {
        is_read = read_bert_processing(part, &settings->single, &settings->pair);
    } else if (strcmp(type_of(part), "TemplateProcessing") == 0) {
        const json_t *specials = json_object_get(part, "special_tokens");
        is_read =
            read_layout(json_object_get(part, "single"), specials, false, &settings->single) &&
            read_layout(json_object_get(part, "pair"), specials, true, &settings->pair);
    } else {
        return fail_type(path, "post_processor.type", part, "TemplateProcessing or BertProcessing",
                         err);
    }
    if (!is_read)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: post_processor is not special tokens around A and then B", path);
    settings->has_template = true;
    return WB_OK;
}

wb_status wb_settings_read_tokenizer_json(wb_tokenizer_settings *settings, const char *path,
                                          wb_error *err) {
    wb_status status = wb_settings_load_json(&settings->tokenizer_json, path, false, err);
    if (status) return status;
    // "truncation", "padding" and "decoder" are not looked at: the caller says how long, nothing is
    // padded, nothing decoded.
    const json_t *root = settings->tokenizer_json;
    const json_t *pre = unwrap(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    if (strcmp(type_of(pre), "BertPreTokenizer") != 0)
        return fail_type(path, "pre_tokenizer.type", pre, "BertPreTokenizer", err);
    status = read_normalizer(settings, root, path, err);
    if (!status) status = read_model(settings, root, path, err);
    if (!status) status = read_added(settings, root, path, err);
    if (!status) status = read_post_processor(settings, root, path, err);
    return status;
}
