// SPDX-License-Identifier: Apache-2.0
// report.html and its figures, made from results.csv files alone: no model, no meter, so that any
// machine can redraw a study. `wattbert study` calls it at its end, `wattbert report` by itself.
#ifndef REPORT_H
#define REPORT_H

// Writes out_dir/report.html and out_dir/figures/ (out_dir is made where it is missing) from
// n_paths results.csv files; a power.csv beside one of them is drawn too. Tells failures and
// warnings (gnuplot missing: tables, no figures) on stderr. Returns an exit code of app.h.
int report_write(const char *const *csv_paths, int n_paths, const char *out_dir);

#endif
