// SPDX-License-Identifier: Apache-2.0
// gnuplot would choose ranges and tics itself, but then nobody could know where a point lands, and
// labels could not be kept apart (place.c).
#include "report/axis.h"

#include <math.h>
#include <string.h>

// Of the place that one of max_tics has on average. 0.9 keeps 43 of 48 pixels, a text of six
// digits.
static const double NEAREST_TICS = 0.9;

axis axis_linear(void) {
    return (axis){.is_log = false, .low = NAN, .high = NAN};
}

axis axis_log(void) {
    return (axis){.is_log = true, .low = NAN, .high = NAN};
}

void axis_add(axis *a, double value) {
    if (!isfinite(value) || (a->is_log && value <= 0.0)) return;
    if (!(a->low <= value)) a->low = value;
    if (!(a->high >= value)) a->high = value;
}

void axis_pad(axis *a, double before, double after) {
    if (isnan(a->low)) a->low = a->high = 1.0;
    if (a->is_log) {
        // At least a factor of 1.2, so that a single value has an axis too.
        const double length = fmax(log(a->high / a->low), log(1.2));
        a->low *= exp(-before * length);
        a->high *= exp(after * length);
        return;
    }
    const double length = fmax(a->high - a->low, 1e-3 * fmax(fabs(a->high), 1e-3));
    a->low -= before * length;
    a->high += after * length;
}

double axis_position(const axis *a, double value) {
    return a->is_log ? log(value / a->low) / log(a->high / a->low)
                     : (value - a->low) / (a->high - a->low);
}

static int linear_tics(const axis *a, int max_tics, double *tics) {
    const double least = (a->high - a->low) / max_tics;
    double step = pow(10.0, floor(log10(least)));
    static const double factors[] = {1.0, 2.0, 2.5, 5.0, 10.0};
    int factor = 0;
    while (factor < 4 && factors[factor] * step < least) factor++;
    step *= factors[factor];
    int n_tics = 0;
    for (double i = ceil(a->low / step - 1e-9); i * step <= a->high + 1e-9 * step; i++)
        if (n_tics < AXIS_MAX_TICS) tics[n_tics++] = i == 0.0 ? 0.0 : i * step;  // never -0
    return n_tics;
}

// All mantissa x 10^k in the range, or 0 if they are too many or two stand too near for their
// texts: a logarithm's tics are not evenly apart.
static int decade_tics(const axis *a, int max_tics, const double *mantissas, double *tics) {
    int n_tics = 0;
    for (double k = floor(log10(a->low)); k <= log10(a->high); k++)
        for (int i = 0; mantissas[i] > 0.0; i++) {
            const double value = mantissas[i] * pow(10.0, k);
            if (value < a->low || value > a->high) continue;
            if (n_tics == max_tics || n_tics == AXIS_MAX_TICS) return 0;
            if (n_tics > 0 && axis_position(a, value) - axis_position(a, tics[n_tics - 1]) <
                                  NEAREST_TICS / max_tics)
                return 0;
            tics[n_tics++] = value;
        }
    return n_tics;
}

int axis_tics(const axis *a, int max_tics, double tics[AXIS_MAX_TICS]) {
    if (!a->is_log) return linear_tics(a, max_tics, tics);
    static const double choices[][10] = {
        {1, 1.5, 2, 3, 4, 5, 7, 0}, {1, 2, 3, 5, 0}, {1, 2, 5, 0}, {1, 3, 0}, {1, 0}};
    if (a->high / a->low > 3.0)
        for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
            const int n_tics = decade_tics(a, max_tics, choices[i], tics);
            if (n_tics > 1) return n_tics;
        }
    return linear_tics(a, max_tics, tics);  // so short that a logarithm is nearly straight
}

const char *number_text(char out[NUMBER_TEXT], double value) {
    const double size = fabs(value);
    if (size != 0.0 && (size < 1e-4 || size >= 1e9)) {
        snprintf(out, NUMBER_TEXT, "%.3g", value);
        return out;
    }
    char digits[NUMBER_TEXT];
    const int n_decimals = size >= 1000.0 || size == 0.0 ? 0 : 3 - (int)floor(log10(size));
    snprintf(digits, sizeof digits, "%.*f", n_decimals, value);
    if (n_decimals > 0) {
        char *end = digits + strlen(digits);
        while (end[-1] == '0') *--end = 0;
        if (end[-1] == '.') *--end = 0;
    }
    // Thousands stand apart by a narrow no-break space, as ISO 80000 has it.
    const size_t n_whole = strcspn(digits, ".");
    size_t n_out = 0;
    for (size_t i = 0; digits[i]; i++) {
        const bool is_digit = digits[i] >= '0' && digits[i] <= '9';
        if (i > 0 && i < n_whole && is_digit && (n_whole - i) % 3 == 0 && n_whole > 4) {
            memcpy(out + n_out, "\u202f", 3);
            n_out += 3;
        }
        out[n_out++] = digits[i];
    }
    out[n_out] = 0;
    return out;
}

void axis_write(FILE *script, const char *name, const axis *a, int max_tics) {
    double tics[AXIS_MAX_TICS];
    char text[NUMBER_TEXT];
    const int n_tics = axis_tics(a, max_tics, tics);
    fprintf(script, "%s logscale %s\n", a->is_log ? "set" : "unset", name);
    fprintf(script, "set %srange [%.9g:%.9g]\nset %stics (", name, a->low, a->high, name);
    for (int i = 0; i < n_tics; i++)
        fprintf(script, "%s'%s' %.9g", i ? ", " : "", number_text(text, tics[i]), tics[i]);
    fprintf(script, ")\n");
}
