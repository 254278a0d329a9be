// SPDX-License-Identifier: Apache-2.0
// Kernels that go along rows. All of them must return the scalar set's bits as well.
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "check.h"
#include "oracle.h"

static const double unit = 0x1p-24;

static size_t cells(int m, int ld, int n) {
    return (size_t)(m - 1) * (size_t)ld + (size_t)n;
}

static int draw_ld(check *c, int n) {
    return n + (check_below(c, 2) ? check_below(c, 20) : 0);
}

void check_quantize_i8(check *c) {
    for (int round = 0; round < check_rounds(c, 200) && !c->has_failed; round++) {
        const int m = check_dimension(c, 10), k = check_dimension(c, 800);
        const int ld_x = draw_ld(c, k), ld_q = draw_ld(c, k);
        const check_data data = check_draw_data(c);
        check_begin_round(c, "m %d k %d ld_x %d ld_q %d, %s", m, k, ld_x, ld_q,
                          check_data_name(data));
        const float *x = check_random_floats(c, cells(m, ld_x, k), data);
        float *scale = check_floats(c, (size_t)m);
        uint8_t *q = check_bytes(c, cells(m, ld_q, k), 1);
        c->now->quantize_i8(q, ld_q, scale, x, ld_x, m, k);
        if (!check_guards(c) || !check_gaps(c, q, 1, m, k, ld_q)) return;
        for (int i = 0; i < m; i++) {
            const float *row = x + (size_t)i * (size_t)ld_x;
            float absmax = 0.0f;
            for (int j = 0; j < k; j++) absmax = fmaxf(absmax, fabsf(row[j]));
            const bool is_zero = absmax < 0x1p-100f;  // as the contract says
            const float want_scale = is_zero ? 0.0f : absmax / 127.0f;
            const float inverse = is_zero ? 0.0f : 127.0f / absmax;
            if (!check_near(c, (size_t)i, (double)want_scale, scale[i], 0.0)) return;
            for (int j = 0; j < k; j++) {
                const long want = 128 + lrint((double)row[j] * (double)inverse);
                const size_t cell = (size_t)i * (size_t)ld_q + (size_t)j;
                if (!check_integer(c, cell, want, q[cell])) return;
            }
        }
    }
}

// Factors from those that send everything to 0 to those that saturate everything.
static void fill_factors(check *c, float *factor, int k) {
    const float scale = ldexpf(127.0f, check_below(c, 3) ? 0 : check_below(c, 60) - 30);
    for (int j = 0; j < k; j++)
        factor[j] = check_below(c, 20) ? scale * check_uniform(c, 0.0f, 2.0f) : 0.0f;
}

static long quantize_one(float x, float factor) {
    const double product = (double)x * (double)factor;  // exact
    if (isnan(product)) return 128 - 127;
    return 128 + lrint(fmin(fmax(product, -127.0), 127.0));
}

void check_quantize_i8_static(check *c) {
    static const float strange[] = {NAN, -NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -0.0f};
    for (int round = 0; round < check_rounds(c, 200) && !c->has_failed; round++) {
        const int m = check_dimension(c, 10), k = check_dimension(c, 800);
        const int ld_x = draw_ld(c, k), ld_q = draw_ld(c, k);
        const check_data data = check_draw_data(c);
        const bool is_strange = check_below(c, 4) == 0;
        check_begin_round(c, "m %d k %d ld_x %d ld_q %d, %s%s", m, k, ld_x, ld_q,
                          check_data_name(data), is_strange ? ", NaNs and infinities" : "");
        float *x = check_random_floats(c, cells(m, ld_x, k), data);
        for (size_t i = 0; is_strange && i < cells(m, ld_x, k); i++)
            if (check_below(c, 3) == 0) x[i] = strange[check_below(c, 8)];
        float *factor = check_floats(c, (size_t)k);
        fill_factors(c, factor, k);
        uint8_t *q = check_bytes(c, cells(m, ld_q, k), 1);
        c->now->quantize_i8_static(q, ld_q, x, ld_x, factor, m, k);
        if (!check_guards(c) || !check_gaps(c, q, 1, m, k, ld_q)) return;
        for (int i = 0; i < m; i++)
            for (int j = 0; j < k; j++) {
                const float from = x[(size_t)i * (size_t)ld_x + (size_t)j];
                const size_t cell = (size_t)i * (size_t)ld_q + (size_t)j;
                if (!check_integer(c, cell, quantize_one(from, factor[j]), q[cell])) return;
            }
    }
}

static float draw_any_float(check *c) {
    const uint32_t bits = (uint32_t)wb_random_next(&c->random);
    // Half of them near where f16 rounds, ends and becomes denormal.
    return check_below(c, 2) ? wb_f32_from_bits(bits)
                             : ldexpf((float)(int32_t)bits, -31 + check_below(c, 44) - 26);
}

static void check_cast(check *c, bool is_bf16) {
    for (int round = 0; round < check_rounds(c, 300) && !c->has_failed; round++) {
        const int m = check_dimension(c, 10), k = check_dimension(c, 300);
        const int ld_x = draw_ld(c, k), ld_y = draw_ld(c, k);
        check_begin_round(c, "m %d k %d ld_x %d ld_y %d", m, k, ld_x, ld_y);
        float *x = check_floats(c, cells(m, ld_x, k));
        for (size_t i = 0; i < cells(m, ld_x, k); i++) x[i] = draw_any_float(c);
        uint16_t *y = check_bytes(c, cells(m, ld_y, k) * sizeof *y, sizeof *y);
        (is_bf16 ? c->now->cast_bf16 : c->now->cast_f16)(y, ld_y, x, ld_x, m, k);
        if (!check_rounded(c, y, ld_y, x, ld_x, m, k, is_bf16)) return;
    }
}

void check_cast_bf16(check *c) {
    check_cast(c, true);
}

void check_cast_f16(check *c) {
    check_cast(c, false);
}

typedef struct norm {
    int m, d, ld_y, ld_a, ld_b;
    const float *a, *b, *gamma, *beta;
    float eps;
} norm;

static bool check_norm_rows(check *c, const norm *p, const float *y) {
    for (int i = 0; i < p->m; i++) {
        const float *a = p->a + (size_t)i * (size_t)p->ld_a,
                    *b = p->b + (size_t)i * (size_t)p->ld_b;
        double want[1024], deviation, greatest = 0.0;
        oracle_add_norm(want, &deviation, a, b, p->gamma, p->beta, (double)p->eps, p->d);
        for (int j = 0; j < p->d; j++) greatest = fmax(greatest, fabs((double)a[j] + (double)b[j]));
        for (int j = 0; j < p->d; j++) {
            // z and the mean are off by units of the largest z, the mean by a sum's in 16 lanes;
            // the quotient, the deviation and the last step by a few of the result.
            const double gamma = fabs((double)p->gamma[j]), beta = fabs((double)p->beta[j]);
            const double lanes = 6.0 + sqrt(p->d / 16.0);
            const double allowed = gamma / deviation * greatest * unit * lanes +
                                   unit * (fabs(want[j]) + beta) * (6.0 + lanes) + 0x1p-126;
            const size_t cell = (size_t)i * (size_t)p->ld_y + (size_t)j;
            if (!check_near(c, cell, want[j], y[cell], allowed)) return false;
        }
    }
    return true;
}

void check_add_norm(check *c) {
    for (int round = 0; round < check_rounds(c, 200) && !c->has_failed; round++) {
        const int m = check_dimension(c, 10), d = check_dimension(c, 1024);
        const check_data data = check_draw_data(c);
        norm p = {m,    d,    draw_ld(c, d), draw_ld(c, d), draw_ld(c, d),
                  NULL, NULL, NULL,          NULL,          1e-12f};
        // In place, as the forward pass calls it, every other time.
        const bool is_in_place = check_below(c, 2);
        if (is_in_place) p.ld_a = p.ld_y;
        check_begin_round(c, "m %d d %d ld_y %d ld_a %d ld_b %d, %s%s", m, d, p.ld_y, p.ld_a,
                          p.ld_b, check_data_name(data), is_in_place ? ", y is a" : "");
        p.a = check_random_floats(c, cells(m, p.ld_a, d), data);
        p.b = check_random_floats(c, cells(m, p.ld_b, d), data);
        p.gamma = check_random_floats(c, (size_t)d, DATA_UNIFORM);
        p.beta = check_random_floats(c, (size_t)d, DATA_UNIFORM);
        float *y = check_floats(c, cells(m, p.ld_y, d)),
              *scalar = check_floats(c, cells(m, p.ld_y, d));
        c->scalar->add_norm(scalar, p.ld_y, p.a, p.ld_a, p.b, p.ld_b, p.gamma, p.beta, p.eps, m, d);
        if (is_in_place) memcpy(y, p.a, cells(m, p.ld_a, d) * sizeof *y);
        c->now->add_norm(y, p.ld_y, is_in_place ? y : p.a, p.ld_a, p.b, p.ld_b, p.gamma, p.beta,
                         p.eps, m, d);
        if (!check_guards(c) || (!is_in_place && !check_gaps(c, y, sizeof *y, m, d, p.ld_y)))
            return;
        // Without spread there is nothing but rounding errors to divide by.
        const bool has_spread = data != DATA_EQUAL && data != DATA_DENORMAL && d > 1;
        if (has_spread && !check_norm_rows(c, &p, y)) return;
        if (!check_same(c, "scalar", scalar, p.ld_y, y, p.ld_y, m, d)) return;
    }
}

static bool check_softmax_row(check *c, const float *s, const float *y, int n, int n_valid,
                              size_t cell) {
    double values[1024], p[1024], greatest = -INFINITY;
    for (int j = 0; j < n_valid; j++) {
        values[j] = (double)s[j];
        greatest = fmax(greatest, values[j]);
    }
    oracle_softmax(p, values, n_valid);
    for (int j = 0; j < n; j++) {
        // The difference from the maximum is rounded and then exponentiated; exp, the sum in 16
        // lanes and the quotient add their own.
        const double want = j < n_valid ? p[j] : 0.0;
        const double exponent = j < n_valid ? greatest - values[j] : 0.0;
        const double allowed =
            want * unit * (exponent + 8.0 + sqrt(n_valid / 16.0)) + (j < n_valid ? 0x1p-125 : 0.0);
        if (!check_near(c, cell + (size_t)j, want, y[j], allowed)) return false;
    }
    return true;
}

void check_softmax(check *c) {
    for (int round = 0; round < check_rounds(c, 300) && !c->has_failed; round++) {
        const int m = check_dimension(c, 10), n = check_dimension(c, 520), ld = draw_ld(c, n);
        const int n_valid = check_below(c, 3) ? n : check_below(c, n + 1);
        const float range = check_below(c, 3) ? 5.0f : 300.0f;
        check_begin_round(c, "m %d n %d n_valid %d ld %d, scores in +-%g", m, n, n_valid, ld,
                          (double)range);
        float *s = check_floats(c, cells(m, ld, n)), *y = check_floats(c, cells(m, ld, n));
        float *scalar = check_floats(c, cells(m, ld, n));
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
                s[(size_t)i * (size_t)ld + (size_t)j] = check_uniform(c, -range, range);
        memcpy(y, s, cells(m, ld, n) * sizeof *y);
        memcpy(scalar, s, cells(m, ld, n) * sizeof *scalar);
        c->now->softmax(y, ld, m, n, n_valid);
        c->scalar->softmax(scalar, ld, m, n, n_valid);
        if (!check_guards(c)) return;
        for (int i = 0; i < m; i++) {
            const size_t row = (size_t)i * (size_t)ld;
            if (!check_softmax_row(c, s + row, y + row, n, n_valid, row)) return;
        }
        if (!check_same(c, "scalar", scalar, ld, y, ld, m, n)) return;
    }
}
