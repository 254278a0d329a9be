// SPDX-License-Identifier: Apache-2.0
// From points to watts, and from windows to a mean with its interval.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "energy/meter.h"

// sum (t - t_mean)(j - j_mean) / sum (t - t_mean)^2. Means first: joules since the start of a
// window are large beside their scatter.
double wb_fit_watts(const wb_point *points, int n) {
    double t_mean = 0.0, j_mean = 0.0, covariance = 0.0, variance = 0.0;
    for (int i = 0; i < n; i++) {
        t_mean += points[i].t_s / n;
        j_mean += points[i].joules / n;
    }
    for (int i = 0; i < n; i++) {
        const double t = points[i].t_s - t_mean;
        covariance += t * (points[i].joules - j_mean);
        variance += t * t;
    }
    return covariance / variance;
}

double wb_student_t(int freedom) {
    // NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, column 0.975.
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                   2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                   2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                   2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    const int n_table = (int)(sizeof table / sizeof *table);
    if (freedom <= n_table) return table[freedom - 1];
    // Abramowitz and Stegun 26.7.5, two terms: right to 4 decimals from 31 degrees on.
    const double z = 1.959964, v = freedom;
    const double z3 = z * z * z, z5 = z3 * z * z;
    return z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v);
}

typedef struct interval {
    double mean, half_width;
} interval;

// Mean and half of the 95 % interval of n values that lie stride bytes apart.
static interval interval_of(const double *first, int n, size_t stride) {
    double mean = 0.0, squares = 0.0;
    for (int i = 0; i < n; i++)
        mean += *(const double *)(const void *)((const char *)first + (size_t)i * stride) / n;
    for (int i = 0; i < n; i++) {
        const double value =
            *(const double *)(const void *)((const char *)first + (size_t)i * stride);
        squares += (value - mean) * (value - mean);
    }
    const double error = n > 1 ? sqrt(squares / (n - 1) / n) : 0.0;
    return (interval){.mean = mean, .half_width = n > 1 ? wb_student_t(n - 1) * error : 0.0};
}

// Adds the words of flags that out lacks.
static void add_flags(char *out, size_t capacity, const char *flags) {
    while (*flags) {
        char word[64];
        const size_t n = strcspn(flags, " ");
        if (n > 0 && n < sizeof word) {
            memcpy(word, flags, n);
            word[n] = 0;
            const size_t used = strlen(out);
            if (!strstr(out, word))
                snprintf(out + used, capacity - used, "%s%s", used ? " " : "", word);
        }
        flags += n;
        flags += strspn(flags, " ");
    }
}

// A window that failed is all zeros: its mean with others would be quietly wrong.
static wb_status check_windows(const wb_window *windows, int n_windows, wb_error *err) {
    if (n_windows < 1) return wb_fail(err, WB_ERR_ARGUMENT, 0, "an estimate of no windows");
    for (int i = 0; i < n_windows; i++)
        if (windows[i].passes < 1 || !isfinite(windows[i].joules_per_pass))
            return wb_fail(err, WB_ERR_ARGUMENT, 0, "window %d of an estimate holds no measurement",
                           i);
    return WB_OK;
}

wb_status wb_estimate_from_windows(const wb_window *windows, int n_windows, wb_estimate *out,
                                   wb_error *err) {
    *out = (wb_estimate){0};
    const wb_status status = check_windows(windows, n_windows, err);
    if (status) return status;
    const interval joules = interval_of(&windows->joules_per_pass, n_windows, sizeof *windows);
    const interval seconds = interval_of(&windows->seconds_per_pass, n_windows, sizeof *windows);
    double uncertainty = 0.0;
    bool is_modelled = false;
    out->n_windows = n_windows;
    for (int i = 0; i < n_windows; i++) {
        uncertainty += windows[i].joules_uncertainty / n_windows;
        out->idle_w += windows[i].idle_w / n_windows;
        out->measured_s += windows[i].seconds;
        is_modelled = is_modelled || strcmp(windows[i].method, "modelled") == 0;
        add_flags(out->flags, sizeof out->flags, windows[i].flags);
    }
    // Windows that agree because the counter is coarse are not exact: never narrower than what the
    // steps leave open, which averages out over windows.
    const double half = fmax(joules.half_width, uncertainty / sqrt((double)n_windows));
    out->joules = joules.mean;
    out->repeat_low = fmax(0.0, joules.mean - half);
    out->repeat_high = joules.mean + half;
    out->low = is_modelled ? fmin(out->repeat_low, 0.5 * joules.mean) : out->repeat_low;
    out->high = is_modelled ? fmax(out->repeat_high, 2.0 * joules.mean) : out->repeat_high;
    out->seconds = seconds.mean;
    out->seconds_low = fmax(0.0, seconds.mean - seconds.half_width);
    out->seconds_high = seconds.mean + seconds.half_width;
    out->net_joules = fmax(0.0, joules.mean - out->idle_w * seconds.mean);
    snprintf(out->method, sizeof out->method, "%s", is_modelled ? "modelled" : "measured");
    return WB_OK;
}
