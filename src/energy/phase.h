// SPDX-License-Identifier: Apache-2.0
// When a counter steps, for counters that are too dear to be watched: a GPU's steps every 100 ms
// and costs 4 ms of a core to read, so watching each step would take the better part of a core. It
// steps as evenly as a clock, though (H100: 99.95 ms, each within the 2 ms of the reads around it),
// so a few steps that were watched tell when all others happen, and a single read becomes a point
// in time.
#ifndef WB_ENERGY_PHASE_H
#define WB_ENERGY_PHASE_H

#include <stdbool.h>

// Times are seconds of one clock, errors are standard errors. Zeroed: nothing is known.
typedef struct wb_phase {
    double base_s, base_error_s;  // the first step that was watched, and how closely
    double edge_s, edge_error_s;  // the latest
    double interval_s, interval_error_s;
    bool has_edge;
} wb_phase;

// A step was watched at edge_s +- error_s. interval_s is what the counter is believed to keep,
// give or take a fiftieth; 0: unknown, and the step is not used.
void wb_phase_see(wb_phase *phase, double interval_s, double edge_s, double error_s);
// *edge_s +- *error_s <- the latest step at now_s. False when that is not known, or when now_s is
// so near a step that it may have happened or not.
bool wb_phase_latest(const wb_phase *phase, double now_s, double *edge_s, double *error_s);

#endif
