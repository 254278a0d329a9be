// SPDX-License-Identifier: Apache-2.0
// The study's folder: results.csv, rewritten as a whole and renamed into place whenever a row
// is added, so that it is valid at every moment; and power.csv, the watts over time.
#ifndef STUDY_STORE_H
#define STUDY_STORE_H

#include <stdbool.h>

#include "study/results.h"

typedef struct study_store {
    char dir[4096], path[4200];
    char run_id[RESULT_TEXT];
    result_table table;
    FILE *power;
} study_store;

// Opens dir, making it where it is missing. With is_resumed, the rows of its results.csv are
// kept and the run goes on under their id; without, an older results.csv is renamed to
// results.csv.old. WB_ERR_IO, WB_ERR_FORMAT, WB_ERR_MEMORY
wb_status store_open(study_store *store, const char *dir, bool is_resumed, wb_error *err);
void store_close(study_store *store);

// The row of the same model, task, split, technique, protocol and device if it was skipped, or
// finished with the same examples and windows; NULL where there is none.
const result_row *store_find(const study_store *store, const result_row *like);
// Adds row, in the place of one it repeats, and writes results.csv.
wb_status store_put(study_store *store, const result_row *row, wb_error *err);
void store_power(study_store *store, const char *technique, const char *task, double t_s,
                 double watts, const char *source, const char *method);

#endif
