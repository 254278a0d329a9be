// SPDX-License-Identifier: Apache-2.0
#include "report/power.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "study/csv.h"

enum {
    COLUMN_TECHNIQUE,
    COLUMN_TASK,
    COLUMN_TIME,
    COLUMN_WATTS,
    COLUMN_SOURCE,
    N_COLUMNS,
    MAX_SAMPLES = 500000
};

static int find_column(const char *name) {
    static const char *const names[N_COLUMNS] = {"technique", "task", "t_s", "watts", "source"};
    for (int i = 0; i < N_COLUMNS; i++)
        if (!strcmp(names[i], name)) return i;
    return CSV_NO_COLUMN;
}

static wb_status read_cell(const csv_reader *r, int column, power_sample *sample, wb_error *err) {
    switch (column) {
        case COLUMN_TECHNIQUE:
            snprintf(sample->technique, sizeof sample->technique, "%.39s", r->cell);
            return WB_OK;
        case COLUMN_TASK:
            snprintf(sample->task, sizeof sample->task, "%.15s", r->cell);
            return WB_OK;
        case COLUMN_SOURCE:
            snprintf(sample->source, sizeof sample->source, "%.15s", r->cell);
            return WB_OK;
        case COLUMN_TIME: return csv_number(r, "t_s", &sample->t_s, err);
        case COLUMN_WATTS: return csv_number(r, "watts", &sample->watts, err);
        default: return WB_OK;
    }
}

static wb_status reserve_sample(power_trace *trace, const csv_reader *r, wb_error *err) {
    if (trace->n_samples < trace->capacity) return WB_OK;
    if (trace->n_samples >= MAX_SAMPLES)
        return csv_fail(r, r->line, err, "more than %d samples", MAX_SAMPLES);
    const int grown = trace->capacity ? 2 * trace->capacity : 1024;
    power_sample *samples =
        wb_realloc_array(trace->samples, (size_t)trace->n_samples, (size_t)grown, sizeof *samples);
    if (!samples)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for %d samples", r->path, grown);
    trace->samples = samples;
    trace->capacity = grown;
    return WB_OK;
}

// A study that is still running, or was killed, ends in half a line: it is left out.
static bool is_half_line(const csv_reader *r) {
    return r->at == r->file.n_bytes && r->file.data[r->at - 1] != '\n';
}

static wb_status read_samples(csv_reader *r, power_trace *trace, int file, wb_error *err) {
    wb_status status = WB_OK;
    while (!status && csv_next_row(r)) {
        power_sample sample = {.file = file, .t_s = NAN, .watts = NAN};
        int n_cells = 0;
        do {
            status = csv_next_cell(r, err);
            const int column = n_cells < r->n_places ? r->place[n_cells] : CSV_NO_COLUMN;
            if (!status) status = read_cell(r, column, &sample, err);
            n_cells++;
        } while (!status && !r->is_last);
        if (is_half_line(r)) return status == WB_ERR_FORMAT ? WB_OK : status;
        if (!status && n_cells != r->n_places)
            status = csv_fail(r, r->cell_line, err, "%d cells where the header has %d", n_cells,
                              r->n_places);
        if (status || isnan(sample.t_s) || isnan(sample.watts)) continue;
        status = reserve_sample(trace, r, err);
        if (!status) trace->samples[trace->n_samples++] = sample;
    }
    return status;
}

wb_status power_read(power_trace *trace, const char *csv_path, int file, wb_error *err) {
    const char *slash = strrchr(csv_path, '/');
    char path[4096];
    const int n = snprintf(path, sizeof path, "%.*spower.csv",
                           slash ? (int)(slash - csv_path) + 1 : 0, csv_path);
    if (n < 0 || (size_t)n >= sizeof path || !wb_file_exists(path)) return WB_OK;
    csv_reader *reader = wb_alloc(sizeof *reader);
    if (!reader) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its reader", path);
    wb_status status = csv_open(reader, path, find_column, err);
    if (!status) {
        status = read_samples(reader, trace, file, err);
        csv_close(reader);
    }
    wb_free(reader);
    return status;
}

void power_free(power_trace *trace) {
    wb_free(trace->samples);
    *trace = (power_trace){0};
}
