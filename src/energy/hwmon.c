// SPDX-License-Identifier: Apache-2.0
// Sensors of boards and processors: /sys/class/hwmon/hwmonN. Only chips of which it is known what
// they measure are used, because a total of unknown sensors counts rails twice. A chip gives
// joules (energyK_input, uJ), watts (powerK_input, uW) or volts and amperes; watts are summed up
// over time here, and flagged.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "energy/source.h"

enum { MAX_CHIPS = 64, MAX_CHANNELS = 16 };

typedef enum sensor_kind { SENSOR_ENERGY, SENSOR_POWER, SENSOR_RAIL } sensor_kind;

// How a sensor's joules lie to those of others. A whole holds every part; a counter is preferred to
// watts of the same thing.
typedef enum sensor_scope { SCOPE_PART, SCOPE_WHOLE } sensor_scope;

// One file, or two for a rail, of chip hwmonN.
typedef struct sensor {
    sensor_kind kind;
    sensor_scope scope;
    int chip, channel;
    bool is_average;  // powerK_average instead of powerK_input
    uint64_t last_uj;
    double last_w, joules;
} sensor;

typedef struct hwmon_state {
    const wb_energy_host *host;
    sensor sensors[WB_MAX_DOMAINS];
    int n_sensors;
    uint64_t last_ns;
} hwmon_state;

// The chips that are understood. Sources: Documentation/hwmon of Linux (amd_energy,
// acpi_power_meter, fam15h_power, ina2xx, ina3221), zenpower's README, and NVIDIA's Jetson guides
// for the names of the input rails.
static const struct {
    const char *name;
    sensor_kind kind;
    sensor_scope scope;
    int n_channels;
    const char *label_prefix;  // only channels so labelled; NULL: all
} CHIPS[] = {
    {"amd_energy", SENSOR_ENERGY, SCOPE_PART, 512, "Esocket"},
    {"power_meter", SENSOR_POWER, SCOPE_WHOLE, 1, NULL},
    {"zenpower", SENSOR_POWER, SCOPE_PART, 2, "SVI2_P_"},
    {"fam15h_power", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina219", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina220", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina226", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina230", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina231", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina238", SENSOR_POWER, SCOPE_PART, 1, NULL},
    {"ina3221", SENSOR_RAIL, SCOPE_PART, 3, NULL},
};
enum { N_CHIPS = (int)(sizeof CHIPS / sizeof *CHIPS) };

// Rails that feed all the others of a Jetson board.
static const char *const INPUT_RAILS[] = {"VDD_IN", "VIN", "VIN_SYS_5V0", "POM_5V_IN", "5V_IN"};

static bool is_input_rail(const char *label) {
    for (size_t i = 0; i < sizeof INPUT_RAILS / sizeof *INPUT_RAILS; i++)
        if (strcmp(label, INPUT_RAILS[i]) == 0) return true;
    return false;
}

static const char HWMON[] = "/sys/class/hwmon/hwmon";

// A sensor's reading in its file's unit; below 0 (current running back) counts as 0.
static wb_status read_value(const hwmon_state *s, double *value, wb_error *err, int chip,
                            const char *file) {
    char text[32];
    *value = 0.0;
    const wb_status status =
        wb_sysfs_text(text, sizeof text, s->host->root, err, "%s%d/%s", HWMON, chip, file);
    if (status) return status;
    char *end;
    const long long number = strtoll(text, &end, 10);
    if (end == text || *end)
        return wb_fail(err, WB_ERR_IO, 0, "%s%s%d/%s: \"%s\" is no whole number", s->host->root,
                       HWMON, chip, file, text);
    *value = number > 0 ? (double)number : 0.0;
    return WB_OK;
}

// A rail has no watts of its own: mV x mA = uW, read one after the other.
static wb_status read_watts(const hwmon_state *s, const sensor *one, double *watts, wb_error *err) {
    char file[32];
    if (one->kind == SENSOR_POWER) {
        snprintf(file, sizeof file, "power%d_%s", one->channel,
                 one->is_average ? "average" : "input");
        const wb_status status = read_value(s, watts, err, one->chip, file);
        *watts *= 1e-6;
        return status;
    }
    double millivolts, milliamperes;
    snprintf(file, sizeof file, "in%d_input", one->channel);
    wb_status status = read_value(s, &millivolts, err, one->chip, file);
    snprintf(file, sizeof file, "curr%d_input", one->channel);
    if (!status) status = read_value(s, &milliamperes, err, one->chip, file);
    *watts = status ? 0.0 : millivolts * milliamperes * 1e-6;
    return status;
}

static wb_status read_counter(const hwmon_state *s, const sensor *one, uint64_t *uj,
                              wb_error *err) {
    return wb_sysfs_u64(uj, s->host->root, err, "%s%d/energy%d_input", HWMON, one->chip,
                        one->channel);
}

// Does the channel have files, and a label that is wanted? label <- its label, "" where it has
// none.
static bool find_channel(const hwmon_state *s, int chip, int kind, int channel, char label[32],
                         bool *is_average) {
    const char *root = s->host->root;
    static const char *const prefixes[] = {"energy", "power", "in"};
    const char *prefix = prefixes[CHIPS[kind].kind];
    *is_average = false;
    if (!wb_sysfs_exists(root, "%s%d/%s%d_input", HWMON, chip, prefix, channel)) {
        *is_average = wb_sysfs_exists(root, "%s%d/%s%d_average", HWMON, chip, prefix, channel);
        if (!*is_average) return false;
    }
    if (wb_sysfs_text(label, 32, root, NULL, "%s%d/%s%d_label", HWMON, chip, prefix, channel))
        label[0] = 0;
    if (strcmp(label, "NC") == 0) return false;  // not connected
    const char *wanted = CHIPS[kind].label_prefix;
    return !wanted || strncmp(label, wanted, strlen(wanted)) == 0;
}

static wb_status add_sensor(hwmon_state *s, wb_energy_view *view, const sensor *found, int kind,
                            const char *label, wb_error *err) {
    char name[64];
    if (label[0])
        snprintf(name, sizeof name, "%s", label);
    else
        snprintf(name, sizeof name, "%s-%d", CHIPS[kind].name, found->chip);
    if (!wb_domain_add(view, name)) return WB_OK;
    sensor *added = &s->sensors[s->n_sensors++];
    *added = *found;
    if (is_input_rail(label)) added->scope = SCOPE_WHOLE;
    if (added->kind == SENSOR_ENERGY) return read_counter(s, added, &added->last_uj, err);
    view->is_integrated = true;
    return read_watts(s, added, &added->last_w, err);
}

// All channels of one chip that are wanted.
static wb_status add_chip(hwmon_state *s, wb_energy_view *view, int chip, int kind, wb_error *err) {
    for (int channel = 1; channel <= CHIPS[kind].n_channels; channel++) {
        char label[32];
        sensor found = {
            .kind = CHIPS[kind].kind, .scope = CHIPS[kind].scope, .chip = chip, .channel = channel};
        if (!find_channel(s, chip, kind, channel, label, &found.is_average)) continue;
        const wb_status status = add_sensor(s, view, &found, kind, label, err);
        if (status) return status;
    }
    return WB_OK;
}

// One whole alone, else all counters, else all watts.
static void choose_summed(const hwmon_state *s, wb_energy_view *view) {
    int whole = -1;
    bool has_counter = false;
    for (int i = 0; i < s->n_sensors; i++) {
        if (s->sensors[i].scope == SCOPE_WHOLE && whole < 0) whole = i;
        if (s->sensors[i].kind == SENSOR_ENERGY) has_counter = true;
    }
    for (int i = 0; i < s->n_sensors; i++) {
        const bool is_counter = s->sensors[i].kind == SENSOR_ENERGY;
        view->domains[i].is_summed = whole >= 0 ? i == whole : is_counter == has_counter;
        // A rail that feeds nothing at the moment is no fault.
        view->domains[i].may_rest = !view->domains[i].is_summed;
    }
}

static wb_status hwmon_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                            wb_error *err) {
    hwmon_state *s = state;
    s->host = host;
    for (int chip = 0; chip < MAX_CHIPS; chip++) {
        char name[32];
        if (wb_sysfs_text(name, sizeof name, host->root, NULL, "%s%d/name", HWMON, chip)) continue;
        for (int kind = 0; kind < N_CHIPS; kind++) {
            if (strcmp(name, CHIPS[kind].name) != 0) continue;
            const wb_status status = add_chip(s, view, chip, kind, err);
            if (status) return status;
        }
    }
    if (s->n_sensors == 0)
        return wb_fail(err, WB_ERR_ABSENT, 0,
                       "%s/sys/class/hwmon has no energy or power sensor of a known kind",
                       host->root);
    choose_summed(s, view);
    view->sees_cpu = true;
    s->last_ns = host->clock.now_ns(host->clock.context);
    return WB_OK;
}

// All sensors, then all sums: a failure halfway leaves every sensor where it was.
static wb_status hwmon_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    hwmon_state *s = state;
    const uint64_t now_ns = s->host->clock.now_ns(s->host->clock.context);
    double watts[WB_MAX_DOMAINS] = {0};
    uint64_t now_uj[WB_MAX_DOMAINS] = {0};
    for (int i = 0; i < s->n_sensors; i++) {
        const sensor *one = &s->sensors[i];
        const wb_status status = one->kind == SENSOR_ENERGY ? read_counter(s, one, &now_uj[i], err)
                                                            : read_watts(s, one, &watts[i], err);
        if (status) return status;
    }
    const double seconds = (double)(now_ns - s->last_ns) * 1e-9;
    s->last_ns = now_ns;
    for (int i = 0; i < s->n_sensors; i++) {
        sensor *one = &s->sensors[i];
        if (one->kind != SENSOR_ENERGY) {
            one->joules += 0.5 * (one->last_w + watts[i]) * seconds;
            one->last_w = watts[i];
            flags[i] |= WB_FLAG_INTEGRATED;
        } else if (now_uj[i] >= one->last_uj) {
            // amd_energy counts in 64 bits and does not wrap within a machine's life.
            one->joules += (double)(now_uj[i] - one->last_uj) * 1e-6;
        } else {
            flags[i] |= WB_FLAG_RESET;
        }
        one->last_uj = now_uj[i];
        joules[i] = one->joules;
    }
    return WB_OK;
}

static void hwmon_close(void *state) {
    (void)state;  // holds no handle: files are opened for each read
}

const wb_energy_source wb_energy_hwmon = {
    .name = "hwmon",
    .measures = "what the board's sensor is wired to, by its driver; nothing else of the machine",
    .method = "measured",
    .state_size = sizeof(hwmon_state),
    .period_ms = 10,
    .needs_proof = true,
    .open = hwmon_open,
    .read = hwmon_read,
    .close = hwmon_close,
};
