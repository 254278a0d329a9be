// SPDX-License-Identifier: Apache-2.0
// RAPL again, through perf_event_open on the "power" PMU: for machines whose powercap is closed
// to users while perf is open. The kernel removes wraps. Under a root that is not the machine's
// own the counts cannot come from a system call; they come from files beside the events
// (recorded/EVENT-cpuN).
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "energy/source.h"

static const char POWER[] = "/sys/bus/event_source/devices/power";

// One event on one CPU, which stands for its package.
typedef struct perf_counter {
    int fd;          // -1 under a root
    char file[160];  // the recorded count, under a root
    uint64_t start;  // of the recorded count
    double joules_per_count;
} perf_counter;

typedef struct perf_state {
    const wb_energy_host *host;
    perf_counter counters[WB_MAX_DOMAINS];
    int n_counters;
} perf_state;

// The kernel's events (arch/x86/events/rapl.c) under the names that powercap has for the same
// registers, so that readings of both sources can be compared.
static const struct {
    const char *event, *domain;
} EVENTS[] = {
    {"energy-pkg", "package"}, {"energy-ram", "dram"},  {"energy-cores", "core"},
    {"energy-gpu", "uncore"},  {"energy-psys", "psys"},
};
enum { N_EVENTS = (int)(sizeof EVENTS / sizeof *EVENTS) };

static wb_status fail_denied(const perf_state *s, wb_error *err) {
    char text[16];
    const wb_status status = wb_sysfs_text(text, sizeof text, s->host->root, NULL,
                                           "/proc/sys/kernel/perf_event_paranoid");
    return wb_fail(err, WB_ERR_DENIED, 0,
                   "perf_event_open on %s%s: permission denied, kernel.perf_event_paranoid is %s; "
                   "sudo sysctl kernel.perf_event_paranoid=0, or sudo setcap cap_perfmon+ep on the "
                   "program",
                   s->host->root, POWER, status ? "unknown" : text);
}

// Would the recorded machine have let its user count? As the kernel decides for a PMU that
// counts for all processes: perf_event_paranoid above 0 wants CAP_PERFMON.
static bool is_recorded_denied(const char *root) {
    char text[16];
    if (wb_sysfs_text(text, sizeof text, root, NULL, "/proc/sys/kernel/perf_event_paranoid"))
        return false;
    return strtol(text, NULL, 10) > 0;
}

static wb_status open_recorded(perf_state *s, perf_counter *counter, const char *event, int cpu,
                               wb_error *err) {
    if (is_recorded_denied(s->host->root)) return fail_denied(s, err);
    snprintf(counter->file, sizeof counter->file, "%s/recorded/%s-cpu%d", POWER, event, cpu);
    counter->fd = -1;
    return wb_sysfs_u64(&counter->start, s->host->root, err, "%s", counter->file);
}

// A package's counter has no task: pid -1 on the CPU of the PMU's mask. It starts at 0.
static wb_status open_event(perf_state *s, perf_counter *counter, const char *event, uint32_t type,
                            uint64_t config, int cpu, wb_error *err) {
    struct perf_event_attr attributes = {.type = type, .size = sizeof attributes, .config = config};
    if (s->host->root[0]) return open_recorded(s, counter, event, cpu, err);
    const long fd = syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd >= 0) {
        counter->fd = (int)fd;
        return WB_OK;
    }
    const int code = errno;
    if (code == EACCES || code == EPERM) return fail_denied(s, err);
    return wb_fail(err,
                   code == ENOSYS || code == ENODEV || code == ENOENT ? WB_ERR_ABSENT : WB_ERR_IO,
                   0, "perf_event_open of %s on CPU %d: %s", event, cpu, strerror(code));
}

// The config of "event=0x02", and the scale's joules per count.
static wb_status read_event(const perf_state *s, const char *event, uint64_t *config,
                            double *joules_per_count, wb_error *err) {
    char text[64], scale[64];
    const char *root = s->host->root;
    wb_status status = wb_sysfs_text(text, sizeof text, root, err, "%s/events/%s", POWER, event);
    if (status) return status;
    const char *number = strstr(text, "event=");
    char *end;
    *config = number ? strtoull(number + 6, &end, 0) : 0;
    status = wb_sysfs_text(scale, sizeof scale, root, err, "%s/events/%s.scale", POWER, event);
    if (status) return status;
    *joules_per_count = strtod(scale, NULL);
    if (!number || !(*joules_per_count > 0.0) || *joules_per_count > 1.0)
        return wb_fail(err, WB_ERR_IO, 0,
                       "%s%s/events/%s: \"%s\" scaled by \"%s\" is not understood", root, POWER,
                       event, text, scale);
    return WB_OK;
}

// The package that a CPU belongs to; the CPU itself where the machine does not say.
static int package_of(const char *root, int cpu) {
    uint64_t package;
    if (wb_sysfs_u64(&package, root, NULL,
                     "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu))
        return cpu;
    return (int)package;
}

static wb_status add_counter(perf_state *s, wb_energy_view *view, int event, uint32_t type, int cpu,
                             wb_error *err) {
    if (s->n_counters == WB_MAX_DOMAINS) return WB_OK;
    uint64_t config;
    perf_counter *counter = &s->counters[s->n_counters];
    *counter = (perf_counter){.fd = -1};
    const char *name = EVENTS[event].event;
    wb_status status = read_event(s, name, &config, &counter->joules_per_count, err);
    if (!status) status = open_event(s, counter, name, type, config, cpu, err);
    if (status) return status;
    s->n_counters++;
    char domain[32];
    snprintf(domain, sizeof domain, "%s-%d", EVENTS[event].domain, package_of(s->host->root, cpu));
    wb_domain_add(view, strcmp(EVENTS[event].domain, "psys") == 0 ? "psys" : domain);
    return WB_OK;
}

// One counter for each CPU of the mask, which lists one CPU a package: "0,16" or "0-1".
static wb_status add_event(perf_state *s, wb_energy_view *view, int event, uint32_t type,
                           const char *cpu_mask, wb_error *err) {
    for (const char *at = cpu_mask; *at;) {
        char *end;
        const long first = strtol(at, &end, 10);
        if (end == at) break;
        const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        for (long cpu = first; cpu <= last && cpu - first < WB_MAX_DOMAINS; cpu++) {
            const wb_status status = add_counter(s, view, event, type, (int)cpu, err);
            if (status) return status;
        }
        at = *end == ',' ? end + 1 : end;
    }
    return WB_OK;
}

static wb_status perf_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                           wb_error *err) {
    perf_state *s = state;
    s->host = host;
    uint64_t type;
    if (wb_sysfs_u64(&type, host->root, NULL, "%s/type", POWER))
        return wb_fail(err, WB_ERR_ABSENT, 0,
                       "%s%s is missing: the kernel has no energy counters for perf here",
                       host->root, POWER);
    char mask[128];
    if (wb_sysfs_text(mask, sizeof mask, host->root, NULL, "%s/cpumask", POWER) || !mask[0])
        snprintf(mask, sizeof mask, "0");
    for (int i = 0; i < N_EVENTS; i++) {
        if (!wb_sysfs_exists(host->root, "%s/events/%s", POWER, EVENTS[i].event)) continue;
        const wb_status status = add_event(s, view, i, (uint32_t)type, mask, err);
        if (status) return status;
    }
    if (s->n_counters == 0)
        return wb_fail(err, WB_ERR_ABSENT, 0, "%s%s/events lists no energy counter", host->root,
                       POWER);
    view->interval_ms = 1.0;  // the same registers as rapl's
    view->sees_cpu = true;
    wb_domains_classify(view);
    return WB_OK;
}

// *count <- since open; the kernel's own count begins at 0, a recorded one does not.
static wb_status read_count(const perf_state *s, const perf_counter *counter, uint64_t *count,
                            wb_error *err) {
    if (counter->fd < 0) {
        const wb_status status = wb_sysfs_u64(count, s->host->root, err, "%s", counter->file);
        *count -= *count >= counter->start ? counter->start : *count;
        return status;
    }
    if (read(counter->fd, count, sizeof *count) == (ssize_t)sizeof *count) return WB_OK;
    return wb_fail(err, WB_ERR_IO, 0, "reading a perf energy counter: %s", strerror(errno));
}

static wb_status perf_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    (void)flags;
    perf_state *s = state;
    for (int i = 0; i < s->n_counters; i++) {
        uint64_t count = 0;
        const wb_status status = read_count(s, &s->counters[i], &count, err);
        if (status) return status;
        joules[i] = (double)count * s->counters[i].joules_per_count;
    }
    return WB_OK;
}

static void perf_close(void *state) {
    perf_state *s = state;
    for (int i = 0; i < s->n_counters; i++)
        if (s->counters[i].fd >= 0) close(s->counters[i].fd);
}

const wb_energy_source wb_energy_perf = {
    .name = "perf",
    .measures =
        "CPU package and DRAM by the processor's own counters (RAPL, through perf); no "
        "GPU, no fans, no disks, no losses of the power supply",
    .method = "measured",
    .state_size = sizeof(perf_state),
    .period_ms = 10,
    .needs_proof = true,
    .open = perf_open,
    .read = perf_read,
    .close = perf_close,
};
