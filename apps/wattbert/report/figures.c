// SPDX-License-Identifier: Apache-2.0
// The list of figures: what the page shows, in which order.
#include "report/figures.h"

#include <stddef.h>

const figure *figure_at(int index) {
    static const figure *const figures[] = {
        &figure_frontier,   &figure_energy,     &figure_savings, &figure_scores,
        &figure_components, &figure_throughput, &figure_power,
    };
    const int n_figures = sizeof figures / sizeof *figures;
    return index >= 0 && index < n_figures ? figures[index] : NULL;
}
