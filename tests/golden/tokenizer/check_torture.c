// SPDX-License-Identifier: Apache-2.0
// Hand-made cases by category: torture.jsonl holds texts, settings and the ids that Hugging Face's
// packages give. A line with a variant and no text describes a model folder, which is written to a
// temporary place: the demo's vocabulary or one of its own, under other settings.
#include <jansson.h>
#include <unistd.h>

#include "golden.h"
#include "text/tokenizer.h"

enum { MAX_VARIANTS = 64, MAX_LENGTH = 512, LINE_BYTES = 1 << 16 };

typedef struct variant {
    char name[64];
    json_t *pieces;  // its own vocabulary, NULL: the demo's
    wb_tokenizer *tokenizer;
} variant;

typedef struct torture {
    json_t *demo;  // the demo's tokenizer.json
    variant variants[MAX_VARIANTS];
    int n_variants, n_cases, n_wrong;
} torture;

static variant *find_variant(torture *t, const char *name) {
    for (int i = 0; name && i < t->n_variants; i++)
        if (strcmp(t->variants[i].name, name) == 0) return &t->variants[i];
    return NULL;
}

// ---- Model folders ----

static bool write_pieces(const char *path, const json_t *pieces) {
    FILE *file = fopen(path, "w");
    if (!file) return false;
    size_t i;
    const json_t *piece;
    json_array_foreach(pieces, i, piece) fprintf(file, "%s\n", json_string_value(piece));
    return fclose(file) == 0;
}

// {"a": 0, "b": 1} of ["a", "b"].
static json_t *number_pieces(const json_t *pieces) {
    json_t *vocab = json_object();
    size_t i;
    const json_t *piece;
    json_array_foreach(pieces, i, piece)
        json_object_set_new(vocab, json_string_value(piece), json_integer((json_int_t)i));
    return vocab;
}

// The demo's tokenizer.json with the changes of a variant laid over it.
static bool write_tokenizer_json(const torture *t, const char *path, const json_t *changes,
                                 const json_t *pieces) {
    json_t *all = json_deep_copy(t->demo);
    json_t *model = json_object_get(all, "model");
    if (pieces) json_object_set_new(model, "vocab", number_pieces(pieces));
    const json_t *model_changes = json_object_get(changes, "model");
    if (model_changes) json_object_update(model, (json_t *)(uintptr_t)model_changes);
    json_incref(model);
    json_object_update(all, (json_t *)(uintptr_t)changes);
    json_object_set_new(all, "model", model);
    const bool is_written = json_dump_file(all, path, 0) == 0;
    json_decref(all);
    return is_written;
}

static bool add_variant(torture *t, const json_t *line) {
    if (t->n_variants == MAX_VARIANTS) return false;
    variant *v = &t->variants[t->n_variants++];
    snprintf(v->name, sizeof v->name, "%s", json_string_value(json_object_get(line, "variant")));
    const variant *other = find_variant(t, json_string_value(json_object_get(line, "vocab_from")));
    v->pieces = json_incref(other ? other->pieces : json_object_get(line, "vocab"));

    char dir[] = "/tmp/wattbert-torture-XXXXXX";
    if (!mkdtemp(dir)) return false;
    const char *const names[] = {"vocab.txt", "tokenizer.json", "tokenizer_config.json"};
    char paths[3][64];
    for (int i = 0; i < 3; i++) snprintf(paths[i], sizeof paths[i], "%s/%s", dir, names[i]);
    bool is_written = v->pieces ? write_pieces(paths[0], v->pieces)
                                : symlink(WB_SOURCE_DIR "/demo/model/vocab.txt", paths[0]) == 0;
    const json_t *changes = json_object_get(line, "tokenizer");
    const json_t *config = json_object_get(line, "config");
    if (changes) is_written &= write_tokenizer_json(t, paths[1], changes, v->pieces);
    if (config) is_written &= json_dump_file(config, paths[2], 0) == 0;
    wb_error err = {.message = "cannot write the folder"};
    const bool is_open = is_written && wb_tokenizer_open(&v->tokenizer, dir, &err) == WB_OK;
    if (!is_open) printf("variant %s: %s\n", v->name, err.message);
    for (int i = 0; i < 3; i++) unlink(paths[i]);
    rmdir(dir);
    return is_open;
}

// ---- Cases ----

static int sextet(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

// *text <- the bytes under key, or under key_base64; NULL where the case has neither. The caller
// frees them.
static size_t read_text(const json_t *line, const char *key, char **text) {
    char key_base64[32];
    snprintf(key_base64, sizeof key_base64, "%s_base64", key);
    const json_t *plain = json_object_get(line, key);
    const char *coded = json_string_value(json_object_get(line, key_base64));
    *text = NULL;
    if (plain) {
        *text = wb_string_copy(json_string_value(plain), json_string_length(plain));
        return json_string_length(plain);
    }
    if (!coded) return 0;
    *text = wb_alloc(strlen(coded) + 1);
    size_t n = 0;
    uint32_t bits = 0;
    int n_bits = 0;
    for (; sextet(*coded) >= 0; coded++) {
        bits = bits << 6 | (uint32_t)sextet(*coded);
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        (*text)[n++] = (char)(bits >> n_bits & 0xFF);
    }
    return n;
}

static bool is_equal(const json_t *expected, const int32_t *ids, int n_ids) {
    if (json_array_size(expected) != (size_t)n_ids) return false;
    for (int i = 0; i < n_ids; i++)
        if (json_integer_value(json_array_get(expected, (size_t)i)) != ids[i]) return false;
    return true;
}

static void print_ids(const char *what, const int32_t *ids, int n_ids) {
    printf("  %s", what);
    for (int i = 0; i < n_ids && i < 24; i++) printf(" %d", ids[i]);
    printf("%s\n", n_ids > 24 ? " ..." : "");
}

static void check_case(torture *t, const json_t *line, const char *json) {
    const variant *v = find_variant(t, json_string_value(json_object_get(line, "variant")));
    const json_t *expected = json_object_get(line, "ids"),
                 *length = json_object_get(line, "max_length");
    char *text, *pair;
    const size_t n_bytes = read_text(line, "text", &text);
    const size_t pair_bytes = read_text(line, "pair", &pair);
    int32_t ids[MAX_LENGTH];
    int n_ids = 0;
    wb_error err = {.message = "no such variant"};
    const bool is_encoded =
        v && wb_tokenizer_encode(v->tokenizer, text, n_bytes, pair, pair_bytes,
                                 length ? (int)json_integer_value(length) : MAX_LENGTH, ids, &n_ids,
                                 &err) == WB_OK;
    t->n_cases++;
    if (!is_encoded || !is_equal(expected, ids, n_ids)) {
        t->n_wrong++;
        printf("%.300s\n", json);
        if (is_encoded)
            print_ids("got", ids, n_ids);
        else
            printf("  %s\n", err.message);
    }
    wb_free(text);
    wb_free(pair);
}

static bool check_lines(torture *t, FILE *file) {
    char *line = wb_alloc(LINE_BYTES);
    bool is_good = line != NULL;
    while (is_good && fgets(line, LINE_BYTES, file)) {
        json_error_t err;
        json_t *json = json_loads(line, JSON_ALLOW_NUL, &err);
        if (!json) {
            printf("%s: %.200s\n", err.text, line);
            is_good = false;
        } else if (json_object_get(json, "text") || json_object_get(json, "text_base64")) {
            check_case(t, json, line);
        } else {
            is_good = add_variant(t, json);
        }
        json_decref(json);
    }
    wb_free(line);
    return is_good;
}

int main(void) {
    torture t = {0};
    t.demo = json_load_file(WB_SOURCE_DIR "/demo/model/tokenizer.json", 0, NULL);
    FILE *file = fopen(WB_SOURCE_DIR "/tests/golden/tokenizer/torture.jsonl", "r");
    const bool is_good = t.demo && file && check_lines(&t, file);
    if (file) fclose(file);
    for (int i = 0; i < t.n_variants; i++) {
        wb_tokenizer_close(t.variants[i].tokenizer);
        json_decref(t.variants[i].pieces);
    }
    json_decref(t.demo);
    printf("%d cases under %d settings checked, %d differ\n", t.n_cases, t.n_variants, t.n_wrong);
    return !is_good || t.n_wrong > 0 || t.n_cases < 500;
}
