// SPDX-License-Identifier: Apache-2.0
// Counters that exist but do not count. A package, its DRAM or a whole platform always draws
// something, so one that stands still while time goes by is dead: some machines, virtual ones
// above all, show power/energy-psys or package files that read 0 for ever.
#include <stdio.h>
#include <string.h>

#include "energy/meter.h"

// Would the total be wrong without this domain? DRAM that the machine does not count is a smaller
// total, and said; a second socket that is missing is an error of half.
static bool is_needed(const wb_energy_domain *domain) {
    return domain->is_summed && strncmp(domain->name, "dram", 4) != 0;
}

wb_status wb_judge_domains(const wb_energy_view *view, const bool *has_moved, double seconds,
                           bool *is_left_out, wb_error *err) {
    int n_live = 0;
    const char *dead = NULL, *needed = NULL;
    for (int i = 0; i < view->n_domains; i++) {
        const wb_energy_domain *domain = &view->domains[i];
        n_live += has_moved[i] && domain->is_summed;
        if (has_moved[i] || domain->may_rest) continue;
        if (!dead) dead = domain->name;
        if (!needed && is_needed(domain)) needed = domain->name;
    }
    if (n_live == 0 || needed)
        return wb_fail(
            err, WB_ERR_REFUSED, 0,
            "dead counter: %s stood still for %.2f s, its joules are not to be believed; "
            "use another source",
            needed ? needed
            : dead ? dead
                   : "every domain",
            seconds);
    for (int i = 0; i < view->n_domains; i++)
        if (!has_moved[i] && !view->domains[i].may_rest) is_left_out[i] = true;
    return WB_OK;
}
