// SPDX-License-Identifier: Apache-2.0
// One row of results.csv: written by `wattbert study`, read by `wattbert report`, whose
// figures come from such files alone. The column list in results.c is the format:
// its names, order and units; unknown columns are skipped, missing ones are empty.
#ifndef RESULTS_H
#define RESULTS_H

#include <stddef.h>
#include <stdio.h>

#include "wattbert/error.h"

enum { RESULT_TEXT = 96, RESULT_LONG_TEXT = 512 };

// A number that was not measured is NAN and an empty cell, never 0.
typedef struct result_row {
    char run_id[RESULT_TEXT], utc[RESULT_TEXT], host[RESULT_TEXT], device[RESULT_TEXT],
        driver[RESULT_TEXT];
    char version[RESULT_TEXT], model[RESULT_TEXT], protocol[RESULT_TEXT];
    char technique[RESULT_TEXT], precision[RESULT_TEXT], attention[RESULT_TEXT],
        packing[RESULT_TEXT];
    char kernels[RESULT_LONG_TEXT];
    char task[RESULT_TEXT], split[RESULT_TEXT], batch_rule[RESULT_TEXT];
    double examples, real_tokens, computed_tokens, threads;
    double windows, passes, measured_s;  // windows, whole passes over the data in them, their time
    double seconds, seconds_low, seconds_high;  // of one pass, 95 % interval
    double energy_j, energy_low_j,
        energy_high_j;  // of one pass over the data, gross, 95 % interval
    // 95 % interval of the windows alone, without the doubt about modelled watts.
    double energy_repeat_low_j, energy_repeat_high_j;
    double idle_w, net_energy_j;
    double energy_per_token_uj, energy_per_token_low_uj,
        energy_per_token_high_uj;       // per real token
    double energy_per_padded_token_uj;  // per computed token
    double energy_per_sequence_mj;
    double attention_j, ffn_j, embeddings_j, head_j, rest_j;  // sum to energy_j
    double tokens_per_s, sequences_per_s;
    double p50_ms, p99_ms;  // of a batch
    double g_co2e, carbon_intensity_g_per_kwh, pue;
    char carbon_source[RESULT_TEXT];
    char score_name[RESULT_TEXT];
    double score, score_low, score_high,
        kept_share;                 // kept_share: score / baseline's score on the same task
    char label_order[RESULT_TEXT];  // "1 2 0 (found)": GLUE label of each output
    char energy_source[RESULT_TEXT], energy_method[RESULT_TEXT];  // "rapl", "measured"
    char flags[RESULT_LONG_TEXT];
    char status[RESULT_TEXT];       // "ok", "skipped" or "failed"
    char reason[RESULT_LONG_TEXT];  // why skipped
    // What a GPU said of itself in the middle of each window.
    double clock_low_hz, clock_high_hz, memory_clock_hz;
    double temperature_low_celsius, temperature_high_celsius, power_limit_w;
} result_row;

typedef struct result_table {
    result_row *rows;
    int n_rows;
} result_table;

// The format as a table: name in the file, place in the row.
typedef struct result_column {
    const char *name;
    size_t offset;
    size_t capacity;  // bytes of a text with its final 0; 0: a number
} result_column;

// All columns in the file's order; NULL past the end. Static.
const result_column *result_column_at(int index);
// NULL where there is no such column.
const result_column *result_column_named(const char *name);
// The text of a cell; "" for numbers.
const char *result_text(const result_row *row, const result_column *column);
// The number of a cell; NAN for texts and for what was not measured.
double result_number(const result_row *row, const result_column *column);

// Every field empty or NAN.
void result_row_clear(result_row *row);

// The header line, and one row as a line (RFC 4180 quoting); numbers in %.9g, "." as decimal point
// in every locale.
void result_write_header(FILE *file);
void result_write_row(FILE *file, const result_row *row);

// Appends the rows of a CSV file to *table (zero it first). WB_ERR_IO, WB_ERR_FORMAT (line number
// in offset), WB_ERR_MEMORY; after a failure *table is as before.
wb_status result_read(result_table *table, const char *path, wb_error *err);
void result_table_free(result_table *table);

#endif
