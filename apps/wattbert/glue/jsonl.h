// SPDX-License-Identifier: Apache-2.0
// One line of JSON lines: an object whose "text" (and "pair") is any JSON string. Used by
// the commands that stream texts and by the reader of GLUE files in that form.
#ifndef GLUE_JSONL_H
#define GLUE_JSONL_H

#include <jansson.h>

#include "wattbert/wattbert.h"

// *out <- the object of line[n_bytes]; json_decref it. NUL characters are kept, a lone
// surrogate (\ud800) becomes U+FFFD as any malformed text does. where and number name the
// line in the message.
//   WB_ERR_FORMAT with the line's number as offset, WB_ERR_MEMORY
wb_status jsonl_parse(json_t **out, const char *line, size_t n_bytes, const char *where,
                      size_t number, wb_error *err);

// *out <- the strings of object's members "text" and, where it is not null, "pair"; borrowed
// from the object. WB_ERR_FORMAT when one is missing or no string.
wb_status jsonl_text(wb_text *out, const json_t *object, const char *text_key, const char *pair_key,
                     const char *where, size_t number, wb_error *err);

#endif
