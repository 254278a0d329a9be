// SPDX-License-Identifier: Apache-2.0
// The reader of CSV files. A file may come from another version, a spreadsheet or a disk that
// filled up: what cannot be understood is refused with its line, never guessed.
#include "study/csv.h"

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

enum { MAX_FILE_BYTES = 64 << 20 };  // 100,000 rows of 600 bytes

wb_status csv_fail(const csv_reader *reader, uint64_t line, wb_error *err, const char *format,
                   ...) {
    char problem[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
    return wb_fail(err, WB_ERR_FORMAT, line, "%s: line %llu: %s", reader->path,
                   (unsigned long long)line, problem);
}

static bool is_at_end(const csv_reader *r) {
    return r->at == r->file.n_bytes;
}

// Bytes of the line end here: LF 1, CR LF 2, else 0.
static size_t line_end_bytes(const csv_reader *r) {
    const uint8_t *bytes = r->file.data + r->at;
    const size_t n_left = r->file.n_bytes - r->at;
    if (n_left > 0 && bytes[0] == '\n') return 1;
    return n_left > 1 && bytes[0] == '\r' && bytes[1] == '\n' ? 2 : 0;
}

static void keep_byte(csv_reader *r, uint8_t byte) {
    if (r->cell_bytes < sizeof r->cell - 1) r->cell[r->cell_bytes] = (char)byte;
    r->cell_bytes++;
}

// Steps over "," or a line end, or stands at the end of the file.
static wb_status end_cell(csv_reader *r, wb_error *err) {
    r->cell[r->cell_bytes < sizeof r->cell ? r->cell_bytes : sizeof r->cell - 1] = 0;
    r->is_last = true;
    if (is_at_end(r)) return WB_OK;
    if (r->file.data[r->at] == ',') {
        r->at++;
        r->is_last = false;
        return WB_OK;
    }
    const size_t n_bytes = line_end_bytes(r);
    if (!n_bytes) return csv_fail(r, r->line, err, "text after a closing quote");
    r->at += n_bytes;
    r->line++;
    return WB_OK;
}

static wb_status read_quoted(csv_reader *r, wb_error *err) {
    for (r->at++; !is_at_end(r); r->at++) {
        uint8_t byte = r->file.data[r->at];
        if (byte == '"') {
            r->at++;
            if (is_at_end(r) || r->file.data[r->at] != '"') return end_cell(r, err);
        }
        if (byte == 0) return csv_fail(r, r->line, err, "a zero byte, this is no CSV file");
        if (byte == '\n') r->line++;
        keep_byte(r, byte);
    }
    return csv_fail(r, r->cell_line, err, "a quote is never closed");
}

wb_status csv_next_cell(csv_reader *r, wb_error *err) {
    r->cell_bytes = 0;
    r->cell_line = r->line;
    if (!is_at_end(r) && r->file.data[r->at] == '"') return read_quoted(r, err);
    for (; !is_at_end(r) && !line_end_bytes(r); r->at++) {
        const uint8_t byte = r->file.data[r->at];
        if (byte == ',') break;
        if (byte == 0) return csv_fail(r, r->line, err, "a zero byte, this is no CSV file");
        if (byte == '"') return csv_fail(r, r->line, err, "a quote inside an unquoted cell");
        keep_byte(r, byte);
    }
    return end_cell(r, err);
}

bool csv_next_row(csv_reader *r) {
    for (size_t n_bytes; (n_bytes = line_end_bytes(r)) > 0; r->line++) r->at += n_bytes;
    return !is_at_end(r);
}

bool csv_has_column(const csv_reader *r, int column) {
    for (int i = 0; i < r->n_places; i++)
        if (r->place[i] == column) return true;
    return false;
}

static wb_status read_header(csv_reader *r, csv_find *find, wb_error *err) {
    if (r->file.n_bytes >= 3 && !memcmp(r->file.data, "\xef\xbb\xbf", 3)) r->at = 3;
    if (is_at_end(r)) return csv_fail(r, 1, err, "the file is empty, it has no header");
    do {
        const wb_status status = csv_next_cell(r, err);
        if (status) return status;
        if (r->n_places == CSV_MAX_COLUMNS)
            return csv_fail(r, r->cell_line, err, "more than %d columns", CSV_MAX_COLUMNS);
        const int column = r->cell_bytes < sizeof r->cell ? find(r->cell) : CSV_NO_COLUMN;
        if (column != CSV_NO_COLUMN && csv_has_column(r, column))
            return csv_fail(r, r->cell_line, err, "column \"%s\" is there twice", r->cell);
        r->place[r->n_places++] = column;
    } while (!r->is_last);
    return WB_OK;
}

wb_status csv_open(csv_reader *r, const char *path, csv_find *find, wb_error *err) {
    memset(r, 0, sizeof *r);
    r->path = path;
    r->line = 1;
    wb_status status = wb_file_read(&r->file, path, MAX_FILE_BYTES, err);
    if (status) return app_advise_file(status, err);
    status = read_header(r, find, err);
    if (status) csv_close(r);
    return status;
}

void csv_close(csv_reader *r) {
    wb_file_close(&r->file);
}

wb_status csv_number(const csv_reader *r, const char *column, double *value, wb_error *err) {
    *value = NAN;
    if (!r->cell_bytes) return WB_OK;
    // strtod follows the thread's locale; the file has points. "C" always exists, and glibc and
    // musl return it without allocating.
    const locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    char *rest;
    const double number = strtod(r->cell, &rest);
    uselocale(before);
    if (rest != r->cell + r->cell_bytes || isinf(number))
        return csv_fail(r, r->cell_line, err, "%s is \"%.40s\", not a number", column, r->cell);
    *value = number;
    return WB_OK;
}
