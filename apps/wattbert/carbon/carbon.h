// SPDX-License-Identifier: Apache-2.0
// Grams of CO2 equivalent per kilowatt-hour of electricity: a number the user gives, a yearly
// national mean of the built-in table, or Electricity Maps' live value. Whichever it is, its
// source and date go with it into every row.
#ifndef CARBON_H
#define CARBON_H

#include "wattbert/error.h"

typedef struct carbon_options {
    double g_per_kwh;       // --carbon-intensity; below 0: not given
    const char *zone;       // --carbon-zone, of the table: "DEU" or "Germany"; NULL: not given
    const char *live_zone;  // --carbon-live, Electricity Maps' zone: "DE", "US-CAL-CISO"; or NULL
    const char *url;        // --carbon-url; NULL: Electricity Maps' own
    double timeout_s;       // of the whole request
    double pue;             // power usage effectiveness of the building, 1 = none
} carbon_options;

carbon_options carbon_default_options(void);

typedef struct carbon_intensity {
    double g_per_kwh;  // NAN where nothing was given
    double pue;
    char source[96];  // "Germany 2023 mean (Our World in Data)"; "" where nothing was given
} carbon_intensity;

// At most one of the three may be given. The token of the live value is the environment's
// ELECTRICITYMAPS_TOKEN; it is kept out of messages and files.
//   WB_ERR_ARGUMENT  an unknown zone, a missing or refused token, two sources at once
//   WB_ERR_REFUSED   no answer in time, or one that is no intensity
wb_status carbon_resolve(carbon_intensity *out, const carbon_options *options, wb_error *err);

// joules at the wall of the meter -> grams, NAN without an intensity.
double carbon_grams(const carbon_intensity *intensity, double joules);

// ---- table.c, generated from a yearly data set ----

typedef struct carbon_zone {
    const char *iso3, *country;
    double g_per_kwh;
    int year;
} carbon_zone;

extern const carbon_zone carbon_zones[];
extern const int carbon_n_zones;
extern const char carbon_zones_source[];

// ---- live.c ----

wb_status carbon_fetch(carbon_intensity *out, const carbon_options *options, wb_error *err);

#endif
