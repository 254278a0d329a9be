// SPDX-License-Identifier: Apache-2.0
// A stream of texts from a file or standard input, in chunks: memory is bounded by a chunk and
// the longest line, however long the stream. A chunk ends early where no more input is waiting,
// so that a program that writes one line and reads one answer is not kept waiting.
#ifndef TEXTS_H
#define TEXTS_H

#include <stdbool.h>

#include "wattbert/wattbert.h"

typedef enum text_form {
    TEXT_LINES,  // a text a line
    TEXT_PAIRS,  // a text, a tab, its pair
    TEXT_JSONL,  // {"text": "...", "pair": "..."}; blank lines are skipped
} text_form;

enum { CHUNK_TEXTS = 1024, CHUNK_BYTES = 4 << 20, MAX_LINE_BYTES = 64 << 20 };

typedef struct text_chunk {
    int n_texts;
    wb_text texts[CHUNK_TEXTS];
    void *owners[CHUNK_TEXTS];  // what each text's bytes belong to
    size_t n_bytes;
} text_chunk;

typedef struct text_stream text_stream;

// *out <- the texts of path; NULL or "-" is standard input. WB_ERR_IO, WB_ERR_MEMORY
wb_status texts_open(text_stream **out, const char *path, text_form form, wb_error *err);
void texts_close(text_stream *stream);

// *chunk <- the next texts, none at the end; borrowed until the next call. A malformed line is
// reported by the call after the one that returned the texts before it.
//   WB_ERR_FORMAT ("standard input: line 7: ..."), WB_ERR_IO, WB_ERR_MEMORY
wb_status texts_next(text_stream *stream, const text_chunk **chunk, wb_error *err);

#endif
