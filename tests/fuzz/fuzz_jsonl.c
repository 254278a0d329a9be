// SPDX-License-Identifier: Apache-2.0
// Fuzz target: one line of JSON lines. Any bytes give a text that is valid UTF-8 (Jansson's
// promise, which replacing lone surrogates must keep), or one error with the line.
#include <stdlib.h>
#include <string.h>

#include "glue/jsonl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check_utf8(const char *text, size_t n_bytes) {
    json_t *string = text ? json_stringn(text, n_bytes) : NULL;
    if (text && !string) abort();
    json_decref(string);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    json_t *object;
    wb_text text;
    wb_error err = {.message = ""};
    if (jsonl_parse(&object, (const char *)data, n_bytes, "fuzz", 7, &err)) {
        if (object || !strstr(err.message, "line 7")) abort();
        return 0;
    }
    if (jsonl_text(&text, object, "text", "pair", "fuzz", 7, &err)) {
        if (!strstr(err.message, "line 7")) abort();
    } else {
        check_utf8(text.text, text.n_bytes);
        check_utf8(text.pair, text.pair_bytes);
    }
    json_decref(object);
    return 0;
}
