// SPDX-License-Identifier: Apache-2.0
// JSON read in place, member by member. No tree is built: a tree costs up to a hundred bytes for
// a byte of "[[],[],..", so that a 100 MB header would take gigabytes, and a library that
// builds one cannot tell a full memory from a syntax error. This reader allocates nothing. Its
// oracle in the tests is jansson.
//
//     wb_json json = wb_json_of(source, 0, source->n_bytes);
//     status = wb_json_open(&json, '{', err);
//     while (!status && !(status = wb_json_next_member(&json, key, sizeof key, &more, err)) &&
//     more)
//         status = wb_json_skip(&json, err);   // or read the value
//     if (!status) status = wb_json_end(&json, err);
#ifndef WB_FORMAT_JSON_H
#define WB_FORMAT_JSON_H

#include "format/source.h"

enum { WB_JSON_TEXT_BYTES = 1024 };  // a key or a text that somebody keeps, its final 0 included

typedef struct wb_json {
    const wb_source *source;
    size_t at, end;  // [at, end) is not read yet
    bool is_first;   // the container that was just opened has given nothing yet
} wb_json;

// The reader over bytes [first, first + n_bytes) of source, which must lie inside.
wb_json wb_json_of(const wb_source *source, size_t first, size_t n_bytes);

// The first byte of the next value: '{' '[' '"' 't' 'f' 'n', '0' for any number, 0 for anything
// else. Reads only white space.
char wb_json_peek(wb_json *json);

// Enters the object ('{') or array ('[') that comes next.
wb_status wb_json_open(wb_json *json, char bracket, wb_error *err);
// *more <- whether there is another member; key <- its name, the value comes next. At the end of
// the object its brace is read and *more is false.
wb_status wb_json_next_member(wb_json *json, char *key, size_t capacity, bool *more, wb_error *err);
wb_status wb_json_next_element(wb_json *json, bool *more, wb_error *err);

// out <- the text that comes next, unescaped, valid UTF-8, without a 0 inside, ends in 0.
wb_status wb_json_string(wb_json *json, char *out, size_t capacity, wb_error *err);
// *out <- the number that comes next; a fraction, an exponent or more than 64 bits is an error.
wb_status wb_json_int(wb_json *json, int64_t *out, wb_error *err);
// *out <- the number that comes next, whatever its form: the nearest double for up to 15 digits and
// powers of ten up to 22, within 4 units in the last place of it for others. One that is beyond a
// double is an error.
wb_status wb_json_double(wb_json *json, double *out, wb_error *err);
wb_status wb_json_bool(wb_json *json, bool *out, wb_error *err);

// Reads over the next value, whatever it is, and checks that it is JSON, 64 levels deep at most.
wb_status wb_json_skip(wb_json *json, wb_error *err);
// Nothing but white space may be left.
wb_status wb_json_end(wb_json *json, wb_error *err);

#endif
