// SPDX-License-Identifier: Apache-2.0
// What the kernels should return, in double precision and in the plainest order; it shares no
// code with src/kernels, so that an error there cannot hide here.
#ifndef ORACLE_H
#define ORACLE_H

#include "kernels/kernels.h"

// One cell of a product: its sum and what its roundings are measured by, sum |x w|.
typedef struct oracle_sum {
    double sum, magnitude;
} oracle_sum;

oracle_sum oracle_dot(const float *x, const float *w, int k);
double oracle_activate(double x, wb_activation activation);

// y[d] <- layer norm of a + b. deviation <- sqrt(var + eps), which measures its errors.
void oracle_add_norm(double *y, double *deviation, const float *a, const float *b,
                     const float *gamma, const float *beta, double eps, int d);

// p[n] <- softmax of s[n]
void oracle_softmax(double *p, const double *s, int n);

// One row of attention: y[d_head] <- softmax(scale q . k^T) . v, and magnitude[d_head] <- the
// same with |v|. p[n_keys] holds the probabilities after. greatest_score_error <- the largest of
// scale * sum |q k|, in which the scores' rounding errors are counted.
void oracle_attention(double *y, double *magnitude, double *p, double *greatest_score_error,
                      const float *q, const float *k, const float *v, int ld, int n_keys,
                      int d_head, double scale);

#endif
