// SPDX-License-Identifier: Apache-2.0
// Which precision each matrix gets, from measured errors and costs. Pure data in, data out:
// who measured, and how, is not known here.
#include "plan/plan.h"

// Greedy by nanoseconds saved per squared error added, one change at a time. The errors of
// different matrices point in unrelated directions of a high-dimensional space, so together
// they move the logits by the root of the sum of their squares.
void wb_cost_choose(wb_plan *plan, const wb_candidate *candidates, int n_each, double max_error) {
    for (int i = 0; i < plan->n_matrices; i++) {
        const wb_candidate *first = &candidates[(size_t)i * (size_t)n_each];
        wb_matrix *matrix = &plan->matrices[i];
        matrix->precision = first->precision;
        matrix->error = first->error;
        matrix->cost_ns = first->cost_ns;
    }
    for (double squares = 0.0;;) {
        wb_matrix *best_matrix = NULL;
        const wb_candidate *best = NULL;
        double best_rate = 0.0;
        for (int i = 0; i < plan->n_matrices; i++)
            for (int j = 0; j < n_each; j++) {
                const wb_candidate *to = &candidates[(size_t)i * (size_t)n_each + (size_t)j];
                wb_matrix *from = &plan->matrices[i];
                const double saved = from->cost_ns - to->cost_ns;
                const double added = to->error * to->error - from->error * from->error;
                // An error that is not a number never fits.
                if (!(saved > 0.0 && squares + added <= max_error * max_error)) continue;
                // A change that costs no error at all is the best there is.
                const double rate = saved / (added > 1e-18 ? added : 1e-18);
                if (rate > best_rate) best_rate = rate, best_matrix = from, best = to;
            }
        if (!best) return;
        squares += best->error * best->error - best_matrix->error * best_matrix->error;
        best_matrix->precision = best->precision;
        best_matrix->error = best->error;
        best_matrix->cost_ns = best->cost_ns;
    }
}
