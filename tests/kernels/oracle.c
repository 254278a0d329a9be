// SPDX-License-Identifier: Apache-2.0
// The textbook, in double precision.
#include "oracle.h"

#include <math.h>

oracle_sum oracle_dot(const float *x, const float *w, int k) {
    oracle_sum s = {0.0, 0.0};
    for (int i = 0; i < k; i++) {
        const double product = (double)x[i] * (double)w[i];
        s.sum += product;
        s.magnitude += fabs(product);
    }
    return s;
}

double oracle_activate(double x, wb_activation activation) {
    switch (activation) {
        case WB_GELU: return x / 2.0 * erfc(-x / sqrt(2.0));
        case WB_RELU: return x > 0.0 ? x : 0.0;
        case WB_SILU: return x / (1.0 + exp(-x));
        default: return x;
    }
}

void oracle_add_norm(double *y, double *deviation, const float *a, const float *b,
                     const float *gamma, const float *beta, double eps, int d) {
    double mean = 0.0, variance = 0.0;
    for (int j = 0; j < d; j++) mean += ((double)a[j] + (double)b[j]) / d;
    for (int j = 0; j < d; j++) {
        y[j] = (double)a[j] + (double)b[j] - mean;
        variance += y[j] * y[j] / d;
    }
    *deviation = sqrt(variance + eps);
    for (int j = 0; j < d; j++) y[j] = (double)gamma[j] * y[j] / *deviation + (double)beta[j];
}

void oracle_softmax(double *p, const double *s, int n) {
    double greatest = -INFINITY, sum = 0.0;
    for (int j = 0; j < n; j++) greatest = fmax(greatest, s[j]);
    for (int j = 0; j < n; j++) sum += p[j] = exp(s[j] - greatest);
    for (int j = 0; j < n; j++) p[j] /= sum;
}

void oracle_attention(double *y, double *magnitude, double *p, double *greatest_score_error,
                      const float *q, const float *k, const float *v, int ld, int n_keys,
                      int d_head, double scale) {
    *greatest_score_error = 0.0;
    for (int key = 0; key < n_keys; key++) {
        const oracle_sum s = oracle_dot(q, k + (long)key * ld, d_head);
        p[key] = s.sum * scale;
        *greatest_score_error = fmax(*greatest_score_error, s.magnitude * fabs(scale));
    }
    oracle_softmax(p, p, n_keys);
    for (int d = 0; d < d_head; d++) {
        y[d] = magnitude[d] = 0.0;
        for (int key = 0; key < n_keys; key++) {
            const double value = (double)v[(long)key * ld + d];
            y[d] += p[key] * value;
            magnitude[d] += p[key] * fabs(value);
        }
    }
}
