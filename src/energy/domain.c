// SPDX-License-Identifier: Apache-2.0
// Which joules add up. RAPL's domains overlap (Intel SDM volume 3B, 15.10: power planes 0 and 1 are
// inside the package, DRAM beside it, the platform around all), so a total has to choose.
#include <stdio.h>
#include <string.h>

#include "energy/source.h"

bool wb_domain_add(wb_energy_view *view, const char *name) {
    if (view->n_domains == WB_MAX_DOMAINS) return false;
    wb_energy_domain *domain = &view->domains[view->n_domains++];
    *domain = (wb_energy_domain){.is_summed = true};
    // Names end up as one word in lists and CSV cells.
    size_t n = 0;
    for (const char *c = name; *c && n + 1 < sizeof domain->name; c++) {
        const bool is_plain = *c > ' ' && *c < 0x7f && *c != ',' && *c != '"';
        domain->name[n++] = is_plain ? *c : '_';
    }
    domain->name[n] = 0;
    return true;
}

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

void wb_domains_classify(wb_energy_view *view) {
    bool has_package = false;
    for (int i = 0; i < view->n_domains; i++)
        if (starts_with(view->domains[i].name, "package")) has_package = true;
    for (int i = 0; i < view->n_domains; i++) {
        wb_energy_domain *domain = &view->domains[i];
        const bool is_graphics = starts_with(domain->name, "uncore");
        const bool is_inside = is_graphics || starts_with(domain->name, "core");
        domain->is_summed = !(has_package && (is_inside || starts_with(domain->name, "psys")));
        domain->may_rest = is_graphics;
    }
}

void wb_flags_write(char *out, size_t capacity, uint32_t flags) {
    static const char *const names[] = {"wrapped", "reset", "shared-gpu", "integrated-power"};
    out[0] = 0;
    for (int i = 0; i < 4; i++) {
        if (!(flags & 1u << i)) continue;
        const size_t used = strlen(out);
        snprintf(out + used, capacity - used, "%s%s", used ? " " : "", names[i]);
    }
}
