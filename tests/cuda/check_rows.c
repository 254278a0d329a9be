// SPDX-License-Identifier: Apache-2.0
// The kernels over single rows: embeddings, layer norms, what follows a product, moves and casts.
#include <math.h>
#include <string.h>

#include "gpucheck.h"
#include "model/model.h"

static const wb_cell float_cells[] = {WB_CELL_F32, WB_CELL_F16, WB_CELL_BF16};
static const int widths[] = {16, 64, 192, 256, 512, 768, 776, 1024, 2048};

// Some way of writing a row: its own cell, another, or quantized; poisoned room for it. Static
// multipliers by column are kept in multipliers[width] for the oracle, else *has_columns is false.
static wb_narrow draw_narrow(check *c, int m, int width, float *multipliers, bool *has_columns) {
    static const wb_cell cells[] = {WB_CELL_F32, WB_CELL_F16, WB_CELL_BF16, WB_CELL_FP8,
                                    WB_CELL_I8};
    wb_narrow narrow = {.cell = cells[check_below(c, 5)], .ld = width + 16 * check_below(c, 2)};
    *has_columns = false;
    narrow.rows = check_poisoned(c, (size_t)m * (size_t)narrow.ld * wb_cell_bytes(narrow.cell));
    if (narrow.cell != WB_CELL_FP8 && narrow.cell != WB_CELL_I8) return narrow;
    const float most = narrow.cell == WB_CELL_FP8 ? 448.0f : 127.0f;
    switch (check_below(c, 3)) {
        case 0: narrow.row_scale = check_poisoned(c, (size_t)m * sizeof(float)); break;
        case 1: narrow.multiplier = most / check_uniform(c, 2.0f, 6.0f); break;
        default:
            for (int i = 0; i < width; i++) multipliers[i] = most / check_uniform(c, 1.0f, 6.0f);
            narrow.column_multiplier = check_upload(c, multipliers, (size_t)width * sizeof(float));
            *has_columns = true;
    }
    return narrow;
}

// y[d] <- gamma (z - mean) / sqrt(var + eps) + beta
static void norm_oracle(double *y, const double *z, const float *gamma, const float *beta, int d) {
    double mean = 0.0, variance = 0.0;
    for (int i = 0; i < d; i++) mean += z[i] / d;
    for (int i = 0; i < d; i++) variance += (z[i] - mean) * (z[i] - mean) / d;
    for (int i = 0; i < d; i++)
        y[i] = (z[i] - mean) / sqrt(variance + 1e-12) * (double)gamma[i] + (double)beta[i];
}

// x and narrow of a norm against want[m, d].
static bool check_normed(check *c, const void *x, wb_cell x_cell, const wb_narrow *narrow,
                         const double *want, int m, int d, const float *multipliers) {
    const wb_narrow as_x = {.rows = (void *)(uintptr_t)x, .cell = x_cell, .ld = d};
    // Sums of d terms in f32, and the square root's two last bits.
    const double slack = 4e-6 * sqrt((double)d);
    return check_narrow(c, &as_x, want, m, d, slack, NULL) &&
           check_narrow(c, narrow, want, m, d, slack, multipliers);
}

void check_embed(check *c) {
    for (int round = 0; round < check_rounds(c, 20); round++) {
        const wb_cell cell = float_cells[check_below(c, 3)];
        const int d = widths[check_below(c, 9)], m = 1 + check_below(c, 70), n_words = 50;
        check_begin(c, "m %d, d %d, %s", m, d, cell_name(cell));
        const size_t n = (size_t)n_words * (size_t)d;
        float *words = new_array(n, 4), *positions = new_array(n, 4);
        float *gamma = new_array((size_t)d, 4), *beta = new_array((size_t)d, 4);
        float *multipliers = new_array((size_t)d, 4);
        int32_t *ids = new_array((size_t)m, 4), *at = new_array((size_t)m, 4);
        double *want = new_array((size_t)m * (size_t)d, 8), *z = new_array((size_t)d, 8);
        wb_embed_args args = {.cell = cell, .m = m, .d = d};
        args.words = check_random(c, words, n, cell, 1.0f);
        args.positions = check_random(c, positions, n, cell, 1.0f);
        args.gamma = check_random(c, gamma, (size_t)d, WB_CELL_F32, 1.5f);
        args.beta = check_random(c, beta, (size_t)d, WB_CELL_F32, 0.5f);
        for (int i = 0; i < m; i++) {
            ids[i] = check_below(c, n_words), at[i] = check_below(c, n_words);
            for (int j = 0; j < d; j++)
                z[j] = (double)words[ids[i] * d + j] + (double)positions[at[i] * d + j];
            norm_oracle(want + (size_t)i * (size_t)d, z, gamma, beta, d);
        }
        args.ids = check_upload(c, ids, (size_t)m * 4);
        args.position = check_upload(c, at, (size_t)m * 4);
        args.x = check_poisoned(c, (size_t)m * (size_t)d * wb_cell_bytes(cell));
        bool has_columns;
        args.narrow = draw_narrow(c, m, d, multipliers, &has_columns);
        check_gpu(wb_launch_embed(&args, c->stream), "embed");
        check_normed(c, args.x, cell, &args.narrow, want, m, d, has_columns ? multipliers : NULL);
        wb_free(words), wb_free(positions), wb_free(gamma), wb_free(beta), wb_free(multipliers);
        wb_free(ids), wb_free(at), wb_free(want), wb_free(z);
    }
}

void check_norm(check *c) {
    for (int round = 0; round < check_rounds(c, 40); round++) {
        const wb_cell a_cell = float_cells[check_below(c, 3)];
        const wb_cell x_cell = check_below(c, 2) ? WB_CELL_F32 : a_cell;
        const int d = widths[check_below(c, 9)], m = 1 + check_below(c, 70);
        const bool has_b = check_below(c, 2);
        check_begin(c, "m %d, d %d, a %s, x %s, b %d", m, d, cell_name(a_cell), cell_name(x_cell),
                    has_b);
        const size_t n = (size_t)m * (size_t)d;
        float *a = new_array(n, 4), *b = new_array(n, 4), *multipliers = new_array((size_t)d, 4);
        float *gamma = new_array((size_t)d, 4), *beta = new_array((size_t)d, 4);
        double *want = new_array(n, 8), *z = new_array((size_t)d, 8);
        wb_norm_args args = {.a_cell = a_cell, .x_cell = x_cell, .m = m, .d = d};
        args.a = check_random(c, a, n, a_cell, 2.0f);
        if (has_b) args.b = check_random(c, b, n, x_cell, 2.0f);
        args.gamma = check_random(c, gamma, (size_t)d, WB_CELL_F32, 1.5f);
        args.beta = check_random(c, beta, (size_t)d, WB_CELL_F32, 0.5f);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < d; j++) z[j] = (double)a[i * d + j] + (double)b[i * d + j];
            norm_oracle(want + (size_t)i * (size_t)d, z, gamma, beta, d);
        }
        // In place, as a forward has it, or not.
        args.x = has_b && check_below(c, 2) ? (void *)(uintptr_t)args.b
                                            : check_poisoned(c, n * wb_cell_bytes(x_cell));
        bool has_columns;
        args.narrow = draw_narrow(c, m, d, multipliers, &has_columns);
        check_gpu(wb_launch_norm(&args, c->stream), "norm");
        check_normed(c, args.x, x_cell, &args.narrow, want, m, d, has_columns ? multipliers : NULL);
        wb_free(a), wb_free(b), wb_free(gamma), wb_free(beta), wb_free(multipliers);
        wb_free(want), wb_free(z);
    }
}

static double activation_oracle(wb_activation activation, double x) {
    switch (activation) {
        case WB_GELU: return x / 2.0 * (1.0 + erf(x / sqrt(2.0)));
        case WB_RELU: return x > 0.0 ? x : 0.0;
        case WB_SILU: return x / (1.0 + exp(-x));
        default: return x;
    }
}

void check_finish(check *c) {
    static const wb_cell cells[] = {WB_CELL_F32, WB_CELL_F16, WB_CELL_BF16, WB_CELL_I32};
    static const int ns[] = {16, 128, 768, 1024, 2304, 3072, 4096, 8192};
    for (int round = 0; round < check_rounds(c, 40); round++) {
        const wb_cell cell = cells[check_below(c, 4)];
        const int n = ns[check_below(c, 8)], m = 1 + check_below(c, 20);
        wb_finish_args args = {.cell = cell, .ld_sums = n + 8 * check_below(c, 3), .m = m, .n = n};
        args.activation = (wb_activation)check_below(c, 4);
        const bool is_integer = cell == WB_CELL_I32;
        check_begin(c, "m %d, n %d, %s, activation %d", m, n, cell_name(cell), args.activation);
        const size_t area = (size_t)m * (size_t)args.ld_sums;
        float *sums = new_array(area, 4), *bias = new_array((size_t)n, 4);
        float *rows = new_array((size_t)m, 4), *columns = new_array((size_t)n, 4);
        float *multipliers = new_array((size_t)n, 4);
        double *want = new_array((size_t)m * (size_t)n, 8);
        args.sums = check_random(c, sums, area, cell, is_integer ? 1e5f : 4.0f);
        args.x_scale = is_integer ? 3e-5f : 1.0f;
        const bool has_rows = check_below(c, 2), has_columns = check_below(c, 2);
        void *row_scale = check_random(c, rows, (size_t)m, WB_CELL_F32, args.x_scale);
        void *column_scale = check_random(c, columns, (size_t)n, WB_CELL_F32, 1.0f);
        void *there = check_random(c, bias, (size_t)n, WB_CELL_F32, 1.0f);
        const bool has_bias = check_below(c, 2);
        args.row_scale = has_rows ? row_scale : NULL;
        args.column_scale = has_columns ? column_scale : NULL;
        args.bias = has_bias ? there : NULL;
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) {
                const double scale = (double)(has_rows ? rows[i] : args.x_scale) *
                                     (has_columns ? (double)columns[j] : 1.0);
                const double x = (double)sums[(size_t)i * (size_t)args.ld_sums + (size_t)j] * scale;
                want[(size_t)i * (size_t)n + (size_t)j] =
                    activation_oracle(args.activation, x + (has_bias ? (double)bias[j] : 0.0));
            }
        bool has_multipliers;
        args.narrow = draw_narrow(c, m, n, multipliers, &has_multipliers);
        check_gpu(wb_launch_finish(&args, c->stream), "finish");
        check_narrow(c, &args.narrow, want, m, n, 4e-6, has_multipliers ? multipliers : NULL);
        wb_free(sums), wb_free(bias), wb_free(rows), wb_free(columns), wb_free(multipliers);
        wb_free(want);
    }
}

void check_gather(check *c) {
    for (int round = 0; round < check_rounds(c, 10); round++) {
        const int m = 1 + check_below(c, 40), n_rows = 1 + check_below(c, 300);
        const int row_bytes[3] = {16 * (1 + check_below(c, 120)), 4 * check_below(c, 400), 4};
        check_begin(c, "%d of %d rows, %d %d %d bytes", m, n_rows, row_bytes[0], row_bytes[1],
                    row_bytes[2]);
        int32_t *texts = new_array(2 * (size_t)m, 4);
        for (int i = 0; i < m; i++) texts[2 * i] = check_below(c, n_rows);
        wb_gather_args args = {.m = m, .texts = check_upload(c, texts, 2 * (size_t)m * 4)};
        uint8_t *from[3];
        for (int p = 0; p < 3; p++) {
            const size_t n_bytes = (size_t)n_rows * (size_t)row_bytes[p];
            from[p] = new_array(n_bytes, 1);
            for (size_t i = 0; i < n_bytes; i++) from[p][i] = (uint8_t)check_below(c, 256);
            args.parts[p] = (wb_gather_part){check_poisoned(c, (size_t)m * (size_t)row_bytes[p]),
                                             check_upload(c, from[p], n_bytes), row_bytes[p]};
        }
        check_gpu(wb_launch_gather(&args, c->stream), "gather");
        for (int p = 0; p < 3; p++) {
            const size_t size = (size_t)row_bytes[p];
            uint8_t *to = new_array((size_t)m, size);
            check_read(c, to, args.parts[p].to, (size_t)m * size);
            for (int i = 0; i < m; i++)
                if (memcmp(to + (size_t)i * size, from[p] + (size_t)texts[2 * i] * size, size))
                    check_fail(c, "part %d, row %d differs", p, i);
            wb_free(to);
            wb_free(from[p]);
        }
        wb_free(texts);
    }
}

void check_cast(check *c) {
    for (int round = 0; round < check_rounds(c, 18); round++) {
        const wb_cell from = float_cells[round % 3], to = float_cells[round / 3 % 3];
        const size_t n = 8 * (size_t)(1 + check_below(c, 3000));
        check_begin(c, "%zu cells, %s to %s", n, cell_name(from), cell_name(to));
        float *x = new_array(n, 4);
        double *want = new_array(n, 8);
        const void *there = check_random(c, x, n, from, 100.0f);
        for (size_t i = 0; i < n; i++) want[i] = (double)x[i];
        const wb_narrow y = {
            .rows = check_poisoned(c, n * wb_cell_bytes(to)), .cell = to, .ld = (int)n};
        check_gpu(wb_launch_cast(y.rows, to, there, from, n, c->stream), "cast");
        check_narrow(c, &y, want, 1, (int)n, 0.0, NULL);
        wb_free(x), wb_free(want);
    }
}

void check_classify(check *c) {
    for (int round = 0; round < check_rounds(c, 10); round++) {
        const int d = widths[check_below(c, 9)], m = 1 + check_below(c, 50);
        const int n_labels = 1 + check_below(c, 7);
        check_begin(c, "m %d, d %d, %d labels", m, d, n_labels);
        float *x = new_array((size_t)(m * d), 4), *w = new_array((size_t)(n_labels * d), 4);
        float bias[8], logits[8 * 64];
        wb_classify_args args = {.m = m, .d = d, .n_labels = n_labels};
        args.x = check_random(c, x, (size_t)(m * d), WB_CELL_F32, 1.0f);
        args.w = check_random(c, w, (size_t)(n_labels * d), WB_CELL_F32, 1.0f);
        args.bias = check_random(c, bias, (size_t)n_labels, WB_CELL_F32, 1.0f);
        args.logits = check_poisoned(c, (size_t)(m * n_labels) * 4);
        check_gpu(wb_launch_classify(&args, c->stream), "classify");
        check_read(c, logits, args.logits, (size_t)(m * n_labels) * 4);
        for (int i = 0; i < m * n_labels; i++) {
            double sum = (double)bias[i % n_labels], magnitude = 1.0;
            for (int k = 0; k < d; k++) {
                const double term =
                    (double)x[i / n_labels * d + k] * (double)w[i % n_labels * d + k];
                sum += term, magnitude += fabs(term);
            }
            if (!check_near(c, (size_t)i, 0, sum, (double)logits[i], 2e-7 * magnitude * 4)) break;
        }
        wb_free(x), wb_free(w);
    }
}

// Where cell (row, column) of w is among the units: told by lanes, each with 8 cells of every step.
static size_t unit_at(size_t row, size_t column, size_t k, bool is_in_order) {
    const size_t step = row / 8 * (k / 32) + column / 32;
    for (size_t quad = 0; quad < 4; quad++)
        for (size_t i = 0; i < 8; i++) {
            const size_t its =
                is_in_order ? 8 * (i / 2) + 2 * quad + i % 2 : 16 * (i / 4) + 4 * quad + i % 4;
            if (its == column % 32) return 256 * step + 8 * (4 * (row % 8) + quad) + i;
        }
    return 0;
}

void check_fold(check *c) {
    for (int round = 0; round < check_rounds(c, 12); round++) {
        const int n = 8 * (1 + check_below(c, 8)), k = 32 * (1 + check_below(c, 64));
        const wb_cell cell = round % 2 ? WB_CELL_BF16 : WB_CELL_F16;
        const bool has_norm = round % 3 != 0;
        const size_t area = (size_t)n * (size_t)k;
        check_begin(c, "n %d, k %d, %s%s", n, k, cell_name(cell), has_norm ? "" : ", no norm");
        float *w = new_array(area, 4), bias[64], gamma[2048], beta[2048], sums[64], folded_bias[64];
        uint16_t *units = new_array(area, sizeof *units);
        wb_fold_args args = {.cell = cell, .n = n, .k = k, .is_in_order = round % 4 < 2};
        args.w = check_random(c, w, area, WB_CELL_F32, 1.0f);
        args.units = check_poisoned(c, area * sizeof *units);
        if (has_norm) {
            args.bias = check_random(c, bias, (size_t)n, WB_CELL_F32, 1.0f);
            args.gamma = check_random(c, gamma, (size_t)k, WB_CELL_F32, 1.0f);
            args.beta = check_random(c, beta, (size_t)k, WB_CELL_F32, 1.0f);
            args.sums = check_poisoned(c, (size_t)n * 4);
            args.folded_bias = check_poisoned(c, (size_t)n * 4);
        }
        check_gpu(wb_launch_fold(&args, c->stream), "fold");
        check_read(c, units, args.units, area * sizeof *units);
        if (has_norm) {
            check_read(c, sums, args.sums, (size_t)n * 4);
            check_read(c, folded_bias, args.folded_bias, (size_t)n * 4);
        }
        for (size_t row = 0; row < (size_t)n; row++) {
            double sum = 0.0, shift = (double)bias[row], sum_size = 1.0, shift_size = 1.0;
            for (size_t i = 0; i < (size_t)k; i++) {
                const double weight = (double)w[row * (size_t)k + i];
                const double want = has_norm ? weight * (double)gamma[i] : weight;
                const double got =
                    (double)cell_value(cell, units, unit_at(row, i, (size_t)k, args.is_in_order));
                if (!check_near(c, row, i, want, got, cell_epsilon(cell) * fabs(want) + 1e-7))
                    break;
                if (!has_norm) continue;
                sum += got, sum_size += fabs(got);
                shift += weight * (double)beta[i], shift_size += fabs(weight * (double)beta[i]);
            }
            if (!has_norm) continue;
            check_near(c, row, 0, sum, (double)sums[row], 8e-7 * sum_size);
            check_near(c, row, 1, shift, (double)folded_bias[row], 8e-7 * shift_size);
        }
        wb_free(w), wb_free(units);
    }
}
