// SPDX-License-Identifier: Apache-2.0
// Comma-separated cells as RFC 4180 has them, one at a time, from a file that is not trusted.
// results.csv and power.csv are read through it; what their cells mean is decided there.
#ifndef CSV_H
#define CSV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "wattbert/error.h"

enum { CSV_CELL_BYTES = 512, CSV_MAX_COLUMNS = 256, CSV_NO_COLUMN = -1 };

typedef struct csv_reader {
    const char *path;  // borrowed
    wb_file file;
    size_t at;      // byte position in the file
    uint64_t line;  // from 1, of the byte at `at`
    // The cell just read, ending in 0. A longer one is cut and told by cell_bytes, which counts
    // all of it: cells of unknown columns are skipped whatever their length.
    char cell[CSV_CELL_BYTES];
    size_t cell_bytes;
    uint64_t cell_line;          // where it began
    bool is_last;                // the cell ended its line
    int n_places;                // columns of the header
    int place[CSV_MAX_COLUMNS];  // what csv_find returned for each of them
} csv_reader;

// The index of a column by its name, or CSV_NO_COLUMN for one to skip.
typedef int csv_find(const char *name);

// Reads the file and its header line. WB_ERR_IO, WB_ERR_FORMAT (line number in offset; an empty
// file, a column named twice, more than 256), WB_ERR_MEMORY. Close after WB_OK only.
wb_status csv_open(csv_reader *reader, const char *path, csv_find *find, wb_error *err);
void csv_close(csv_reader *reader);
bool csv_has_column(const csv_reader *reader, int column);

// Steps over empty lines; false at the end of the file.
bool csv_next_row(csv_reader *reader);
// Reads the next cell of a row. WB_ERR_FORMAT: a quote that is never closed, a zero byte.
wb_status csv_next_cell(csv_reader *reader, wb_error *err);
// *value <- the cell as a number, NAN where it is empty. WB_ERR_FORMAT names line and column.
wb_status csv_number(const csv_reader *reader, const char *column, double *value, wb_error *err);
// "path: line N: problem" as WB_ERR_FORMAT.
wb_status csv_fail(const csv_reader *reader, uint64_t line, wb_error *err, const char *format, ...)
    WB_PRINTF(4, 5);

#endif
