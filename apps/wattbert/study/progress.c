// SPDX-License-Identifier: Apache-2.0
// Drawing is rare and short: it must not cost energy that the study would count.
#include "study/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

enum { MIN_INTERVAL_NS = 100 * 1000 * 1000 };

void progress_open(progress *p) {
    const char *term = getenv("TERM");
    *p = (progress){.is_shown = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0};
}

// "45 s", "12 min", "1 h 05".
static void print_duration(char *out, size_t capacity, double seconds) {
    const long s = seconds > 0.0 ? (long)(seconds + 0.5) : 0;
    if (s < 90)
        snprintf(out, capacity, "%ld s", s);
    else if (s < 90 * 60)
        snprintf(out, capacity, "%ld min", (s + 30) / 60);
    else
        snprintf(out, capacity, "%ld h %02ld", s / 3600, s % 3600 / 60);
}

void progress_show(progress *p, const char *task, const char *technique, const char *step,
                   double left_s) {
    if (!p->is_shown) return;
    const uint64_t now = wb_clock_ns();
    if (p->shown_ns && now - p->shown_ns < MIN_INTERVAL_NS) return;
    p->shown_ns = now;
    char left[32];
    print_duration(left, sizeof left, left_s);
    fprintf(stderr, "\r\033[K%-8s %-22s %-18s about %s left", task, technique, step, left);
    fflush(stderr);
}

void progress_wipe(progress *p) {
    if (p->is_shown && p->shown_ns) fputs("\r\033[K", stderr);
    p->shown_ns = 0;
}
