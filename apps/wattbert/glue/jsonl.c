// SPDX-License-Identifier: Apache-2.0
// Jansson parses; this file adds what it refuses and people send: escapes of one half of a
// surrogate pair, which Python's json writes for damaged text. They are replaced before
// parsing, so that such a line classifies as its text would with U+FFFD in that place.
#include "glue/jsonl.h"

#include <stdbool.h>
#include <string.h>

#include "base/base.h"

// The value of bytes[4] as hexadecimal digits, -1 if they are none.
static int hex_value(const char *bytes) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = bytes[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

// The code unit of an escape \uXXXX at bytes, -1 where there is none.
static int escape_value(const char *bytes, const char *end) {
    if (end - bytes < 6 || bytes[0] != '\\' || bytes[1] != 'u') return -1;
    return hex_value(bytes + 2);
}

static bool is_high(int unit) {
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(int unit) {
    return unit >= 0xdc00 && unit <= 0xdfff;
}

// In place: the replacement is as long as what it replaces. A backslash outside a string is a
// syntax error that the parser reports either way.
static void replace_lone_surrogates(char *bytes, size_t n_bytes) {
    char *const end = bytes + n_bytes;
    for (char *c = bytes; c < end;) {
        const int unit = escape_value(c, end);
        if (unit < 0) {
            c += *c == '\\' ? 2 : 1;
        } else if (is_high(unit) && is_low(escape_value(c + 6, end))) {
            c += 12;
        } else {
            if (is_high(unit) || is_low(unit)) memcpy(c + 2, "fffd", 4);
            c += 6;
        }
    }
}

wb_status jsonl_parse(json_t **out, const char *line, size_t n_bytes, const char *where,
                      size_t number, wb_error *err) {
    *out = NULL;
    char *copy = NULL;
    if (memmem(line, n_bytes, "\\u", 2)) {
        copy = wb_string_copy(line, n_bytes);
        if (!copy) return wb_fail(err, WB_ERR_MEMORY, number, "%s: line %zu", where, number);
        replace_lone_surrogates(copy, n_bytes);
    }
    json_error_t problem;
    json_t *object =
        json_loadb(copy ? copy : line, n_bytes, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &problem);
    wb_free(copy);
    if (!object)
        return wb_fail(err, WB_ERR_FORMAT, number,
                       "%s: line %zu: not a JSON object in UTF-8: %s, mend the line", where, number,
                       problem.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return wb_fail(err, WB_ERR_FORMAT, number,
                       "%s: line %zu: not a JSON object, write {\"text\": \"...\"}", where, number);
    }
    *out = object;
    return WB_OK;
}

static wb_status fail_member(const char *key, const char *where, size_t number, const char *what,
                             wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, number, "%s: line %zu: \"%s\" is %s, write \"%s\": \"...\"",
                   where, number, key, what, key);
}

wb_status jsonl_text(wb_text *out, const json_t *object, const char *text_key, const char *pair_key,
                     const char *where, size_t number, wb_error *err) {
    *out = (wb_text){0};
    const json_t *text = json_object_get(object, text_key);
    if (!text) return fail_member(text_key, where, number, "missing", err);
    if (!json_is_string(text)) return fail_member(text_key, where, number, "not a string", err);
    out->text = json_string_value(text);
    out->n_bytes = json_string_length(text);
    const json_t *pair = pair_key ? json_object_get(object, pair_key) : NULL;
    if (!pair || json_is_null(pair)) return WB_OK;
    if (!json_is_string(pair)) return fail_member(pair_key, where, number, "not a string", err);
    out->pair = json_string_value(pair);
    out->pair_bytes = json_string_length(pair);
    return WB_OK;
}
