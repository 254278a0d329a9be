// SPDX-License-Identifier: Apache-2.0
// Shuffling, splitting and ranking, kept apart from what is shuffled and split.
#include "study/schedule.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"

void schedule_windows(int *order, int n_windows, int n_cells, uint64_t seed) {
    wb_random random = {seed};
    for (int window = 0; window < n_windows; window++) {
        int *round = order + window * n_cells;
        for (int i = 0; i < n_cells; i++) round[i] = i;
        for (int i = n_cells - 1; i > 0; i--) {  // Fisher and Yates
            const int k = (int)wb_random_below(&random, (uint64_t)i + 1);
            const int swapped = round[i];
            round[i] = round[k];
            round[k] = swapped;
        }
    }
}

void schedule_split(schedule_parts *out, double whole_j, double replayed_whole,
                    double replayed_attention, double replayed_ffn, double replayed_embeddings,
                    double replayed_head) {
    const double parts = replayed_attention + replayed_ffn + replayed_embeddings + replayed_head;
    out->is_scaled_down = parts > replayed_whole;
    const double whole = out->is_scaled_down ? parts : replayed_whole;
    const double scale = whole > 0.0 ? whole_j / whole : 0.0;
    out->attention_j = replayed_attention * scale;
    out->ffn_j = replayed_ffn * scale;
    out->embeddings_j = replayed_embeddings * scale;
    out->head_j = replayed_head * scale;
    // By subtraction, so that rounding cannot make the sum differ from the whole.
    const double rest = whole_j - (out->attention_j + out->ffn_j + out->embeddings_j + out->head_j);
    out->rest_j = rest > 0.0 && !out->is_scaled_down ? rest : 0.0;
}

static int compare(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double schedule_quantile(uint64_t *values, int n, double share) {
    if (n == 0) return NAN;
    qsort(values, (size_t)n, sizeof *values, compare);
    const int rank = (int)ceil(share * n);
    return (double)values[rank > 0 ? rank - 1 : 0];
}
