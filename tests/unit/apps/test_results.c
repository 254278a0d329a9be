// SPDX-License-Identifier: Apache-2.0
// results.csv: what is written is read back unchanged, and what cannot be read is refused with
// its line.
#include "study/results.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

typedef struct scratch {
    char path[64];
} scratch;

static void scratch_write(scratch *s, const char *bytes, size_t n_bytes) {
    strcpy(s->path, "/tmp/test_results_XXXXXX");
    const int fd = mkstemp(s->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n_bytes), (ssize_t)n_bytes);
    close(fd);
}

static wb_status read_text(result_table *table, const char *text, wb_error *err) {
    scratch s;
    scratch_write(&s, text, strlen(text));
    const wb_status status = result_read(table, s.path, err);
    unlink(s.path);
    return status;
}

// A row in which every cell is different and texts hold all that needs quoting.
static void fill_row(result_row *row) {
    result_row_clear(row);
    for (int i = 0; result_column_at(i); i++) {
        const result_column *column = result_column_at(i);
        char *cell = (char *)row + column->offset;
        const double value = -1.0 / (i + 3.0);
        if (column->capacity)
            snprintf(cell, column->capacity, "%d, \"quoted\"\r\nsecond line µ", i);
        else
            memcpy(cell, &value, sizeof value);
    }
}

static void write_table(scratch *s, const result_row *rows, int n_rows) {
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *file = open_memstream(&text, &n_bytes);
    assert_non_null(file);
    result_write_header(file);
    for (int i = 0; i < n_rows; i++) result_write_row(file, &rows[i]);
    assert_int_equal(fclose(file), 0);
    scratch_write(s, text, n_bytes);
    free(text);
}

static void check_rows_equal(const result_row *got, const result_row *want) {
    for (int i = 0; result_column_at(i); i++) {
        const result_column *column = result_column_at(i);
        const double a = result_number(got, column), b = result_number(want, column);
        assert_string_equal(result_text(got, column), result_text(want, column));
        assert_int_equal(isnan(a), isnan(b));
        if (!isnan(b)) assert_true(fabs(a - b) <= 5e-9 * fabs(b));  // nine digits are written
    }
}

static void test_round_trip(void **state) {
    (void)state;
    static result_row rows[200];
    for (int i = 0; i < 200; i++) {
        if (i % 2)
            fill_row(&rows[i]);
        else
            result_row_clear(&rows[i]);
        snprintf(rows[i].technique, sizeof rows[i].technique, "t%d", i);
    }
    scratch s;
    write_table(&s, rows, 200);
    result_table table = {0};
    wb_error err;
    assert_int_equal(result_read(&table, s.path, &err), WB_OK);
    assert_int_equal(result_read(&table, s.path, &err), WB_OK);  // appends
    unlink(s.path);
    assert_int_equal(table.n_rows, 400);
    for (int i = 0; i < 400; i++) check_rows_equal(&table.rows[i], &rows[i % 200]);
    result_table_free(&table);
    assert_null(table.rows);
}

static void test_every_field_is_a_column(void **state) {
    (void)state;
    size_t n_bytes = 0;
    for (int i = 0; result_column_at(i); i++) {
        const result_column *column = result_column_at(i);
        assert_int_equal(column->offset, n_bytes);  // in the struct's order, without a gap
        n_bytes += column->capacity ? column->capacity : sizeof(double);
        assert_ptr_equal(result_column_named(column->name), column);
    }
    assert_int_equal(n_bytes, sizeof(result_row));
    assert_null(result_column_at(-1));
    assert_null(result_column_named("joules"));
}

// docs/results.md explains every column.
static void test_every_column_is_documented(void **state) {
    (void)state;
    FILE *file = fopen(WB_SOURCE_DIR "/docs/results.md", "r");
    assert_non_null(file);
    static char text[1 << 16];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (int i = 0; result_column_at(i); i++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "`%s`", result_column_at(i)->name);
        if (!strstr(text, quoted)) fail_msg("docs/results.md does not explain %s", quoted);
    }
}

static void test_locale_changes_nothing(void **state) {
    (void)state;
    const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_AT.UTF-8"};
    bool has_comma = false;
    for (size_t i = 0; i < sizeof locales / sizeof *locales && !has_comma; i++)
        has_comma = setlocale(LC_ALL, locales[i]) && *localeconv()->decimal_point == ',';
    if (!has_comma) skip();  // Debian's minimal images have no such locale
    result_row row;
    result_row_clear(&row);
    row.score = 0.8125;
    scratch s;
    write_table(&s, &row, 1);
    result_table table = {0};
    wb_error err;
    assert_int_equal(result_read(&table, s.path, &err), WB_OK);
    assert_true(table.rows[0].score == 0.8125);
    result_table_free(&table);
    unlink(s.path);
    setlocale(LC_ALL, "C");
}

static void test_columns_of_other_versions(void **state) {
    (void)state;
    result_table table = {0};
    wb_error err;
    const char *const text =
        "\xef\xbb\xbf"
        "later,score,technique\r\n\r\n\"a\r\nb\",0.5,\"ba\"\"se\"\r\n,,x";
    assert_int_equal(read_text(&table, text, &err), WB_OK);
    assert_int_equal(table.n_rows, 2);
    assert_string_equal(table.rows[0].technique, "ba\"se");
    assert_true(table.rows[0].score == 0.5);
    assert_true(isnan(table.rows[0].energy_j));
    assert_string_equal(table.rows[1].technique, "x");
    assert_true(isnan(table.rows[1].score));
    result_table_free(&table);
}

static void test_broken_files_name_their_line(void **state) {
    (void)state;
    const struct {
        const char *text;
        uint64_t line;
        const char *message;  // a part of it
    } cases[] = {
        {"", 1, "empty"},
        {"\xef\xbb\xbf", 1, "empty"},
        {"a,b\n1,2\n", 1, "no column \"technique\""},
        {"technique;score\nx;1\n", 1, "no column \"technique\""},
        {"technique,score,score\n", 1, "twice"},
        {"technique,score\nx,1\ny,abc\n", 3, "score is \"abc\""},
        {"technique,score\nx,1\ny,1 \n", 3, "not a number"},
        {"technique,score\nx,inf\n", 2, "not a number"},
        {"technique,score\nx,0,5\n", 2, "3 cells"},
        {"technique,score\nx,1\n\n\ny\n", 5, "1 cells where the header has 2"},
        {"technique,score\n\"x\ny\",1\n\"z,1\nmore\n", 4, "never closed"},
        {"technique,score\n\"x\"y,1\n", 2, "after a closing quote"},
        {"technique,score\nx\"y,1\n", 2, "inside an unquoted"},
        {"\"technique", 1, "never closed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        result_table table = {0};
        wb_error err = {0};
        assert_int_equal(read_text(&table, cases[i].text, &err), WB_ERR_FORMAT);
        assert_int_equal(err.offset, cases[i].line);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_int_equal(table.n_rows, 0);
        result_table_free(&table);
    }
}

static void test_zero_bytes_and_long_cells(void **state) {
    (void)state;
    result_table table = {0};
    wb_error err;
    scratch s;
    scratch_write(&s, "technique\nx\0y\n", 14);
    assert_int_equal(result_read(&table, s.path, &err), WB_ERR_FORMAT);
    assert_int_equal(err.offset, 2);
    unlink(s.path);

    char text[4096] = "technique,unknown\n";
    const size_t start = strlen(text);
    memset(text + start, 'x', RESULT_TEXT - 1);
    strcat(text, ",");
    memset(text + strlen(text), 'y', 2000);  // of an unknown column: skipped whatever its length
    assert_int_equal(read_text(&table, text, &err), WB_OK);
    assert_int_equal(strlen(table.rows[0].technique), RESULT_TEXT - 1);
    memmove(text + start + 1, text + start, strlen(text + start) + 1);
    assert_int_equal(read_text(&table, text, &err), WB_ERR_FORMAT);
    assert_int_equal(table.n_rows, 1);  // as before
    result_table_free(&table);
}

static void test_missing_file(void **state) {
    (void)state;
    result_table table = {0};
    wb_error err;
    assert_int_equal(result_read(&table, "/nonexistent/results.csv", &err), WB_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/results.csv"));
}

// Every prefix of a good file is read or refused, and never read past its end (sanitizers).
static void test_truncated_anywhere(void **state) {
    (void)state;
    result_row row;
    fill_row(&row);
    char *text = NULL;
    size_t n_bytes = 0;
    FILE *file = open_memstream(&text, &n_bytes);
    result_write_header(file);
    result_write_row(file, &row);
    fclose(file);
    for (size_t n = 0; n < n_bytes; n++) {
        scratch s;
        result_table table = {0};
        wb_error err;
        scratch_write(&s, text, n);
        const wb_status status = result_read(&table, s.path, &err);
        assert_true(status == WB_OK ? table.n_rows <= 1 : table.n_rows == 0);
        result_table_free(&table);
        unlink(s.path);
    }
    free(text);
}

// Bytes of a good file replaced at random: read or refused, within the file's bounds.
static void test_mutated_bytes(void **state) {
    (void)state;
    static const char bytes[] = ",\"\n\r\0\x80\xffx9.-e";
    wb_file file;
    wb_error err;
    const char *const sample = WB_SOURCE_DIR "/tests/golden/report/results.csv";
    assert_int_equal(wb_file_read(&file, sample, 1 << 20, &err), WB_OK);
    char *text = malloc(file.n_bytes);
    wb_random random = {.state = 1};
    int n_read = 0;
    for (int round = 0; round < 2000; round++) {
        memcpy(text, file.data, file.n_bytes);
        const int n_changes = 1 + (int)wb_random_below(&random, 4);
        for (int i = 0; i < n_changes; i++)
            text[wb_random_below(&random, file.n_bytes)] =
                bytes[wb_random_below(&random, sizeof bytes - 1)];
        scratch s;
        result_table table = {0};
        scratch_write(&s, text, file.n_bytes);
        const wb_status status = result_read(&table, s.path, &err);
        unlink(s.path);
        assert_true(status == WB_OK || (status == WB_ERR_FORMAT && err.offset > 0));
        n_read += status == WB_OK;
        result_table_free(&table);
    }
    assert_in_range(n_read, 200, 1900);  // both ends of the parser were reached
    free(text);
    wb_file_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_field_is_a_column),
        cmocka_unit_test(test_every_column_is_documented),
        cmocka_unit_test(test_locale_changes_nothing),
        cmocka_unit_test(test_columns_of_other_versions),
        cmocka_unit_test(test_broken_files_name_their_line),
        cmocka_unit_test(test_zero_bytes_and_long_cells),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_mutated_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
