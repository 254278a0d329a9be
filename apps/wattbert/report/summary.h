// SPDX-License-Identifier: Apache-2.0
// What the rows of results.csv say once they are put side by side: rows that may be compared form
// a panel, each is set against its panel's baseline, and the cheapest that keeps the score is
// named. Figures and page show a summary and compute nothing.
#ifndef SUMMARY_H
#define SUMMARY_H

#include <stdbool.h>

#include "report/look.h"
#include "report/power.h"
#include "study/results.h"

// A technique keeps the accuracy when it has at least this share of the baseline's score.
#define SUMMARY_KEPT_SHARE 0.99

typedef struct entry {
    const result_row *row;
    char label[2 * RESULT_TEXT + 2];  // the technique, unique in its panel
    look_mark mark;
    bool is_packed;    // no padding, or less: drawn filled
    bool is_modelled;  // the energy is a guess
    bool is_frontier;  // no other row has both less energy and a better score
    double energy_uj, energy_low_uj, energy_high_uj;  // per real token; NAN where not measured
    // The 95 % interval of what repeats from window to window: that of measured energy; of modelled
    // energy without the doubt about its watts, which are the same guess in every row. NAN where it
    // is not known.
    double spread_low_uj, spread_high_uj;
    double log_spread;  // its half width in the logarithm, where factors add; 0 where not known
    double component_uj[LOOK_N_COMPONENTS];  // their sum is energy_uj; NAN where not split
    // Energy of the panel's reference over this one's, with its 95 % interval; NAN without one.
    double saving, saving_low, saving_high;
    double kept_share;  // of the reference's score
} entry;

typedef enum summary_method {
    METHOD_NONE,
    METHOD_MEASURED,
    METHOD_MODELLED,
    METHOD_BOTH
} summary_method;

// "measured", "modelled", "measured and modelled".
const char *summary_method_name(summary_method method);

// Rows of one task on one machine.
typedef struct panel {
    char title[4 * RESULT_TEXT];  // "SST-2", and whatever else tells it from the other panels
    int file;                     // index of the results.csv its first row came from
    int n_entries;
    entry *entries;  // [n_entries] in the techniques' order, packed ones last
    int n_skipped;
    const result_row **skipped;  // [n_skipped]
    const entry *reference;      // the baseline, padded if it was run; NULL without one
    const entry *choice;  // the least energy that keeps SUMMARY_KEPT_SHARE of the score; or NULL
    const entry *padded_choice;  // the same among those that pad as the reference does
    summary_method method;       // of its entries together
} panel;

// "SST-2": what its rows were run on.
const char *summary_task(const panel *panel);
// Were both measured on one device of one machine?
bool summary_is_same_device(const panel *a, const panel *b);

typedef struct summary {
    result_table table;  // all rows of all files, in their order
    int n_replaced;      // rows left out because a newer one repeats them
    int n_panels;
    panel *panels;
    power_trace power;
    summary_method method;  // of all panels together
} summary;

// Rows are compared each with each; a study of ten tasks and all techniques has 250.
enum { SUMMARY_MAX_ROWS = 4000 };

// *out <- the rows of the files. WB_ERR_FORMAT also where there is no row at all, or more than
// SUMMARY_MAX_ROWS.
wb_status summary_open(summary *out, const char *const *csv_paths, int n_paths, wb_error *err);
void summary_close(summary *summary);

#endif
