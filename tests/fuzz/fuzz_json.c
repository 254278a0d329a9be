// SPDX-License-Identifier: Apache-2.0
// Any bytes as JSON: this project's reader accepts what jansson accepts, and nothing else. The
// two differ in depth (64 levels against 2,048), in numbers too large for jansson, in what jansson
// 2.14 lets follow a bare number (a 0 byte), and in nothing else.
#include <jansson.h>
#include <stdlib.h>

#include "format/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

// Whether the text is JSON to jansson; *is_known is false where the two may differ.
static bool is_json_to_jansson(const uint8_t *data, size_t n_bytes, bool *is_known) {
    json_error_t error;
    json_t *value = json_loadb((const char *)data, n_bytes, JSON_DECODE_ANY, &error);
    const enum json_error_code code = value ? json_error_unknown : json_error_code(&error);
    *is_known = value || (code != json_error_numeric_overflow && code != json_error_stack_overflow);
    json_decref(value);
    return value != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "fuzz"};
    wb_json json = wb_json_of(&source, 0, n_bytes);
    wb_error err = {0};
    bool is_known;
    wb_status status = wb_json_skip(&json, &err);
    if (!status) status = wb_json_end(&json, &err);
    const bool is_json = is_json_to_jansson(data, n_bytes, &is_known);
    const bool has_zero = n_bytes > 0 && memchr(data, 0, n_bytes);
    const bool is_too_deep = status && strstr(err.message, "nested deeper");
    if (is_known && !is_too_deep && !has_zero && is_json != (status == WB_OK)) abort();
    return 0;
}
