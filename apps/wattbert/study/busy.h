// SPDX-License-Identifier: Apache-2.0
// How much of the machine other processes used while a window ran. Their work slows the
// window and, on a counter of the whole package, is counted as ours: a row must say so.
#ifndef STUDY_BUSY_H
#define STUDY_BUSY_H

#include <stdbool.h>
#include <stdint.h>

// Core time until now, in seconds; has_value is false where the system does not tell.
typedef struct busy_reading {
    bool has_value;
    double all_s;    // of every process, on every core
    double own_s;    // of this process
    double cores_s;  // that have gone by on all cores together, used or idle
} busy_reading;

busy_reading busy_read(void);
// The same from the first line of /proc/stat and this process's core time.
busy_reading busy_parse(const char *stat_line, double ticks_per_s, double own_s);
// Adds what went by between two readings to *others_s and *cores_s.
void busy_add(const busy_reading *before, const busy_reading *after, double *others_s,
              double *cores_s);

#endif
