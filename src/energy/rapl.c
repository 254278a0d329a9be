// SPDX-License-Identifier: Apache-2.0
// RAPL through Linux powercap: /sys/class/powercap/intel-rapl:S is a zone of socket S (AMD too uses
// that name), intel-rapl:S:D a domain inside or beside it. energy_uj counts up and wraps at
// max_energy_range_uj. Since Linux 5.10 only root may read it (CVE-2020-8694).
#include <stdio.h>
#include <string.h>

#include "energy/source.h"

enum { MAX_ZONES = 64, MAX_SUBZONES = 16 };

// Paths: a zone's, and one level below it with two numbers of at most 11 characters.
enum { ZONE_BYTES = 96, SUBZONE_BYTES = ZONE_BYTES + 40 };

// One counter, and what it has counted since open.
typedef struct zone {
    char path[SUBZONE_BYTES];  // below the root, of energy_uj
    uint64_t range_uj, last_uj;
    double joules;
} zone;

typedef struct rapl_state {
    const wb_energy_host *host;
    zone zones[WB_MAX_DOMAINS];
    int n_zones;
    uint64_t last_ns;
} rapl_state;

// The most that one domain plausibly draws. A counter that went backwards has wrapped if that
// explains it and was reset otherwise; 2 kW is above any socket's limit (500 W) and a reset from a
// random value passes for a wrap once in 130 (2 kJ of 262 kJ).
static const double MAX_PLAUSIBLE_W = 2000.0;

// Energy between two reads, seconds apart, of a counter that wraps after range_uj. Correct if at
// most one wrap happened: at 500 W and the common range of 262 kJ that is 8 minutes, and the
// sampler reads many times a second. After a reset, 0: the joules around it are lost.
static uint64_t zone_delta_uj(const zone *z, uint64_t now_uj, double seconds, uint32_t *flags) {
    if (now_uj >= z->last_uj) return now_uj - z->last_uj;
    if (z->last_uj <= z->range_uj) {
        const uint64_t wrapped_uj = z->range_uj - z->last_uj + now_uj;
        if ((double)wrapped_uj <= MAX_PLAUSIBLE_W * 1e6 * (1.0 + seconds)) {
            *flags |= WB_FLAG_WRAPPED;
            return wrapped_uj;
        }
    }
    *flags |= WB_FLAG_RESET;
    return 0;
}

static bool has_name(const char *root, const char *path) {
    return wb_sysfs_exists(root, "%s/name", path);
}

// path <- the folder of a socket's zone: flat as /sys/class shows it, or nested as in
// /sys/devices, whence a tree may have been copied.
static bool find_zone(char path[ZONE_BYTES], const char *root, int socket) {
    snprintf(path, ZONE_BYTES, "/sys/class/powercap/intel-rapl:%d", socket);
    if (has_name(root, path)) return true;
    snprintf(path, ZONE_BYTES, "/sys/class/powercap/intel-rapl/intel-rapl:%d", socket);
    return has_name(root, path);
}

static bool find_subzone(char path[SUBZONE_BYTES], const char *root, const char *zone_path,
                         int socket, int domain) {
    snprintf(path, SUBZONE_BYTES, "/sys/class/powercap/intel-rapl:%d:%d", socket, domain);
    if (has_name(root, path)) return true;
    snprintf(path, SUBZONE_BYTES, "%s/intel-rapl:%d:%d", zone_path, socket, domain);
    return has_name(root, path);
}

static wb_status zone_read_uj(const zone *z, const char *root, uint64_t *value, wb_error *err) {
    wb_error cause;
    const wb_status status = wb_sysfs_u64(value, root, &cause, "%s/energy_uj", z->path);
    if (status == WB_ERR_DENIED)
        return wb_fail(err, status, 0,
                       "%s, let users read it: sudo chmod a+r "
                       "/sys/class/powercap/intel-rapl*/energy_uj (until the next boot)",
                       cause.message);
    if (status) return wb_fail(err, status, 0, "%s", cause.message);
    return WB_OK;
}

// One more domain; beyond WB_MAX_DOMAINS they are ignored, which takes 8 sockets.
static wb_status add_zone(rapl_state *s, wb_energy_view *view, const char *path, const char *name,
                          wb_error *err) {
    if (!wb_domain_add(view, name)) return WB_OK;
    zone *z = &s->zones[s->n_zones++];
    snprintf(z->path, sizeof z->path, "%s", path);
    // Without a range every step back is a reset.
    if (wb_sysfs_u64(&z->range_uj, s->host->root, NULL, "%s/max_energy_range_uj", path))
        z->range_uj = 0;
    return zone_read_uj(z, s->host->root, &z->last_uj, err);
}

// "package-1" and what lies in it: "core-1", "dram-1". The number is the package's, not the
// zone's: on some machines psys is intel-rapl:0.
static wb_status add_socket(rapl_state *s, wb_energy_view *view, int socket, const char *path,
                            wb_error *err) {
    char name[32], inner_path[SUBZONE_BYTES], inner[32], full[72];
    wb_status status = wb_sysfs_text(name, sizeof name, s->host->root, err, "%s/name", path);
    if (!status) status = add_zone(s, view, path, name, err);
    const char *dash = strchr(name, '-');
    for (int domain = 0; !status && domain < MAX_SUBZONES; domain++) {
        if (!find_subzone(inner_path, s->host->root, path, socket, domain)) continue;
        status = wb_sysfs_text(inner, sizeof inner, s->host->root, err, "%s/name", inner_path);
        if (status) break;
        snprintf(full, sizeof full, "%s%s", inner, dash ? dash : "");
        status = add_zone(s, view, inner_path, full, err);
    }
    return status;
}

static wb_status rapl_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                           wb_error *err) {
    rapl_state *s = state;
    s->host = host;
    char path[ZONE_BYTES];
    for (int socket = 0; socket < MAX_ZONES; socket++) {
        if (!find_zone(path, host->root, socket)) continue;
        const wb_status status = add_socket(s, view, socket, path, err);
        if (status) return status;
    }
    if (s->n_zones == 0)
        return wb_fail(err, WB_ERR_ABSENT, 0,
                       "%s/sys/class/powercap has no intel-rapl zone: a virtual machine, or the "
                       "kernel module is missing (sudo modprobe intel_rapl_msr)",
                       host->root);
    s->last_ns = host->clock.now_ns(host->clock.context);
    view->interval_ms = 1.0;  // Intel SDM volume 3B, 15.10.2
    view->sees_cpu = true;
    wb_domains_classify(view);
    return WB_OK;
}

static wb_status rapl_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    rapl_state *s = state;
    uint64_t now_uj[WB_MAX_DOMAINS];
    // All or nothing: a failure halfway must not leave some domains ahead of others.
    for (int i = 0; i < s->n_zones; i++) {
        const wb_status status = zone_read_uj(&s->zones[i], s->host->root, &now_uj[i], err);
        if (status) return status;
    }
    const uint64_t now_ns = s->host->clock.now_ns(s->host->clock.context);
    const double seconds = (double)(now_ns - s->last_ns) * 1e-9;
    s->last_ns = now_ns;
    for (int i = 0; i < s->n_zones; i++) {
        zone *z = &s->zones[i];
        z->joules += (double)zone_delta_uj(z, now_uj[i], seconds, &flags[i]) * 1e-6;
        z->last_uj = now_uj[i];
        joules[i] = z->joules;
    }
    return WB_OK;
}

static void rapl_close(void *state) {
    (void)state;  // holds no handle: files are opened for each read
}

const wb_energy_source wb_energy_rapl = {
    .name = "rapl",
    .measures =
        "CPU package and DRAM by the processor's own counters (RAPL); no GPU, no fans, no "
        "disks, no losses of the power supply",
    .method = "measured",
    .state_size = sizeof(rapl_state),
    .period_ms = 10,
    .needs_proof = true,
    .open = rapl_open,
    .read = rapl_read,
    .close = rapl_close,
};
