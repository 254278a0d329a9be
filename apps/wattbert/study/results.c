// SPDX-License-Identifier: Apache-2.0
// results.csv: the column table, the writer and the reader. The table is the format; writer,
// reader and report walk it, so a column is added in one place. The file may come from another
// version, a spreadsheet or an interrupted disk: what cannot be understood is refused with its
// line, never guessed.
#include "study/results.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

// 100,000 rows are hundreds of studies of four tasks and all techniques; the bound keeps a file
// of tiny rows from asking for gigabytes.
enum { MAX_FILE_BYTES = 64 << 20, MAX_ROWS = 100000, MAX_COLUMNS = 256, NO_COLUMN = -1 };

// offsetof and sizeof take names, which a function cannot.
#define TEXT(field) \
    { #field, offsetof(result_row, field), sizeof(((result_row *)NULL)->field) }
#define NUMBER(field) \
    { #field, offsetof(result_row, field), 0 }

static const result_column columns[] = {
    TEXT(run_id),
    TEXT(utc),
    TEXT(host),
    TEXT(device),
    TEXT(driver),
    TEXT(version),
    TEXT(model),
    TEXT(protocol),
    TEXT(technique),
    TEXT(precision),
    TEXT(attention),
    TEXT(packing),
    TEXT(kernels),
    TEXT(task),
    TEXT(split),
    TEXT(batch_rule),
    NUMBER(examples),
    NUMBER(real_tokens),
    NUMBER(computed_tokens),
    NUMBER(threads),
    NUMBER(windows),
    NUMBER(passes),
    NUMBER(measured_s),
    NUMBER(seconds),
    NUMBER(energy_j),
    NUMBER(energy_low_j),
    NUMBER(energy_high_j),
    NUMBER(idle_w),
    NUMBER(net_energy_j),
    NUMBER(energy_per_token_uj),
    NUMBER(energy_per_token_low_uj),
    NUMBER(energy_per_token_high_uj),
    NUMBER(energy_per_padded_token_uj),
    NUMBER(energy_per_sequence_mj),
    NUMBER(attention_j),
    NUMBER(ffn_j),
    NUMBER(embeddings_j),
    NUMBER(head_j),
    NUMBER(rest_j),
    NUMBER(tokens_per_s),
    NUMBER(sequences_per_s),
    NUMBER(p50_ms),
    NUMBER(p99_ms),
    NUMBER(g_co2e),
    NUMBER(carbon_intensity_g_per_kwh),
    NUMBER(pue),
    TEXT(carbon_source),
    TEXT(score_name),
    NUMBER(score),
    NUMBER(score_low),
    NUMBER(score_high),
    NUMBER(kept_share),
    TEXT(label_order),
    TEXT(energy_source),
    TEXT(energy_method),
    TEXT(flags),
    TEXT(status),
    TEXT(reason),
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

// ---- The table ----

const result_column *result_column_at(int index) {
    return index >= 0 && index < N_COLUMNS ? &columns[index] : NULL;
}

const result_column *result_column_named(const char *name) {
    for (int i = 0; i < N_COLUMNS; i++)
        if (!strcmp(columns[i].name, name)) return &columns[i];
    return NULL;
}

const char *result_text(const result_row *row, const result_column *column) {
    return column->capacity ? (const char *)row + column->offset : "";
}

double result_number(const result_row *row, const result_column *column) {
    double value = NAN;
    if (!column->capacity) memcpy(&value, (const char *)row + column->offset, sizeof value);
    return value;
}

static void set_number(result_row *row, const result_column *column, double value) {
    memcpy((char *)row + column->offset, &value, sizeof value);
}

void result_row_clear(result_row *row) {
    memset(row, 0, sizeof *row);
    for (int i = 0; i < N_COLUMNS; i++)
        if (!columns[i].capacity) set_number(row, &columns[i], NAN);
}

// ---- Writing ----

// printf and strtod follow the thread's locale; the file does not. "C" always exists, and
// glibc and musl return it without allocating.
static locale_t enter_c_locale(void) {
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static void write_text(FILE *file, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

void result_write_header(FILE *file) {
    for (int i = 0; i < N_COLUMNS; i++) fprintf(file, "%s%s", i ? "," : "", columns[i].name);
    fputc('\n', file);
}

void result_write_row(FILE *file, const result_row *row) {
    const locale_t before = enter_c_locale();
    for (int i = 0; i < N_COLUMNS; i++) {
        if (i) fputc(',', file);
        const double value = result_number(row, &columns[i]);
        if (columns[i].capacity)
            write_text(file, result_text(row, &columns[i]));
        else if (isfinite(value))
            fprintf(file, "%.9g", value);
    }
    fputc('\n', file);
    uselocale(before);
}

// ---- Reading ----

// One file on its way: the position, and the cell just read. A cell of an unknown column may be
// longer than any known one; it is skipped, so only its first bytes are kept.
typedef struct reader {
    const char *path;
    const uint8_t *at, *end;
    uint64_t line;           // from 1, of the byte at `at`
    int place[MAX_COLUMNS];  // of each column of the file: its index in columns, or NO_COLUMN
    int n_places;
    char cell[RESULT_LONG_TEXT];
    size_t cell_bytes;  // may exceed the buffer; then the cell was cut
    bool is_last;       // the cell ended its line
} reader;

static wb_status fail_line(const reader *r, const char *problem, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, r->line, "%s: line %llu: %s", r->path,
                   (unsigned long long)r->line, problem);
}

static void keep_byte(reader *r, uint8_t byte) {
    if (r->cell_bytes < sizeof r->cell - 1) r->cell[r->cell_bytes] = (char)byte;
    r->cell_bytes++;
}

// Steps over "," or a line end (LF, CR LF) or stands at the end of the file.
static wb_status end_cell(reader *r, wb_error *err) {
    r->cell[r->cell_bytes < sizeof r->cell ? r->cell_bytes : sizeof r->cell - 1] = 0;
    r->is_last = true;
    if (r->at == r->end) return WB_OK;
    if (*r->at == ',') {
        r->at++;
        r->is_last = false;
        return WB_OK;
    }
    if (*r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n') r->at++;
    if (*r->at != '\n') return fail_line(r, "text after a closing quote", err);
    r->at++;
    r->line++;
    return WB_OK;
}

static wb_status read_quoted(reader *r, wb_error *err) {
    const uint64_t first_line = r->line;
    for (r->at++; r->at < r->end; r->at++) {
        if (*r->at == '"') {
            const bool is_escaped = r->end - r->at > 1 && r->at[1] == '"';
            r->at++;
            if (!is_escaped) return end_cell(r, err);
        }
        if (*r->at == 0) return fail_line(r, "a zero byte: not a CSV file", err);
        if (*r->at == '\n') r->line++;
        keep_byte(r, *r->at);
    }
    r->line = first_line;
    return fail_line(r, "a quote is never closed", err);
}

static wb_status read_cell(reader *r, wb_error *err) {
    r->cell_bytes = 0;
    if (r->at < r->end && *r->at == '"') return read_quoted(r, err);
    for (; r->at < r->end && *r->at != ',' && *r->at != '\n'; r->at++) {
        if (*r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n') break;
        if (*r->at == 0) return fail_line(r, "a zero byte: not a CSV file", err);
        if (*r->at == '"') return fail_line(r, "a quote inside an unquoted cell", err);
        keep_byte(r, *r->at);
    }
    return end_cell(r, err);
}

static wb_status read_header(reader *r, wb_error *err) {
    static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
    if (r->end - r->at >= 3 && !memcmp(r->at, bom, sizeof bom)) r->at += sizeof bom;
    if (r->at == r->end) return fail_line(r, "the file is empty, a header line is missing", err);
    bool is_seen[N_COLUMNS] = {false};
    do {
        const uint64_t line = r->line;
        const wb_status status = read_cell(r, err);
        if (status) return status;
        const result_column *column = result_column_named(r->cell);
        const int place = column ? (int)(column - columns) : NO_COLUMN;
        if (r->n_places == MAX_COLUMNS || (column && is_seen[place])) {
            r->line = line;
            return fail_line(r, column ? "a column is named twice" : "more than 256 columns", err);
        }
        if (column) is_seen[place] = true;
        r->place[r->n_places++] = place;
    } while (!r->is_last);
    if (is_seen[result_column_named("technique") - columns]) return WB_OK;
    r->line = 1;
    return fail_line(r, "no column \"technique\": not a results.csv of wattbert study", err);
}

static wb_status store_cell(reader *r, uint64_t line, const result_column *column, result_row *row,
                            wb_error *err) {
    if (column->capacity) {
        if (r->cell_bytes < column->capacity) {
            memcpy((char *)row + column->offset, r->cell, r->cell_bytes + 1);
            return WB_OK;
        }
        return wb_fail(err, WB_ERR_FORMAT, line, "%s: line %llu: %s is longer than %zu bytes",
                       r->path, (unsigned long long)line, column->name, column->capacity - 1);
    }
    if (!r->cell_bytes) return WB_OK;
    char *rest;
    const double value = strtod(r->cell, &rest);
    if (*rest || rest == r->cell || isinf(value) || r->cell_bytes >= sizeof r->cell)
        return wb_fail(err, WB_ERR_FORMAT, line, "%s: line %llu: %s is \"%.40s\", not a number",
                       r->path, (unsigned long long)line, column->name, r->cell);
    set_number(row, column, value);
    return WB_OK;
}

static wb_status read_row(reader *r, result_row *row, wb_error *err) {
    const uint64_t line = r->line;
    result_row_clear(row);
    int n_cells = 0;
    do {
        wb_status status = read_cell(r, err);
        if (status) return status;
        if (n_cells < r->n_places && r->place[n_cells] != NO_COLUMN)
            status = store_cell(r, line, &columns[r->place[n_cells]], row, err);
        if (status) return status;
        n_cells++;
    } while (!r->is_last);
    if (n_cells == r->n_places) return WB_OK;
    return wb_fail(err, WB_ERR_FORMAT, line, "%s: line %llu: %d cells where the header has %d",
                   r->path, (unsigned long long)line, n_cells, r->n_places);
}

static wb_status reserve_row(result_table *table, int *capacity, const char *path, wb_error *err) {
    if (table->n_rows < *capacity) return WB_OK;
    const int grown = *capacity < 64 ? 64 : 2 * *capacity;
    result_row *rows =
        wb_realloc_array(table->rows, (size_t)table->n_rows, (size_t)grown, sizeof *table->rows);
    if (!rows) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for %d rows", path, grown);
    table->rows = rows;
    *capacity = grown;
    return WB_OK;
}

static wb_status read_rows(reader *r, result_table *table, wb_error *err) {
    wb_status status = read_header(r, err);
    int capacity = table->n_rows;
    while (!status && r->at < r->end) {
        // Empty lines come from editors; a row is never empty, it has its technique.
        if (*r->at == '\n' || (*r->at == '\r' && r->end - r->at > 1 && r->at[1] == '\n')) {
            r->line += 1;
            r->at += *r->at == '\r' ? 2 : 1;
            continue;
        }
        if (table->n_rows >= MAX_ROWS) return fail_line(r, "more than 100000 rows", err);
        status = reserve_row(table, &capacity, r->path, err);
        if (!status) status = read_row(r, &table->rows[table->n_rows], err);
        if (!status) table->n_rows++;
    }
    return status;
}

wb_status result_read(result_table *table, const char *path, wb_error *err) {
    wb_file file;
    wb_status status = wb_file_read(&file, path, MAX_FILE_BYTES, err);
    if (status) return status;
    reader r = {.path = path, .at = file.data, .end = file.data + file.n_bytes, .line = 1};
    const int n_before = table->n_rows;
    const locale_t before = enter_c_locale();
    status = read_rows(&r, table, err);
    uselocale(before);
    wb_file_close(&file);
    if (status) table->n_rows = n_before;
    return status;
}

void result_table_free(result_table *table) {
    wb_free(table->rows);
    *table = (result_table){0};
}
