// SPDX-License-Identifier: Apache-2.0
// Lines come through read(2) and a buffer of our own, not stdio: only so can poll(2) tell
// whether another line is waiting.
#include "texts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "glue/jsonl.h"

enum { READ_BYTES = 64 << 10 };

struct text_stream {
    int fd;
    const char *name;
    text_form form;
    char *buffer;  // [capacity], text in [start, end)
    size_t capacity, start, end;
    size_t searched;  // bytes from start on that hold no line end
    size_t line;      // lines taken so far
    bool is_at_end;
    text_chunk chunk;
    wb_status failure;  // to be told by the next call
    wb_error problem;
};

wb_status texts_open(text_stream **out, const char *path, text_form form, wb_error *err) {
    *out = NULL;
    const bool is_stdin = !path || strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return wb_fail(err, WB_ERR_IO, 0, "%s: %s, give a file that can be read", path,
                       strerror(errno));
    text_stream *stream = wb_alloc_zeroed(sizeof *stream);
    char *buffer = wb_alloc(READ_BYTES);
    if (!stream || !buffer) {
        wb_free(stream);
        wb_free(buffer);
        if (!is_stdin) close(fd);
        return wb_fail(err, WB_ERR_MEMORY, 0, "no memory to read texts");
    }
    stream->fd = fd;
    stream->name = is_stdin ? "standard input" : path;
    stream->form = form;
    stream->buffer = buffer;
    stream->capacity = READ_BYTES;
    *out = stream;
    return WB_OK;
}

static void empty_chunk(text_stream *s) {
    for (int i = 0; i < s->chunk.n_texts; i++) {
        if (s->form == TEXT_JSONL)
            json_decref(s->chunk.owners[i]);
        else
            wb_free(s->chunk.owners[i]);
    }
    s->chunk.n_texts = 0;
    s->chunk.n_bytes = 0;
}

void texts_close(text_stream *stream) {
    if (!stream) return;
    empty_chunk(stream);
    if (stream->fd != STDIN_FILENO) close(stream->fd);
    wb_free(stream->buffer);
    wb_free(stream);
}

// ---- Lines ------------------------------------------------------------------

// Makes room for READ_BYTES after end: moves the text to the front, then grows.
static wb_status make_room(text_stream *s, wb_error *err) {
    if (s->start > 0) {
        memmove(s->buffer, s->buffer + s->start, s->end - s->start);
        s->end -= s->start;
        s->start = 0;
    }
    if (s->capacity - s->end >= READ_BYTES) return WB_OK;
    if (s->end > MAX_LINE_BYTES)
        return wb_fail(err, WB_ERR_FORMAT, s->line + 1,
                       "%s: line %zu: longer than 64 MiB, break it", s->name, s->line + 1);
    char *grown = wb_realloc_array(s->buffer, s->end, 2 * s->capacity, 1);
    if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its lines", s->name);
    s->buffer = grown;
    s->capacity *= 2;
    return WB_OK;
}

static wb_status read_more(text_stream *s, wb_error *err) {
    wb_status status = make_room(s, err);
    if (status) return status;
    ssize_t got;
    do got = read(s->fd, s->buffer + s->end, s->capacity - s->end);
    while (got < 0 && errno == EINTR);
    if (got < 0) return wb_fail(err, WB_ERR_IO, 0, "%s: %s", s->name, strerror(errno));
    s->is_at_end = got == 0;
    s->end += (size_t)got;
    return WB_OK;
}

static bool has_line(text_stream *s) {
    const size_t n_bytes = s->end - s->start;
    const char *from = s->buffer + s->start;
    const bool is_found = memchr(from + s->searched, '\n', n_bytes - s->searched);
    if (!is_found) s->searched = n_bytes;
    return is_found || (s->is_at_end && n_bytes > 0);
}

static bool is_input_waiting(const text_stream *s) {
    struct pollfd entry = {.fd = s->fd, .events = POLLIN};
    return poll(&entry, 1, 0) > 0;
}

// Takes the line that has_line has seen.
static void take_line(text_stream *s, const char **line, size_t *n_bytes) {
    const char *from = s->buffer + s->start;
    const size_t waiting = s->end - s->start;
    const char *stop = memchr(from, '\n', waiting);
    *line = from;
    *n_bytes = stop ? (size_t)(stop - from) : waiting;
    s->start += *n_bytes + (stop ? 1 : 0);
    s->searched = 0;
    s->line++;
    if (*n_bytes > 0 && from[*n_bytes - 1] == '\r') --*n_bytes;
}

// ---- Texts ------------------------------------------------------------------

static void add(text_stream *s, const wb_text *text, void *owner) {
    s->chunk.owners[s->chunk.n_texts] = owner;
    s->chunk.texts[s->chunk.n_texts++] = *text;
    s->chunk.n_bytes += text->n_bytes + text->pair_bytes;
}

static wb_status add_plain(text_stream *s, const char *line, size_t n_bytes, wb_error *err) {
    char *copy = wb_string_copy(line, n_bytes);
    if (!copy)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for line %zu", s->name, s->line);
    wb_text text = {.text = copy, .n_bytes = n_bytes};
    if (s->form == TEXT_PAIRS) {
        const char *tab = memchr(copy, '\t', n_bytes);
        if (!tab) {
            wb_free(copy);
            return wb_fail(err, WB_ERR_FORMAT, s->line,
                           "%s: line %zu: no tab between a text and its pair, write one", s->name,
                           s->line);
        }
        text.n_bytes = (size_t)(tab - copy);
        text.pair = tab + 1;
        text.pair_bytes = n_bytes - text.n_bytes - 1;
    }
    add(s, &text, copy);
    return WB_OK;
}

static bool is_blank(const char *line, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++)
        if (line[i] != ' ' && line[i] != '\t') return false;
    return true;
}

static wb_status add_json(text_stream *s, const char *line, size_t n_bytes, wb_error *err) {
    // A byte order mark is no JSON, but some editors begin a file with it.
    const size_t n_mark = s->line == 1 && n_bytes >= 3 && !memcmp(line, "\xef\xbb\xbf", 3) ? 3 : 0;
    line += n_mark;
    n_bytes -= n_mark;
    if (is_blank(line, n_bytes)) return WB_OK;
    json_t *object;
    wb_status status = jsonl_parse(&object, line, n_bytes, s->name, s->line, err);
    if (status) return status;
    wb_text text;
    status = jsonl_text(&text, object, "text", "pair", s->name, s->line, err);
    if (status)
        json_decref(object);
    else
        add(s, &text, object);
    return status;
}

static wb_status add_line(text_stream *s, wb_error *err) {
    const char *line;
    size_t n_bytes;
    take_line(s, &line, &n_bytes);
    if (s->form == TEXT_JSONL) return add_json(s, line, n_bytes, err);
    return add_plain(s, line, n_bytes, err);
}

wb_status texts_next(text_stream *s, const text_chunk **chunk, wb_error *err) {
    empty_chunk(s);
    *chunk = &s->chunk;
    wb_status status = s->failure;
    if (status) {
        if (err) *err = s->problem;
        return status;
    }
    while (!status && s->chunk.n_texts < CHUNK_TEXTS && s->chunk.n_bytes < CHUNK_BYTES) {
        if (has_line(s)) {
            status = add_line(s, &s->problem);
        } else {
            if (s->is_at_end || (s->chunk.n_texts > 0 && !is_input_waiting(s))) break;
            status = read_more(s, &s->problem);
        }
    }
    if (status && s->chunk.n_texts > 0) {
        s->failure = status;
        status = WB_OK;
    }
    if (status && err) *err = s->problem;
    return status;
}
