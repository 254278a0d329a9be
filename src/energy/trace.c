// SPDX-License-Identifier: Apache-2.0
// A recorded trace, as text that one can read and edit:
//
//     wattbert-trace 1
//     domains package-0 dram-0
//     0.000 0 0
//     0.100 8.512 0.55
//
// Each further line is seconds and the joules of every domain since the start; neither may go
// back. Lines that start with # and empty lines are skipped. The parser trusts nothing: numbers
// are plain decimals of at least two bytes each, so memory stays within ten times the text.
#include <math.h>
#include <string.h>

#include "energy/source.h"

enum { MAX_TRACE_COLUMNS = WB_MAX_DOMAINS + 1 };

typedef struct reader {
    const char *name;
    const uint8_t *data;
    size_t n_bytes, at;
    size_t line_end;  // of the line that is being read
} reader;

static wb_status fail_at(const reader *r, wb_error *err, const char *what) {
    size_t line = 1;
    for (size_t i = 0; i < r->at && i < r->n_bytes; i++) line += r->data[i] == '\n';
    return wb_fail(err, WB_ERR_FORMAT, r->at, "%s: line %zu: %s", r->name, line, what);
}

// Moves to the next line that says something; false at the end.
static bool next_line(reader *r) {
    while (r->at < r->n_bytes) {
        const uint8_t *end = memchr(r->data + r->at, '\n', r->n_bytes - r->at);
        r->line_end = end ? (size_t)(end - r->data) : r->n_bytes;
        const uint8_t first = r->data[r->at];
        if (r->line_end > r->at && first != '#' && first != '\r') return true;
        r->at = r->line_end + 1;
    }
    return false;
}

static void end_line(reader *r) {
    r->at = r->line_end + 1;
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// *word <- the next word of the line; its length, 0 at the line's end. r->at is left at its start.
static size_t peek_word(reader *r, const uint8_t **word) {
    while (r->at < r->line_end && is_space(r->data[r->at])) r->at++;
    *word = r->data + r->at;
    size_t n = 0;
    while (r->at + n < r->line_end && !is_space(r->data[r->at + n])) n++;
    return n;
}

static bool take_word(reader *r, const char *expected) {
    const uint8_t *word;
    const size_t n = peek_word(r, &word);
    if (n != strlen(expected) || memcmp(word, expected, n) != 0) return false;
    r->at += n;
    return true;
}

// A decimal such as 12 or 0.0834 in any locale, at most 18 digits: 10^17 is exact in a double. No
// sign: neither time nor joules are negative.
static bool take_number(reader *r, double *value) {
    const uint8_t *word;
    const size_t n = peek_word(r, &word);
    uint64_t digits = 0;
    int n_digits = 0, n_decimals = -1;
    for (size_t i = 0; i < n; i++) {
        if (word[i] == '.' && n_decimals < 0) {
            n_decimals = 0;
        } else if (word[i] >= '0' && word[i] <= '9' && n_digits < 18) {
            digits = 10 * digits + (uint64_t)(word[i] - '0');
            n_digits++;
            if (n_decimals >= 0) n_decimals++;
        } else {
            return false;
        }
    }
    *value = (double)digits / pow(10.0, n_decimals > 0 ? n_decimals : 0);
    r->at += n;
    return n_digits > 0;
}

static wb_status parse_domains(wb_trace *trace, reader *r, wb_error *err) {
    if (!next_line(r) || !take_word(r, "domains"))
        return fail_at(r, err, "expected \"domains\" and their names");
    const uint8_t *word;
    for (size_t n; (n = peek_word(r, &word)) > 0; r->at += n) {
        if (trace->n_domains == WB_MAX_DOMAINS) return fail_at(r, err, "too many domains");
        if (n >= sizeof trace->names[0]) return fail_at(r, err, "domain's name is too long");
        memcpy(trace->names[trace->n_domains++], word, n);
    }
    if (trace->n_domains == 0) return fail_at(r, err, "no domain is named");
    end_line(r);
    return WB_OK;
}

// row[1 + n_domains] <- the line; previous is NULL for the first.
static wb_status parse_row(const wb_trace *trace, reader *r, double *row, const double *previous,
                           wb_error *err) {
    for (int i = 0; i <= trace->n_domains; i++) {
        if (!take_number(r, &row[i]))
            return fail_at(r, err, "expected seconds and each domain's joules as plain decimals");
        if (previous && row[i] < previous[i])
            return fail_at(r, err, i ? "joules go back" : "time goes back");
    }
    const uint8_t *word;
    if (peek_word(r, &word) > 0) return fail_at(r, err, "more numbers than domains");
    end_line(r);
    return WB_OK;
}

static wb_status parse_rows(wb_trace *trace, reader *r, wb_error *err) {
    const size_t width = 1 + (size_t)trace->n_domains;
    size_t capacity = 0;
    double row[MAX_TRACE_COLUMNS];
    while (next_line(r)) {
        const size_t n = (size_t)trace->n_rows;
        const double *previous = n ? trace->rows + (n - 1) * width : NULL;
        const wb_status status = parse_row(trace, r, row, previous, err);
        if (status) return status;
        if (n == INT32_MAX) return fail_at(r, err, "too many lines");
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            double *grown = wb_realloc_array(trace->rows, n * width, capacity * width, sizeof *row);
            if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: trace", r->name);
            trace->rows = grown;
        }
        memcpy(trace->rows + n * width, row, width * sizeof *row);
        trace->n_rows++;
    }
    if (trace->n_rows < 2) return fail_at(r, err, "fewer than two lines of joules");
    return WB_OK;
}

wb_status wb_trace_parse(wb_trace *trace, const char *name, const uint8_t *data, size_t n_bytes,
                         wb_error *err) {
    *trace = (wb_trace){0};
    reader r = {.name = name, .data = data, .n_bytes = n_bytes};
    wb_status status = WB_OK;
    if (!next_line(&r) || !take_word(&r, "wattbert-trace") || !take_word(&r, "1"))
        status = fail_at(&r, err, "not a trace, expected \"wattbert-trace 1\"");
    end_line(&r);
    if (!status) status = parse_domains(trace, &r, err);
    if (!status) status = parse_rows(trace, &r, err);
    if (status) wb_trace_free(trace);
    return status;
}

void wb_trace_free(wb_trace *trace) {
    wb_free(trace->rows);
    *trace = (wb_trace){0};
}
