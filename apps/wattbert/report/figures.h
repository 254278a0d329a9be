// SPDX-License-Identifier: Apache-2.0
// All figures of the report, in the page's order.
#ifndef FIGURES_H
#define FIGURES_H

#include "report/plot.h"

extern const figure figure_energy, figure_components, figure_savings, figure_scores,
    figure_frontier, figure_throughput, figure_power;

// NULL past the end.
const figure *figure_at(int index);

#endif
