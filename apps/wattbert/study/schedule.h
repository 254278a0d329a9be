// SPDX-License-Identifier: Apache-2.0
// The order of the measuring windows, and the arithmetic of what they say. Pure functions,
// so that they can be tested without a model or a meter.
#ifndef STUDY_SCHEDULE_H
#define STUDY_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

// order[n_windows * n_cells] <- numbers of cells: in each of n_windows rounds every cell once, in
// an order of its own. A machine that grows warm or is disturbed then hits all techniques alike.
void schedule_windows(int *order, int n_windows, int n_cells, uint64_t seed);

// The joules of a whole, split by replayed parts.
typedef struct schedule_parts {
    double attention_j, ffn_j, embeddings_j, head_j, rest_j;
    bool is_scaled_down;  // the parts were more than the whole, and rest is 0
} schedule_parts;

// parts <- whole_j split in the ratio of what each part and the whole cost when replayed over the
// same batches. The five sum to whole_j, none is below 0.
void schedule_split(schedule_parts *out, double whole_j, double replayed_whole,
                    double replayed_attention, double replayed_ffn, double replayed_embeddings,
                    double replayed_head);

// The share-quantile of values[n], which it sorts; nearest rank, so that p99 is a value seen.
double schedule_quantile(uint64_t *values, int n, double share);

#endif
