// SPDX-License-Identifier: Apache-2.0
// Attention of all kinds over random batches of packed texts. Rows between texts and after the
// last are NaN, so that whatever reads past a text's end shows it.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gpucheck.h"

enum { MOST_TEXTS = 24 };

// A batch of texts in qkv[n_rows, 3 d], as the product leaves it.
typedef struct scene {
    int n_texts, n_heads, d_head, n_rows;
    int first_row[MOST_TEXTS], rows[MOST_TEXTS], valid[MOST_TEXTS];
    wb_cell cell;
    float *qkv;  // as the cells hold it
    void *there;
} scene;

static size_t width_of(const scene *s) {
    return (size_t)s->n_heads * (size_t)s->d_head;
}

// Lengths like a benchmark's, and 1, powers of two and their neighbours, the longest.
static int draw_length(check *c, int longest) {
    const int kind = check_below(c, 6);
    int n = 1 + check_below(c, longest);
    if (kind == 0) n = 1 + check_below(c, 3);
    if (kind == 1) n = (1 << check_below(c, 10)) - 1 + check_below(c, 3);
    if (kind == 2) n = longest;
    if (kind == 3) n = 10 + check_below(c, 30);
    return n < 1 ? 1 : n > longest ? longest : n;
}

static void open_scene(scene *s, check *c, wb_cell cell, int d_head, int longest) {
    *s = (scene){.n_texts = 1 + check_below(c, 6), .d_head = d_head, .cell = cell};
    s->n_heads = 1 + check_below(c, 5);
    if (s->n_heads * d_head % 8) s->n_heads = 8;  // rows begin on 16 bytes
    for (int i = 0; i < s->n_texts; i++) {
        s->first_row[i] = s->n_rows;
        s->rows[i] = draw_length(c, longest);
        s->valid[i] = check_below(c, 3) ? s->rows[i] : 1 + check_below(c, s->rows[i]);
        s->n_rows += s->rows[i] + (check_below(c, 4) ? 0 : check_below(c, 9));
    }
    check_begin(c, "%d texts, first of %d rows (%d valid), %d heads of %d, %s", s->n_texts,
                s->rows[0], s->valid[0], s->n_heads, d_head, cell_name(cell));
    const size_t n = (size_t)s->n_rows * 3 * width_of(s), cell_bytes = wb_cell_bytes(cell);
    s->qkv = new_array(n, sizeof *s->qkv);
    uint8_t *cells = new_array(n, cell_bytes);
    memset(cells, 0xff, n * cell_bytes);
    const float range = check_below(c, 3) ? 2.0f : 6.0f;
    for (int i = 0; i < s->n_texts; i++)
        for (size_t at = (size_t)s->first_row[i] * 3 * width_of(s);
             at < (size_t)(s->first_row[i] + s->rows[i]) * 3 * width_of(s); at++) {
            cell_store(cell, cells, at, check_uniform(c, -range, range));
            s->qkv[at] = cell_value(cell, cells, at);
        }
    s->there = check_upload(c, cells, n * cell_bytes);
    wb_free(cells);
}

// y[d_head] <- one query over its text's keys. *magnitude bounds what roundings are relative to.
static void attend_oracle(double *y, double *magnitude, const scene *s, int text, int head,
                          const float *query) {
    const size_t d = width_of(s), column = (size_t)head * (size_t)s->d_head;
    double scores[512], most = -INFINITY, sum = 0.0, largest = 0.0;
    for (int key = 0; key < s->valid[text]; key++) {
        const float *k = s->qkv + (size_t)(s->first_row[text] + key) * 3 * d + d + column;
        scores[key] = 0.0;
        for (int j = 0; j < s->d_head; j++) scores[key] += (double)query[j] * (double)k[j];
        scores[key] /= sqrt((double)s->d_head);
        most = fmax(most, scores[key]);
        largest = fmax(largest, fabs(scores[key]));
    }
    for (int key = 0; key < s->valid[text]; key++) sum += scores[key] = exp(scores[key] - most);
    *magnitude = 0.0;
    for (int j = 0; j < s->d_head; j++) {
        double size = 0.0;
        y[j] = 0.0;
        for (int key = 0; key < s->valid[text]; key++) {
            const float *v = s->qkv + (size_t)(s->first_row[text] + key) * 3 * d + 2 * d + column;
            y[j] += scores[key] / sum * (double)v[j];
            size += scores[key] / sum * fabs((double)v[j]);
        }
        *magnitude = fmax(*magnitude, size);
    }
    // A score's own rounding is relative to the largest score, and enters as an exponent.
    *magnitude *= 1.0 + largest;
}

// Want of every row of every text; rows between texts are not looked at.
static double *oracle(const scene *s, double *slack) {
    const size_t d = width_of(s);
    double *want = new_array((size_t)s->n_rows * d, sizeof *want);
    *slack = 0.0;
    for (int text = 0; text < s->n_texts; text++)
        for (int i = 0; i < s->rows[text]; i++)
            for (int head = 0; head < s->n_heads; head++) {
                const size_t row = (size_t)(s->first_row[text] + i);
                const size_t column = (size_t)head * (size_t)s->d_head;
                double magnitude;
                attend_oracle(want + row * d + column, &magnitude, s, text, head,
                              s->qkv + row * 3 * d + column);
                *slack = fmax(*slack, magnitude);
            }
    return want;
}

// Items of each class as the host makes them; returns how many.
static int list_items(wb_item *items, const scene *s, int class, bool is_flash) {
    int n = 0;
    int64_t score = 0;
    for (int i = 0; i < s->n_texts; i++) {
        const int own = !is_flash          ? WB_ITEMS_LONG
                        : s->rows[i] <= 32 ? WB_ITEMS_32
                        : s->rows[i] <= 64 ? WB_ITEMS_64
                                           : WB_ITEMS_LONG;
        for (int first = 0; first < s->rows[i] && own == class; first += 64)
            items[n++] = (wb_item){.first_row = s->first_row[i],
                                   .n_rows = s->rows[i],
                                   .n_valid = s->valid[i],
                                   .first_query = first,
                                   .text = i,
                                   .score = score};
        score += (int64_t)s->n_heads * s->rows[i] * ((s->rows[i] + 7) / 8 * 8);
    }
    return n;
}

// Compares the rows of each text.
static void compare(check *c, const scene *s, const wb_narrow *context, const double *want,
                    double slack) {
    for (int text = 0; text < s->n_texts && !c->has_failed; text++) {
        wb_narrow rows = *context;
        rows.rows = (uint8_t *)context->rows +
                    (size_t)s->first_row[text] * (size_t)context->ld * wb_cell_bytes(context->cell);
        check_narrow(c, &rows, want + (size_t)s->first_row[text] * width_of(s), s->rows[text],
                     (int)width_of(s), slack, NULL);
    }
}

static wb_narrow draw_context(check *c, const scene *s, int n_rows) {
    wb_narrow context = {.cell = s->cell, .ld = (int)width_of(s)};
    if (check_below(c, 3) == 0) {
        context.cell = check_below(c, 2) ? WB_CELL_FP8 : WB_CELL_I8;
        context.multiplier = (context.cell == WB_CELL_FP8 ? 448.0f : 127.0f) / 3.0f;
    }
    context.rows = check_poisoned(c, (size_t)n_rows * width_of(s) * wb_cell_bytes(context.cell));
    return context;
}

static void run_scene(check *c, const scene *s, bool is_flash, const void *query,
                      const wb_narrow *context) {
    const size_t d_bytes = width_of(s) * wb_cell_bytes(s->cell);
    size_t n_scores = 0;
    for (int i = 0; i < s->n_texts; i++)
        n_scores += (size_t)(s->n_heads * s->rows[i]) * (size_t)((s->rows[i] + 7) / 8 * 8);
    wb_attention_args args = {.query = query ? query : s->there,
                              .key = (const uint8_t *)s->there + d_bytes,
                              .value = (const uint8_t *)s->there + 2 * d_bytes,
                              .ld_query = (query ? 1 : 3) * (int)width_of(s),
                              .ld_key = 3 * (int)width_of(s),
                              .cell = s->cell,
                              .context = *context,
                              .n_heads = s->n_heads,
                              .d_head = s->d_head,
                              .n_multiprocessors = c->n_multiprocessors,
                              .is_first_only = query != NULL};
    if (!is_flash && !query) args.scores = check_poisoned(c, n_scores * wb_cell_bytes(s->cell));
    for (int class = 0; class < WB_N_ITEM_CLASSES; class ++) {
        wb_item items[MOST_TEXTS * 8];
        const int32_t n = list_items(items, s, class, is_flash);
        if (n == 0) continue;
        args.items = check_upload(c, items, (size_t)n * sizeof *items);
        args.n_items = check_upload(c, &n, sizeof n);
        args.most_items = n + check_below(c, 3);
        args.item_class = (wb_item_class) class;
        check_gpu(is_flash || query ? wb_launch_attention_flash(&args, c->stream)
                                    : wb_launch_attention_standard(&args, c->stream),
                  "attention");
    }
}

static void check_kind(check *c, bool is_flash, int rounds) {
    static const wb_cell cells[] = {WB_CELL_F16, WB_CELL_BF16, WB_CELL_F32};
    static const int heads[] = {64, 32, 64, 32, 48, 16, 128, 8};
    for (int round = 0; round < check_rounds(c, rounds); round++) {
        const wb_cell cell = cells[check_below(c, 3)];
        scene s;
        open_scene(&s, c, cell, heads[check_below(c, 8)], check_below(c, 4) ? 130 : 512);
        const wb_narrow context = draw_context(c, &s, s.n_rows);
        double magnitude;
        double *want = oracle(&s, &magnitude);
        run_scene(c, &s, is_flash, NULL, &context);
        // Probabilities and, materialised, scores are rounded to the cell; sums are f32.
        const double slack = magnitude * (2.0 * cell_epsilon(cell) + 4e-6);
        compare(c, &s, &context, want, slack);
        wb_free(want);
        wb_free(s.qkv);
        if (c->has_failed) break;
    }
}

void check_flash(check *c) {
    check_kind(c, true, 60);
}

void check_standard(check *c) {
    check_kind(c, false, 40);
}

void check_pruned(check *c) {
    static const wb_cell cells[] = {WB_CELL_F16, WB_CELL_BF16, WB_CELL_F32};
    static const int heads[] = {64, 32, 48, 256, 8};
    for (int round = 0; round < check_rounds(c, 30); round++) {
        const wb_cell cell = cells[check_below(c, 3)];
        scene s;
        open_scene(&s, c, cell, heads[check_below(c, 5)], check_below(c, 4) ? 130 : 512);
        const size_t d = width_of(&s);
        const wb_narrow context = draw_context(c, &s, s.n_texts);
        float *query = new_array((size_t)s.n_texts * d, sizeof *query);
        double *want = new_array((size_t)s.n_texts * d, sizeof *want);
        const void *there = check_random(c, query, (size_t)s.n_texts * d, cell, 2.0f);
        double slack = 0.0;
        for (int text = 0; text < s.n_texts; text++)
            for (int head = 0; head < s.n_heads; head++) {
                const size_t at = (size_t)text * d + (size_t)(head * s.d_head);
                double magnitude;
                attend_oracle(want + at, &magnitude, &s, text, head, query + at);
                slack = fmax(slack, magnitude);
            }
        run_scene(c, &s, check_below(c, 2), there, &context);
        check_narrow(c, &context, want, s.n_texts, (int)d,
                     slack * (2.0 * cell_epsilon(cell) + 4e-6), NULL);
        wb_free(query), wb_free(want), wb_free(s.qkv);
        if (c->has_failed) break;
    }
}
