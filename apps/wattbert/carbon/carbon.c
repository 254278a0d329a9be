// SPDX-License-Identifier: Apache-2.0
// Chooses between the three origins of an intensity and looks countries up. No country is
// assumed: where none is given there are no grams.
#include "carbon/carbon.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/base.h"

carbon_options carbon_default_options(void) {
    return (carbon_options){.g_per_kwh = -1.0, .timeout_s = 10.0, .pue = 1.0};
}

// By ISO 3166-1 alpha-3 code or English name, without case.
static const carbon_zone *find_zone(const char *name) {
    for (int i = 0; i < carbon_n_zones; i++)
        if (strcasecmp(carbon_zones[i].iso3, name) == 0 ||
            strcasecmp(carbon_zones[i].country, name) == 0)
            return &carbon_zones[i];
    return NULL;
}

// The first zone whose code, or else whose name, begins as name does; NULL where none does.
static const carbon_zone *find_similar(const char *name) {
    const size_t n_bytes = strlen(name);
    if (n_bytes == 0) return NULL;
    for (int i = 0; i < carbon_n_zones; i++)
        if (strncasecmp(carbon_zones[i].iso3, name, n_bytes) == 0) return &carbon_zones[i];
    for (int i = 0; i < carbon_n_zones; i++)
        if (strncasecmp(carbon_zones[i].country, name, n_bytes) == 0) return &carbon_zones[i];
    return NULL;
}

static wb_status fail_zone(const char *name, wb_error *err) {
    const carbon_zone *zone = find_similar(name);
    if (zone)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "no zone \"%s\" in the table of intensities, perhaps %s (%s)", name,
                       zone->iso3, zone->country);
    return wb_fail(err, WB_ERR_ARGUMENT, 0,
                   "no zone \"%s\" in the table of intensities, give a country's three letters "
                   "(DEU) or --carbon-intensity",
                   name);
}

wb_status carbon_resolve(carbon_intensity *out, const carbon_options *options, wb_error *err) {
    *out = (carbon_intensity){.g_per_kwh = NAN, .pue = options->pue};
    const bool has_value = options->g_per_kwh >= 0.0;
    if (has_value + !!options->zone + !!options->live_zone > 1)
        return wb_fail(err, WB_ERR_ARGUMENT, 0,
                       "carbon intensity given twice, keep one of --carbon-intensity, "
                       "--carbon-zone and --carbon-live");
    if (options->live_zone) return carbon_fetch(out, options, err);
    if (has_value) {
        out->g_per_kwh = options->g_per_kwh;
        snprintf(out->source, sizeof out->source, "given on the command line");
    }
    if (options->zone) {
        const carbon_zone *zone = find_zone(options->zone);
        if (!zone) return fail_zone(options->zone, err);
        out->g_per_kwh = zone->g_per_kwh;
        snprintf(out->source, sizeof out->source, "%s %d mean (%s)", zone->country, zone->year,
                 carbon_zones_source);
    }
    return WB_OK;
}

double carbon_grams(const carbon_intensity *intensity, double joules) {
    const double joules_per_kwh = 3.6e6;
    return joules / joules_per_kwh * intensity->g_per_kwh * intensity->pue;
}
