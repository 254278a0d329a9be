// SPDX-License-Identifier: Apache-2.0
// A figure's axis: the range that holds all values with room for what is written beside them,
// and round numbers along it, as many as there is place for.
#ifndef AXIS_H
#define AXIS_H

#include <stdbool.h>
#include <stdio.h>

typedef struct axis {
    bool is_log;
    double low, high;  // NAN until a value was added
} axis;

axis axis_linear(void);
axis axis_log(void);
// NAN is left out, and so is what a logarithm cannot show.
void axis_add(axis *a, double value);
// Widens the range by these shares of its length (of its logarithm's length).
void axis_pad(axis *a, double before, double after);
// 0 at low, 1 at high.
double axis_position(const axis *a, double value);

enum { AXIS_MAX_TICS = 16 };
// tics[returned] <- round numbers within the range, at most max_tics of them, none nearer to
// another than their texts allow where max_tics of these fill the axis.
int axis_tics(const axis *a, int max_tics, double tics[AXIS_MAX_TICS]);

// "12 300", "0.042": at most four digits that count, thousands apart. Returns out.
enum { NUMBER_TEXT = 40 };
const char *number_text(char out[NUMBER_TEXT], double value);

// gnuplot's range and tics of the axis; name is "x" or "y".
void axis_write(FILE *script, const char *name, const axis *a, int max_tics);

#endif
