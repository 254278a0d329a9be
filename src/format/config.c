// SPDX-License-Identifier: Apache-2.0
// config.json by tables: a key is a row with its legal range, so that every number of the file
// passes one check, and an unknown key is read over (a config has dozens that say nothing here).
#include "format/config.h"

#include <stdio.h>

#include "format/json.h"

// A whole number of the file. Both of transformers' spellings of a key name one field.
typedef struct int_key {
    const char *name;
    size_t field;  // offset in wb_config of an int
    int default_value, max;
} int_key;

#define FIELD(name) offsetof(wb_config, name)
static const int_key int_keys[] = {
    {"dim", FIELD(d_model), 768, WB_MAX_D_MODEL},
    {"hidden_size", FIELD(d_model), 768, WB_MAX_D_MODEL},
    {"n_layers", FIELD(n_layers), 6, WB_MAX_LAYERS},
    {"num_hidden_layers", FIELD(n_layers), 6, WB_MAX_LAYERS},
    {"n_heads", FIELD(n_heads), 12, WB_MAX_D_MODEL},
    {"num_attention_heads", FIELD(n_heads), 12, WB_MAX_D_MODEL},
    {"hidden_dim", FIELD(d_ff), 3072, WB_MAX_D_FF},
    {"vocab_size", FIELD(vocab_size), 30522, WB_MAX_VOCAB},
    {"max_position_embeddings", FIELD(max_positions), 512, WB_MAX_POSITIONS},
    {"num_labels", FIELD(n_labels), 0, WB_MAX_LABELS},
};
enum { N_INT_KEYS = sizeof int_keys / sizeof int_keys[0] };

// A text or list of the file, after the whole numbers in the mask of keys seen.
enum { KEY_ACTIVATION = N_INT_KEYS, KEY_SINUSOIDAL, KEY_PROBLEM, KEY_LABELS, KEY_TYPE, N_KEYS };
static const char *const other_keys[N_KEYS - N_INT_KEYS] = {
    "activation", "sinusoidal_pos_embds", "problem_type", "id2label", "model_type",
};

typedef struct parser {
    wb_config *config;
    wb_json json;
    uint32_t seen;  // bit i: key i was there
} parser;

// The message names the key as the file spells it: that is what one searches for.
static wb_status fail_key(const parser *p, const char *key, const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_MODEL, p->json.at, "%s: %s %s", p->json.source->name, key, what);
}

// The field that a row of the table fills.
static int *field_of(wb_config *config, const int_key *key) {
    return (int *)(void *)((char *)config + key->field);
}

// 0 is no legal value of any key, so it stands for "not stated yet" until finish().
static wb_status read_int_key(parser *p, const int_key *key, wb_error *err) {
    int64_t value;
    wb_error inner;
    if (wb_json_int(&p->json, &value, &inner))
        return fail_key(p, key->name, "is not a whole number", err);
    if (value < 1 || value > key->max)
        return wb_fail(err, WB_ERR_MODEL, p->json.at, "%s: %s is %lld, legal are 1 to %d",
                       p->json.source->name, key->name, (long long)value, key->max);
    int *field = field_of(p->config, key);
    if (*field != 0 && *field != (int)value)
        return wb_fail(err, WB_ERR_MODEL, p->json.at,
                       "%s: %s is %lld, but the file states %d elsewhere", p->json.source->name,
                       key->name, (long long)value, *field);
    *field = (int)value;
    return WB_OK;
}

// A word that the file may state, and what it means here.
typedef struct word {
    const char *name;
    int value;
} word;

static const word activations[] = {
    {"gelu", WB_CONFIG_GELU}, {"gelu_python", WB_CONFIG_GELU},  // the erf form, both
    {"relu", WB_CONFIG_RELU}, {"silu", WB_CONFIG_SILU},        {"swish", WB_CONFIG_SILU}, {NULL, 0},
};

enum { PROBLEM_SINGLE, PROBLEM_REGRESSION, PROBLEM_MULTI };
static const word problems[] = {
    {"single_label_classification", PROBLEM_SINGLE},
    {"regression", PROBLEM_REGRESSION},
    {"multi_label_classification", PROBLEM_MULTI},
    {NULL, 0},
};

static const word model_types[] = {{"distilbert", 0}, {NULL, 0}};

// *value <- what the text at the cursor means among words, which ends in a row without name.
static wb_status read_word_key(parser *p, const char *key, const word *words, const char *legal,
                               int *value, wb_error *err) {
    char text[WB_JSON_TEXT_BYTES];
    if (wb_json_peek(&p->json) != '"') return fail_key(p, key, "is not a text", err);
    const wb_status status = wb_json_string(&p->json, text, sizeof text, err);
    if (status) return status;
    for (const word *w = words; w->name; w++) {
        if (strcmp(text, w->name) != 0) continue;
        *value = w->value;
        return WB_OK;
    }
    return wb_fail(err, WB_ERR_MODEL, p->json.at, "%s: %s is \"%.64s\", this program knows %s",
                   p->json.source->name, key, text, legal);
}

// ---- Labels -------------------------------------------------------------------

// How many members the object at the cursor has; the cursor stays.
static wb_status count_members(wb_json json, size_t *n, wb_error *err) {
    char key[WB_JSON_TEXT_BYTES];
    bool more = true;
    wb_status status = wb_json_open(&json, '{', err);
    for (*n = 0; !status; ++*n) {
        status = wb_json_next_member(&json, key, sizeof key, &more, err);
        if (status || !more) break;
        status = wb_json_skip(&json, err);
    }
    return status;
}

// The index a key "0", "1", .. stands for; -1 if it is no such key.
static int label_index(const char *key, int n_labels) {
    char canonical[16];
    int index = 0;
    for (const char *c = key; *c; c++) {
        if (*c < '0' || *c > '9' || index >= n_labels) return -1;
        index = index * 10 + (*c - '0');
    }
    snprintf(canonical, sizeof canonical, "%d", index);
    return index < n_labels && strcmp(key, canonical) == 0 ? index : -1;
}

// One block: the pointers, then the texts. A file of many short labels costs no more than that.
static char **labels_block(int n_labels, size_t text_bytes) {
    return wb_alloc_zeroed((size_t)n_labels * sizeof(char *) + text_bytes);
}

// Keys may come in any order ("10" before "2" in a sorted file); each must come once.
static wb_status read_label(parser *p, const char *key, char **text, wb_error *err) {
    wb_config *config = p->config;
    const int label = label_index(key, config->n_labels);
    if (label < 0 || config->labels[label])
        return wb_fail(err, WB_ERR_MODEL, p->json.at,
                       "%s: id2label has the key \"%.64s\", its %d keys must be \"0\" to \"%d\"",
                       p->json.source->name, key, config->n_labels, config->n_labels - 1);
    char name[WB_JSON_TEXT_BYTES], plain[32];
    if (wb_json_peek(&p->json) != '"')
        return fail_key(p, "id2label", "has a value that is no text", err);
    const wb_status status = wb_json_string(&p->json, name, sizeof name, err);
    if (status) return status;
    snprintf(plain, sizeof plain, "LABEL_%d", label);
    if (strcmp(name, plain) != 0) config->has_label_names = true;
    const size_t n_bytes = strlen(name) + 1;
    config->labels[label] = memcpy(*text, name, n_bytes);
    *text += n_bytes;
    return WB_OK;
}

// Walks over the object twice, once to count and once to read: the block can then have its final
// size, and n_labels bounds the keys.
static wb_status read_labels(parser *p, wb_error *err) {
    wb_config *config = p->config;
    size_t n = 0;
    if (wb_json_peek(&p->json) != '{') return fail_key(p, "id2label", "is not an object", err);
    const size_t first = p->json.at;
    wb_status status = count_members(p->json, &n, err);
    if (status) return status;
    if (n < 1 || n > WB_MAX_LABELS)
        return fail_key(p, "id2label", "has no label, or more than 65536", err);
    if (config->n_labels != 0 && config->n_labels != (int)n)
        return fail_key(p, "id2label", "has another count of labels than num_labels", err);
    config->n_labels = (int)n;

    // Unescaped, a label is shorter than in the file by two quotes at least: room for its 0.
    wb_json after = p->json;
    status = wb_json_skip(&after, err);
    if (status) return status;
    config->labels = labels_block((int)n, after.at - first);
    if (!config->labels) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %zu labels", n);
    char *text = (char *)(config->labels + n), key[WB_JSON_TEXT_BYTES];
    bool more = true;
    status = wb_json_open(&p->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&p->json, key, sizeof key, &more, err);
        if (status || !more) break;
        status = read_label(p, key, &text, err);
    }
    return status;
}

wb_status wb_config_name_labels(wb_config *config, wb_error *err) {
    if (config->labels) return WB_OK;
    enum { NAME_BYTES = sizeof "LABEL_65535" };
    const int n = config->n_labels;
    config->labels = labels_block(n, (size_t)n * NAME_BYTES);
    if (!config->labels) return wb_fail(err, WB_ERR_MEMORY, 0, "no memory for %d labels", n);
    char *text = (char *)(config->labels + n);
    for (int label = 0; label < n; label++, text += NAME_BYTES) {
        snprintf(text, NAME_BYTES, "LABEL_%u", (unsigned)label & 0xffffu);
        config->labels[label] = text;
    }
    return WB_OK;
}

void wb_config_close(wb_config *config) {
    wb_free(config->labels);
    *config = (wb_config){0};
}

// ---- The file -----------------------------------------------------------------

// The number of a key in the mask of keys seen; N_KEYS for one that says nothing here.
static int key_number(const char *name) {
    for (int key = 0; key < N_INT_KEYS; key++)
        if (strcmp(name, int_keys[key].name) == 0) return key;
    for (int key = N_INT_KEYS; key < N_KEYS; key++)
        if (strcmp(name, other_keys[key - N_INT_KEYS]) == 0) return key;
    return N_KEYS;
}

// The value of one key, by the key's number.
static wb_status read_value(parser *p, int key, wb_error *err) {
    wb_config *config = p->config;
    int value = 0;
    wb_status status = WB_OK;
    if (key < N_INT_KEYS) return read_int_key(p, &int_keys[key], err);
    // null means "not stated" where transformers writes it so.
    const bool may_be_null = key == KEY_PROBLEM || key == KEY_LABELS || key == N_KEYS;
    if (may_be_null && wb_json_peek(&p->json) == 'n') return wb_json_skip(&p->json, err);
    switch (key) {
        case KEY_ACTIVATION:
            status =
                read_word_key(p, "activation", activations, "gelu, relu and silu", &value, err);
            config->activation = (wb_config_activation)value;
            return status;
        case KEY_PROBLEM:
            status = read_word_key(p, "problem_type", problems,
                                   "regression, single_label_classification and "
                                   "multi_label_classification",
                                   &value, err);
            config->is_regression = value == PROBLEM_REGRESSION;
            config->is_multi_label = value == PROBLEM_MULTI;
            return status;
        case KEY_TYPE:
            return read_word_key(p, "model_type", model_types, "distilbert", &value, err);
        case KEY_SINUSOIDAL:
            if (wb_json_bool(&p->json, &config->has_sinusoidal, NULL))
                return fail_key(p, "sinusoidal_pos_embds", "is not true or false", err);
            return WB_OK;
        case KEY_LABELS: return read_labels(p, err);
        default: return wb_json_skip(&p->json, err);
    }
}

static wb_status read_members(parser *p, wb_error *err) {
    char name[WB_JSON_TEXT_BYTES];
    bool more = true;
    wb_status status = wb_json_open(&p->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&p->json, name, sizeof name, &more, err);
        if (status || !more) break;
        const int key = key_number(name);
        if (key < N_KEYS && (p->seen & 1u << key)) return fail_key(p, name, "occurs twice", err);
        p->seen |= 1u << key;
        status = read_value(p, key, err);
    }
    return status ? status : wb_json_end(&p->json, err);
}

// Defaults are those of DistilBertConfig in transformers.
static wb_status finish(parser *p, wb_error *err) {
    wb_config *config = p->config;
    for (int key = 0; key < N_INT_KEYS; key++) {
        int *field = field_of(config, &int_keys[key]);
        if (*field == 0) *field = int_keys[key].default_value;
    }
    if (config->d_model % config->n_heads != 0)
        return wb_fail(err, WB_ERR_MODEL, 0, "%s: dim %d is not a multiple of n_heads %d",
                       p->json.source->name, config->d_model, config->n_heads);
    config->d_head = config->d_model / config->n_heads;
    return WB_OK;
}

wb_status wb_config_parse(wb_config *config, const wb_source *source, wb_error *err) {
    *config = (wb_config){0};
    parser p = {.config = config, .json = wb_json_of(source, 0, source->n_bytes)};
    wb_status status = read_members(&p, err);
    if (!status) status = finish(&p, err);
    if (status) wb_config_close(config);
    return status;
}
