// SPDX-License-Identifier: Apache-2.0
// A straight line through watched steps: the first and the latest, n intervals apart, give the
// interval to their errors over n, as long as n itself is beyond doubt (three standard errors).
#include "energy/phase.h"

#include <math.h>

static void begin(wb_phase *phase, double interval_s, double edge_s, double error_s) {
    *phase = (wb_phase){.base_s = edge_s,
                        .base_error_s = error_s,
                        .edge_s = edge_s,
                        .edge_error_s = error_s,
                        .interval_s = interval_s,
                        .interval_error_s = 0.02 * interval_s,
                        .has_edge = true};
}

void wb_phase_see(wb_phase *phase, double interval_s, double edge_s, double error_s) {
    if (!(interval_s > 0.0)) return;
    if (!phase->has_edge) {
        begin(phase, interval_s, edge_s, error_s);
        return;
    }
    // Counted from the latest step, for its distance is the surest. A step that does not fit has
    // another beat: everything begins anew.
    const double n_new = round((edge_s - phase->edge_s) / phase->interval_s);
    const double doubt_s =
        3.0 * hypot(n_new * phase->interval_error_s, hypot(phase->edge_error_s, error_s));
    const double off_s = fabs(edge_s - phase->edge_s - n_new * phase->interval_s);
    if (n_new < 1.0) return;
    if (doubt_s >= 0.5 * phase->interval_s || off_s > doubt_s) {
        begin(phase, phase->interval_s, edge_s, error_s);
        return;
    }
    const double n = n_new + round((phase->edge_s - phase->base_s) / phase->interval_s);
    const double refined_s = hypot(phase->base_error_s, error_s) / n;
    if (refined_s < phase->interval_error_s) {
        phase->interval_s = (edge_s - phase->base_s) / n;
        phase->interval_error_s = refined_s;
    }
    phase->edge_s = edge_s;
    phase->edge_error_s = error_s;
}

bool wb_phase_latest(const wb_phase *phase, double now_s, double *edge_s, double *error_s) {
    if (!phase->has_edge) return false;
    const double n = floor((now_s - phase->edge_s) / phase->interval_s);
    *edge_s = phase->edge_s + n * phase->interval_s;
    *error_s = hypot(phase->edge_error_s, n * phase->interval_error_s);
    const double since_s = now_s - *edge_s;
    return since_s >= 2.0 * *error_s && phase->interval_s - since_s >= 2.0 * *error_s;
}
