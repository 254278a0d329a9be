// SPDX-License-Identifier: Apache-2.0
// One line on a terminal's standard error that says what runs and how long it may still take.
// Nothing in a pipe or a file.
#ifndef STUDY_PROGRESS_H
#define STUDY_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool is_shown;
    uint64_t shown_ns;  // when the line was last drawn
} progress;

void progress_open(progress *p);
// Draws "sst2  bf16+packed  window 3 of 5   12 min left", at most every 100 ms.
void progress_show(progress *p, const char *task, const char *technique, const char *step,
                   double left_s);
// Wipes the line, so that other output begins at its start.
void progress_wipe(progress *p);

#endif
