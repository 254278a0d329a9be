// SPDX-License-Identifier: Apache-2.0
// Attention of one head, tiled and materialised, against the oracle and the scalar set's bits.
#include <math.h>
#include <string.h>

#include "check.h"
#include "oracle.h"

static const double unit = 0x1p-24;

enum { MOST_KEYS = 600, MOST_D_HEAD = 130 };

typedef struct head {
    int n_query, n_keys, d_head, ld, ld_y;
    float scale;
    check_data data;
    const float *q, *k, *v;  // columns of one matrix, as the fused linear layer writes them
    float *scratch;
} head;

static size_t cells(int m, int ld, int n) {
    return (size_t)(m - 1) * (size_t)ld + (size_t)n;
}

static head draw_head(check *c, int round) {
    static const int wide[][3] = {{9, 600, 64}, {130, 130, 64}, {25, 25, 32}, {7, 512, 20}};
    const int n_wide = (int)(sizeof wide / sizeof wide[0]);
    head h = {.n_keys = round < n_wide ? wide[round][1] : check_dimension(c, 140)};
    h.n_query = round < n_wide ? wide[round][0] : check_dimension(c, 40);
    h.d_head = round < n_wide      ? wide[round][2]
               : check_below(c, 3) ? 16 * (1 + check_below(c, 5))
                                   : check_dimension(c, MOST_D_HEAD);
    h.ld = 3 * h.d_head + check_below(c, 10);
    h.ld_y = h.d_head + (check_below(c, 2) ? check_below(c, 20) : 0);
    h.scale = 1.0f / sqrtf((float)h.d_head);
    h.data = check_draw_data(c);
    check_begin_round(c, "n_query %d n_keys %d d_head %d ld %d ld_y %d, %s", h.n_query, h.n_keys,
                      h.d_head, h.ld, h.ld_y, check_data_name(h.data));
    const int rows = h.n_query > h.n_keys ? h.n_query : h.n_keys;
    const float *qkv = check_random_floats(c, cells(rows, h.ld, 3 * h.d_head), h.data);
    h.q = qkv;
    h.k = qkv + h.d_head;
    h.v = qkv + 2 * h.d_head;
    return h;
}

static float *draw_scratch(check *c, const wb_kernels *kernels, const head *h) {
    return check_floats(c, kernels->attention_scratch(h->n_keys, h->d_head));
}

// What scale sum |q k| leaves of the scores' roundings.
static double score_error(const head *h, double magnitude) {
    const double d = h->d_head;
    return magnitude * unit * (check_is_random(h->data) ? 4.0 * sqrt(d) + 2.0 : d + 2.0);
}

static bool check_context_rows(check *c, const head *h, const float *y) {
    for (int i = 0; i < h->n_query; i++) {
        double want[MOST_D_HEAD], magnitude[MOST_D_HEAD], p[MOST_KEYS], greatest;
        oracle_attention(want, magnitude, p, &greatest, h->q + (size_t)i * (size_t)h->ld, h->k,
                         h->v, h->ld, h->n_keys, h->d_head, (double)h->scale);
        // A score's error e turns its exponential by e^e - 1, and the sum by as much. Differences
        // from the maximum are rounded in units of the scores; then come exp, the sums over tiles,
        // and the product with the values.
        const double e = score_error(h, greatest) + 2.0 * unit * greatest;
        const double relative =
            2.0 * expm1(fmin(e, 50.0)) + unit * (16.0 + 4.0 * sqrt(h->n_keys) + h->n_keys / 64.0);
        for (int d = 0; d < h->d_head; d++) {
            const size_t cell = (size_t)i * (size_t)h->ld_y + (size_t)d;
            const double bound = (check_is_random(h->data) ? 1.0 : sqrt(h->n_keys)) * relative;
            if (!check_near(c, cell, want[d], y[cell], bound * magnitude[d] + 0x1p-120))
                return false;
        }
    }
    return true;
}

static void run_flash(check *c, const wb_kernels *kernels, const head *h, float *y) {
    kernels->attention_flash(y, h->ld_y, h->q, h->k, h->v, h->ld, h->n_query, h->n_keys, h->d_head,
                             h->scale, draw_scratch(c, kernels, h));
}

void check_attention_flash(check *c) {
    for (int round = 0; round < check_rounds(c, 150) && !c->has_failed; round++) {
        const head h = draw_head(c, round);
        float *y = check_floats(c, cells(h.n_query, h.ld_y, h.d_head));
        float *scalar = check_floats(c, cells(h.n_query, h.ld_y, h.d_head));
        run_flash(c, c->now, &h, y);
        if (!check_guards(c) || !check_gaps(c, y, sizeof *y, h.n_query, h.d_head, h.ld_y)) return;
        if (!check_context_rows(c, &h, y)) return;
        run_flash(c, c->scalar, &h, scalar);
        if (!check_same(c, "scalar", scalar, h.ld_y, y, h.ld_y, h.n_query, h.d_head)) return;
    }
}

void check_attention_scores(check *c) {
    for (int round = 0; round < check_rounds(c, 150) && !c->has_failed; round++) {
        const head h = draw_head(c, round);
        const int ld_s = h.n_keys + (check_below(c, 2) ? check_below(c, 20) : 0);
        float *s = check_floats(c, cells(h.n_query, ld_s, h.n_keys));
        float *scalar = check_floats(c, cells(h.n_query, ld_s, h.n_keys));
        c->now->attention_scores(s, ld_s, h.q, h.k, h.ld, h.n_query, h.n_keys, h.d_head, h.scale,
                                 draw_scratch(c, c->now, &h));
        c->scalar->attention_scores(scalar, ld_s, h.q, h.k, h.ld, h.n_query, h.n_keys, h.d_head,
                                    h.scale, draw_scratch(c, c->scalar, &h));
        if (!check_guards(c) || !check_gaps(c, s, sizeof *s, h.n_query, h.n_keys, ld_s)) return;
        for (int i = 0; i < h.n_query; i++)
            for (int j = 0; j < h.n_keys; j++) {
                const oracle_sum want = oracle_dot(h.q + (size_t)i * (size_t)h.ld,
                                                   h.k + (size_t)j * (size_t)h.ld, h.d_head);
                const double scale = (double)h.scale;
                const size_t cell = (size_t)i * (size_t)ld_s + (size_t)j;
                if (!check_near(c, cell, want.sum * scale, s[cell],
                                score_error(&h, want.magnitude * scale) + 0x1p-126))
                    return;
            }
        if (!check_same(c, "scalar", scalar, ld_s, s, ld_s, h.n_query, h.n_keys)) return;
    }
}

void check_attention_context(check *c) {
    for (int round = 0; round < check_rounds(c, 150) && !c->has_failed; round++) {
        const head h = draw_head(c, round);
        const int ld_s = h.n_keys + (check_below(c, 2) ? check_below(c, 20) : 0);
        const float *s = check_random_floats(c, cells(h.n_query, ld_s, h.n_keys), h.data);
        float *y = check_floats(c, cells(h.n_query, h.ld_y, h.d_head));
        float *scalar = check_floats(c, cells(h.n_query, h.ld_y, h.d_head));
        c->now->attention_context(y, h.ld_y, s, ld_s, h.v, h.ld, h.n_query, h.n_keys, h.d_head);
        c->scalar->attention_context(scalar, h.ld_y, s, ld_s, h.v, h.ld, h.n_query, h.n_keys,
                                     h.d_head);
        if (!check_guards(c) || !check_gaps(c, y, sizeof *y, h.n_query, h.d_head, h.ld_y)) return;
        for (int i = 0; i < h.n_query; i++)
            for (int d = 0; d < h.d_head; d++) {
                double want = 0.0, magnitude = 0.0;
                for (int j = 0; j < h.n_keys; j++) {
                    const double product = (double)s[(size_t)i * (size_t)ld_s + (size_t)j] *
                                           (double)h.v[(size_t)j * (size_t)h.ld + (size_t)d];
                    want += product;
                    magnitude += fabs(product);
                }
                const double n = h.n_keys;
                const double steps = check_is_random(h.data) ? 4.0 * sqrt(n) + 1.0 : n;
                const size_t cell = (size_t)i * (size_t)h.ld_y + (size_t)d;
                if (!check_near(c, cell, want, y[cell], magnitude * unit * steps + 0x1p-126))
                    return;
            }
        if (!check_same(c, "scalar", scalar, h.ld_y, y, h.ld_y, h.n_query, h.d_head)) return;
    }
}
