// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) read in place: a cursor that only moves forwards, so that time is linear in the
// bytes whatever they are, and recursion, in wb_json_skip alone, is bounded.
#include "format/json.h"

// config.json, an index and a safetensors header have a handful of levels.
enum { MAX_DEPTH = 64 };

wb_json wb_json_of(const wb_source *source, size_t first, size_t n_bytes) {
    return (wb_json){.source = source, .at = first, .end = first + n_bytes};
}

// The cursor stands where the text stops making sense, which is what the offset tells.
static wb_status fail(const wb_json *json, const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, json->at, "%s: malformed JSON at byte %zu: %s",
                   json->source->name, json->at, what);
}

// The next byte, or 0 at the end; a 0 byte in the text is no JSON either.
static uint8_t next_byte(const wb_json *json) {
    return json->at < json->end ? json->source->data[json->at] : 0;
}

static void skip_space(wb_json *json) {
    for (;;) {
        const uint8_t c = next_byte(json);
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return;
        json->at++;
    }
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

char wb_json_peek(wb_json *json) {
    skip_space(json);
    const uint8_t c = next_byte(json);
    if (is_digit(c) || c == '-') return '0';
    return c != 0 && strchr("{[\"tfn", c) ? (char)c : 0;
}

wb_status wb_json_open(wb_json *json, char bracket, wb_error *err) {
    if (wb_json_peek(json) != bracket)
        return fail(json, bracket == '{' ? "expected an object" : "expected an array", err);
    json->at++;
    json->is_first = true;
    return WB_OK;
}

// *more <- false if the closing bracket comes next, which is then read; else the comma is.
static wb_status next_item(wb_json *json, uint8_t closing, bool *more, wb_error *err) {
    // One flag serves all levels: a container that was entered inside has been left by now, and
    // leaving one clears it.
    const bool is_first = json->is_first;
    json->is_first = false;
    skip_space(json);
    *more = next_byte(json) != closing;
    if (!*more) {
        json->at++;
        return WB_OK;
    }
    if (is_first) return WB_OK;
    if (next_byte(json) != ',')
        return fail(json, closing == '}' ? "expected a comma or }" : "expected a comma or ]", err);
    json->at++;
    return WB_OK;
}

static wb_status read_colon(wb_json *json, wb_error *err) {
    skip_space(json);
    if (next_byte(json) != ':') return fail(json, "expected a colon", err);
    json->at++;
    return WB_OK;
}

wb_status wb_json_next_element(wb_json *json, bool *more, wb_error *err) {
    return next_item(json, ']', more, err);
}

wb_status wb_json_next_member(wb_json *json, char *key, size_t capacity, bool *more,
                              wb_error *err) {
    wb_status status = next_item(json, '}', more, err);
    if (status || !*more) return status;
    status = wb_json_string(json, key, capacity, err);
    return status ? status : read_colon(json, err);
}

// ---- Strings ----------------------------------------------------------------

// Where decoded bytes go; without out they are only counted.
typedef struct text_sink {
    char *out;
    size_t capacity, n_bytes;
} text_sink;

static void put(text_sink *sink, uint8_t byte) {
    if (sink->n_bytes < sink->capacity) sink->out[sink->n_bytes] = (char)byte;
    sink->n_bytes++;
}

// c as UTF-8; a surrogate or a value above U+10FFFF never gets here.
static void put_code_point(text_sink *sink, uint32_t c) {
    if (c < 0x80) {
        put(sink, (uint8_t)c);
    } else if (c < 0x800) {
        put(sink, (uint8_t)(0xc0 | c >> 6));
        put(sink, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        put(sink, (uint8_t)(0xe0 | c >> 12));
        put(sink, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        put(sink, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        put(sink, (uint8_t)(0xf0 | c >> 18));
        put(sink, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        put(sink, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        put(sink, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

// *unit <- the four hexadecimal digits that come next.
static bool read_hex4(wb_json *json, uint32_t *unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        const uint8_t c = next_byte(json), low = c | 0x20;
        if (is_digit(c))
            *unit = *unit << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            *unit = *unit << 4 | (uint32_t)(low - 'a' + 10);
        else
            return false;
    }
    return true;
}

// What follows "\u": one UTF-16 unit or a pair of surrogates.
static wb_status read_unicode_escape(wb_json *json, text_sink *sink, wb_error *err) {
    uint32_t c, low;
    if (!read_hex4(json, &c)) return fail(json, "expected four hexadecimal digits", err);
    if (c == 0) return fail(json, "\\u0000 in a text", err);
    if (c >= 0xd800 && c < 0xe000) {
        const bool has_second = c < 0xdc00 && json->end - json->at >= 6 &&
                                memcmp(json->source->data + json->at, "\\u", 2) == 0;
        if (!has_second) return fail(json, "half a surrogate pair", err);
        json->at += 2;
        if (!read_hex4(json, &low)) return fail(json, "expected four hexadecimal digits", err);
        if (low < 0xdc00 || low > 0xdfff) return fail(json, "half a surrogate pair", err);
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    put_code_point(sink, c);
    return WB_OK;
}

// The cursor stands on the backslash.
static wb_status read_escape(wb_json *json, text_sink *sink, wb_error *err) {
    json->at++;
    const uint8_t c = next_byte(json);
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        json->at++;
        return read_unicode_escape(json, sink, err);
    }
    const char *found = c ? strchr(names, c) : NULL;
    if (!found) return fail(json, "unknown escape in a text", err);
    json->at++;
    put(sink, (uint8_t)values[found - names]);
    return WB_OK;
}

// The length of the UTF-8 sequence at the cursor, 0 if it is malformed: overlong, a surrogate,
// above U+10FFFF or cut off (Unicode 15, table 3-7).
static size_t utf8_length(const wb_json *json) {
    const uint8_t *s = json->source->data + json->at;
    const size_t left = json->end - json->at;
    const uint8_t c = s[0];
    const size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f)) return 0;
    if ((c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

// Copies whole UTF-8 sequences, so that a buffer never ends inside one: a text that does not fit is
// an error of the caller, who then uses none of it.
static wb_status read_string(wb_json *json, text_sink *sink, wb_error *err) {
    skip_space(json);
    if (next_byte(json) != '"') return fail(json, "expected a text in double quotes", err);
    json->at++;
    for (;;) {
        const uint8_t c = next_byte(json);
        if (json->at == json->end) return fail(json, "the text has no end", err);
        if (c == '"') break;
        if (c < 0x20) return fail(json, "control character in a text", err);
        if (c == '\\') {
            const wb_status status = read_escape(json, sink, err);
            if (status) return status;
            continue;
        }
        const size_t n = utf8_length(json);
        if (n == 0) return fail(json, "the text is not UTF-8", err);
        for (size_t i = 0; i < n; i++) put(sink, json->source->data[json->at + i]);
        json->at += n;
    }
    json->at++;
    return WB_OK;
}

wb_status wb_json_string(wb_json *json, char *out, size_t capacity, wb_error *err) {
    text_sink sink = {.out = out, .capacity = capacity - 1};
    const wb_status status = read_string(json, &sink, err);
    if (status) return status;
    if (sink.n_bytes > sink.capacity) return fail(json, "the text is too long", err);
    out[sink.n_bytes] = 0;
    return WB_OK;
}

// ---- Numbers and words --------------------------------------------------------

static size_t skip_digits(wb_json *json) {
    const size_t first = json->at;
    while (is_digit(next_byte(json))) json->at++;
    return json->at - first;
}

// Reads over a number; *is_whole tells whether it has neither fraction nor exponent.
static wb_status read_number(wb_json *json, bool *is_whole, wb_error *err) {
    if (next_byte(json) == '-') json->at++;
    const bool has_zero = next_byte(json) == '0';
    const size_t n_digits = skip_digits(json);
    if (n_digits == 0 || (has_zero && n_digits > 1)) return fail(json, "not a number", err);
    *is_whole = true;
    if (next_byte(json) == '.') {
        *is_whole = false;
        json->at++;
        if (skip_digits(json) == 0) return fail(json, "not a number", err);
    }
    if ((next_byte(json) | 0x20) == 'e') {
        *is_whole = false;
        json->at++;
        if (next_byte(json) == '+' || next_byte(json) == '-') json->at++;
        if (skip_digits(json) == 0) return fail(json, "not a number", err);
    }
    return WB_OK;
}

wb_status wb_json_int(wb_json *json, int64_t *out, wb_error *err) {
    if (wb_json_peek(json) != '0') return fail(json, "expected a whole number", err);
    const size_t first = json->at;
    bool is_whole;
    const wb_status status = read_number(json, &is_whole, err);
    if (status) return status;
    if (!is_whole) return fail(json, "expected a whole number", err);
    const uint8_t *digits = json->source->data + first, *end = json->source->data + json->at;
    // "-0" is 0; leading zeros were refused above.
    const bool is_negative = *digits == '-';
    int64_t value = 0;
    for (digits += is_negative; digits < end; digits++) {
        // Summed below zero, where two's complement has one value more.
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *digits - '0', &value))
            return fail(json, "the number has more than 64 bits", err);
    }
    if (!is_negative && __builtin_sub_overflow(0, value, &value))
        return fail(json, "the number has more than 64 bits", err);
    *out = value;
    return WB_OK;
}

// x 10^exponent. Powers of ten up to 22 are exact, so that short numbers are rounded once
// (Clinger 1990); strtod would ask the user's language where the decimal point is.
static double scale_by_ten(double x, int64_t exponent) {
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    for (; exponent > 22 && x < 1e300; exponent -= 22) x *= 1e22;
    for (; exponent < -22 && x > 0.0; exponent += 22) x /= 1e22;
    if (exponent > 22) return x > 0.0 ? 1e308 * 10.0 : 0.0;
    return exponent >= 0 ? x * tens[exponent] : exponent >= -22 ? x / tens[-exponent] : 0.0;
}

// The digits of [from, to), a valid number without its sign.
static double value_of(const uint8_t *from, const uint8_t *to) {
    uint64_t digits = 0;
    int64_t exponent = 0, written = 0;
    bool is_fraction = false;
    for (; from < to && (*from | 0x20) != 'e'; from++) {
        if (*from == '.') {
            is_fraction = true;
        } else if (digits < UINT64_MAX / 10 - 1) {
            digits = 10 * digits + (uint64_t)(*from - '0');
            exponent -= is_fraction;
        } else {
            exponent += !is_fraction;
        }
    }
    const bool is_negative = from + 1 < to && from[1] == '-';
    for (from += from < to; from < to; from++)
        if (is_digit(*from) && written < 1000000) written = 10 * written + (*from - '0');
    return scale_by_ten((double)digits, exponent + (is_negative ? -written : written));
}

wb_status wb_json_double(wb_json *json, double *out, wb_error *err) {
    if (wb_json_peek(json) != '0') return fail(json, "expected a number", err);
    const size_t first = json->at;
    bool is_whole;
    const wb_status status = read_number(json, &is_whole, err);
    if (status) return status;
    const uint8_t *from = json->source->data + first, *to = json->source->data + json->at;
    const bool is_negative = *from == '-';
    const double value = value_of(from + is_negative, to);
    if (value > 1.7976931348623157e308) return fail(json, "the number is too large", err);
    *out = is_negative ? -value : value;
    return WB_OK;
}

// Reads over word if it comes next. What follows it is the next reader's to judge: "truee" leaves
// an e where a comma is expected.
static bool read_word(wb_json *json, const char *word) {
    const size_t n = strlen(word);
    if (json->end - json->at < n || memcmp(json->source->data + json->at, word, n) != 0)
        return false;
    json->at += n;
    return true;
}

wb_status wb_json_bool(wb_json *json, bool *out, wb_error *err) {
    skip_space(json);
    *out = read_word(json, "true");
    if (*out || read_word(json, "false")) return WB_OK;
    return fail(json, "expected true or false", err);
}

// ---- Anything -------------------------------------------------------------------

static wb_status skip_value(wb_json *json, int depth, wb_error *err);

// As wb_json_open and wb_json_next_.. but without a buffer for keys: a key may be as long as it
// likes where nobody keeps it.
static wb_status skip_container(wb_json *json, char bracket, int depth, wb_error *err) {
    if (depth == MAX_DEPTH) return fail(json, "nested deeper than 64 levels", err);
    bool more = true;
    wb_status status = wb_json_open(json, bracket, err);
    while (!status) {
        status = next_item(json, bracket == '{' ? '}' : ']', &more, err);
        if (status || !more) break;
        if (bracket == '{') {
            text_sink key = {0};
            status = read_string(json, &key, err);
            if (!status) status = read_colon(json, err);
        }
        if (!status) status = skip_value(json, depth + 1, err);
    }
    return status;
}

static wb_status skip_value(wb_json *json, int depth, wb_error *err) {
    text_sink text = {0};
    bool is_whole;
    switch (wb_json_peek(json)) {
        case '{': return skip_container(json, '{', depth, err);
        case '[': return skip_container(json, '[', depth, err);
        case '"': return read_string(json, &text, err);
        case '0': return read_number(json, &is_whole, err);
        default: break;
    }
    if (read_word(json, "true") || read_word(json, "false") || read_word(json, "null"))
        return WB_OK;
    return fail(json, "expected a value", err);
}

wb_status wb_json_skip(wb_json *json, wb_error *err) {
    return skip_value(json, 0, err);
}

wb_status wb_json_end(wb_json *json, wb_error *err) {
    skip_space(json);
    return json->at == json->end ? WB_OK : fail(json, "something follows the end", err);
}
