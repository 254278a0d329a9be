// SPDX-License-Identifier: Apache-2.0
// results.csv: the column table, the writer and the reader. The table is the format; writer,
// reader and report walk it, so a column is added in one place.
#include "study/results.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "study/csv.h"

// 100,000 rows are hundreds of studies of four tasks and all techniques; the bound keeps a file
// of tiny rows from asking for gigabytes.
enum { MAX_ROWS = 100000 };

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
    NUMBER(seconds_low),
    NUMBER(seconds_high),
    NUMBER(energy_j),
    NUMBER(energy_low_j),
    NUMBER(energy_high_j),
    NUMBER(energy_repeat_low_j),
    NUMBER(energy_repeat_high_j),
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
    NUMBER(clock_low_hz),
    NUMBER(clock_high_hz),
    NUMBER(memory_clock_hz),
    NUMBER(temperature_low_celsius),
    NUMBER(temperature_high_celsius),
    NUMBER(power_limit_w),
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

static int find_column(const char *name) {
    const result_column *column = result_column_named(name);
    return column ? (int)(column - columns) : CSV_NO_COLUMN;
}

static wb_status store_cell(const csv_reader *r, const result_column *column, result_row *row,
                            wb_error *err) {
    if (!column->capacity) {
        double value;
        const wb_status status = csv_number(r, column->name, &value, err);
        if (!status) set_number(row, column, value);
        return status;
    }
    if (r->cell_bytes >= column->capacity)
        return csv_fail(r, r->cell_line, err, "%s is longer than %zu bytes", column->name,
                        column->capacity - 1);
    memcpy((char *)row + column->offset, r->cell, r->cell_bytes + 1);
    return WB_OK;
}

static wb_status read_row(csv_reader *r, result_row *row, wb_error *err) {
    const uint64_t line = r->line;
    int n_cells = 0;
    result_row_clear(row);
    do {
        wb_status status = csv_next_cell(r, err);
        const int place = n_cells < r->n_places ? r->place[n_cells] : CSV_NO_COLUMN;
        if (!status && place != CSV_NO_COLUMN) status = store_cell(r, &columns[place], row, err);
        if (status) return status;
        n_cells++;
    } while (!r->is_last);
    if (n_cells == r->n_places) return WB_OK;
    return csv_fail(r, line, err, "%d cells where the header has %d", n_cells, r->n_places);
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

static wb_status read_rows(csv_reader *r, result_table *table, wb_error *err) {
    if (!csv_has_column(r, find_column("technique")))
        return csv_fail(r, 1, err, "no column \"technique\", give a results.csv of wattbert study");
    int capacity = table->n_rows;
    wb_status status = WB_OK;
    while (!status && csv_next_row(r)) {
        if (table->n_rows >= MAX_ROWS)
            return csv_fail(r, r->line, err, "more than %d rows", MAX_ROWS);
        status = reserve_row(table, &capacity, r->path, err);
        if (!status) status = read_row(r, &table->rows[table->n_rows], err);
        if (!status) table->n_rows++;
    }
    return status;
}

wb_status result_read(result_table *table, const char *path, wb_error *err) {
    csv_reader *reader = wb_alloc(sizeof *reader);
    if (!reader) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its reader", path);
    const int n_before = table->n_rows;
    wb_status status = csv_open(reader, path, find_column, err);
    if (!status) {
        status = read_rows(reader, table, err);
        csv_close(reader);
    }
    wb_free(reader);
    if (status) table->n_rows = n_before;
    return status;
}

void result_table_free(result_table *table) {
    wb_free(table->rows);
    *table = (result_table){0};
}
