// SPDX-License-Identifier: Apache-2.0
// RAPL on played machines, in virtual time and to the microjoule: sockets, missing domains, wraps,
// resets, dead and forbidden counters. The domains' layout is Linux 6.1's.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "energy/meter.h"
#include "tree.h"
#include "virtual.h"

enum { MAX_ZONES = 8 };

static const uint64_t RANGE_UJ = 262143328850u;

typedef struct zone {
    const char *folder, *name;
    uint64_t start_uj, uj_per_s;
    double reset_s;  // the counter starts again from 0 then; 0: never
} zone;

typedef struct rig {
    tree tree;
    virtual_clock clock;
    wb_energy_host host;
    const zone *zones;
    int n_zones;
    wb_meter *meter;
    wb_source_info info;
    wb_error err;
} rig;

static void write_energy(void *context, double now_s) {
    rig *r = context;
    for (int i = 0; i < r->n_zones; i++) {
        const zone *z = &r->zones[i];
        const bool is_reset = z->reset_s > 0.0 && now_s >= z->reset_s;
        const double since_s = is_reset ? now_s - z->reset_s : now_s;
        const uint64_t uj = (uint64_t)llround(since_s * (double)z->uj_per_s);
        char path[128];
        snprintf(path, sizeof path, "%s/energy_uj", z->folder);
        tree_write(&r->tree, path, "%llu\n",
                   (unsigned long long)(((is_reset ? 0 : z->start_uj) + uj) % RANGE_UJ));
    }
}

static wb_status rig_open(rig *r, const zone *zones, int n_zones) {
    *r = (rig){.zones = zones, .n_zones = n_zones};
    tree_open(&r->tree);
    for (int i = 0; i < n_zones; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/name", zones[i].folder);
        tree_write(&r->tree, path, "%s\n", zones[i].name);
        snprintf(path, sizeof path, "%s/max_energy_range_uj", zones[i].folder);
        tree_write(&r->tree, path, "%llu\n", (unsigned long long)RANGE_UJ);
    }
    r->clock = (virtual_clock){.play = write_energy, .context = r};
    write_energy(r, 0.0);
    r->host.clock = virtual_clock_of(&r->clock);
    snprintf(r->host.root, sizeof r->host.root, "%s", r->tree.root);
    return wb_meter_open_source(&r->meter, &wb_energy_rapl, &r->host, &r->info, &r->err);
}

static void rig_close(rig *r) {
    wb_meter_close(r->meter);
    tree_close(&r->tree);
}

// readings[*n] <- an interval of so many seconds.
static wb_status measure(rig *r, double seconds, wb_reading *readings, int *n) {
    const wb_status status = wb_meter_start(r->meter, &r->err);
    if (status) return status;
    virtual_advance(&r->clock, (uint64_t)(seconds * 1e9));
    return wb_meter_stop(r->meter, readings, WB_MAX_DOMAINS, n, &r->err);
}

static void expect(const wb_reading *reading, const char *domain, double joules,
                   const char *flags) {
    assert_string_equal(reading->source, "rapl");
    assert_string_equal(reading->domain, domain);
    assert_string_equal(reading->method, "measured");
    assert_string_equal(reading->flags, flags);
    if (fabs(reading->joules - joules) > 2e-6)
        fail_msg("%s: %.6f J, want %.6f J", domain, reading->joules, joules);
    assert_true(reading->low <= reading->joules && reading->joules <= reading->high);
    // One step of 1 ms either way, and not more.
    const double width = reading->high - reading->low;
    assert_true(width > 0.0 || joules == 0.0);
    assert_true(width <= 2.1e-3 * joules + 2.1e-6);
}

#define P "sys/class/powercap/intel-rapl:"

static void test_two_sockets_with_dram(void **state) {
    (void)state;
    static const zone zones[] = {
        {P "0", "package-0", 5000000, 95000000, 0},
        {P "0:0", "dram", 77, 12500000, 0},
        {P "1", "package-1", 9000000, 105000000, 0},
        {P "1:0", "dram", 12, 11500000, 0},
    };
    rig r;
    assert_int_equal(rig_open(&r, zones, 4), WB_OK);
    assert_string_equal(r.info.domains, "package-0 dram-0 package-1 dram-1");
    assert_true(r.info.sees_cpu && r.info.reason[0] == 0);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 1.5, readings, &n), WB_OK);
    assert_int_equal(n, 4);
    expect(&readings[0], "package-0", 142.5, "");
    expect(&readings[1], "dram-0", 18.75, "");
    expect(&readings[2], "package-1", 157.5, "");
    expect(&readings[3], "dram-1", 17.25, "");
    // A window adds up what is disjoint: 224 W.
    double idle_w;
    assert_int_equal(wb_meter_idle(r.meter, 1.0, &idle_w, NULL), WB_OK);
    assert_true(fabs(idle_w - 224.0) < 0.3);
    rig_close(&r);
}

// Cores and graphics lie inside the package, psys around it: only the package counts.
static void test_nested_domains_are_not_summed(void **state) {
    (void)state;
    static const zone zones[] = {
        {P "0", "psys", 1, 30000000, 0},   {P "1", "package-0", 1, 20000000, 0},
        {P "1:0", "core", 1, 15000000, 0}, {P "1:1", "uncore", 1, 0, 0},
        {P "1:2", "dram", 1, 2000000, 0},
    };
    rig r;
    assert_int_equal(rig_open(&r, zones, 5), WB_OK);
    assert_string_equal(r.info.domains, "psys package-0 core-0 uncore-0 dram-0");
    double idle_w;
    assert_int_equal(wb_meter_idle(r.meter, 1.0, &idle_w, NULL), WB_OK);
    assert_true(fabs(idle_w - 22.0) < 0.1);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    assert_int_equal(n, 5);
    expect(&readings[3], "uncore-0", 0.0, "");  // a graphics unit may rest
    rig_close(&r);
}

static void test_psys_alone(void **state) {
    (void)state;
    static const zone zones[] = {{P "0", "psys", 1, 30000000, 0}};
    rig r;
    assert_int_equal(rig_open(&r, zones, 1), WB_OK);
    double idle_w;
    assert_int_equal(wb_meter_idle(r.meter, 1.0, &idle_w, NULL), WB_OK);
    assert_true(fabs(idle_w - 30.0) < 0.1);
    rig_close(&r);
}

// Copied from /sys/devices instead of /sys/class, and with a gap in the numbers.
static void test_nested_layout(void **state) {
    (void)state;
    static const zone zones[] = {
        {"sys/class/powercap/intel-rapl/intel-rapl:2", "package-1", 1, 20000000, 0},
        {"sys/class/powercap/intel-rapl/intel-rapl:2/intel-rapl:2:3", "dram", 1, 4000000, 0},
    };
    rig r;
    assert_int_equal(rig_open(&r, zones, 2), WB_OK);
    assert_string_equal(r.info.domains, "package-1 dram-1");
    rig_close(&r);
}

static void test_wraps(void **state) {
    (void)state;
    // 150 W from 100 J below the range: wraps after 0.67 s.
    static const zone zones[] = {{P "0", "package-0", 262143328850u - 100000000u, 150000000, 0}};
    rig r;
    assert_int_equal(rig_open(&r, zones, 1), WB_OK);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    expect(&readings[0], "package-0", 300.0, "wrapped");
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    expect(&readings[0], "package-0", 300.0, "");  // a flag belongs to its interval
    rig_close(&r);
}

static void test_many_wraps(void **state) {
    (void)state;
    static const zone zones[] = {{P "0", "package-0", 0, 20000000000u, 0}};
    rig r;
    assert_int_equal(rig_open(&r, zones, 1), WB_OK);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    // 800 kJ, three times the range, as after 90 minutes at 150 W.
    assert_int_equal(measure(&r, 40.0, readings, &n), WB_OK);
    assert_string_equal(readings[0].flags, "wrapped");
    assert_true(fabs(readings[0].joules - 800000.0) < 1e-3);
    rig_close(&r);
}

static void test_reset_is_no_wrap(void **state) {
    (void)state;
    static const zone zones[] = {{P "0", "package-0", 120000000000u, 50000000, 1.0}};
    rig r;
    assert_int_equal(rig_open(&r, zones, 1), WB_OK);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    assert_string_equal(readings[0].flags, "reset");
    // What lies between the reads around the reset is lost, one period of the sampler; the rest is
    // there.
    assert_true(readings[0].joules > 98.5 && readings[0].joules <= 100.0);
    rig_close(&r);
}

static void test_dead_package_is_refused(void **state) {
    (void)state;
    static const zone zones[] = {
        {P "0", "package-0", 5, 95000000, 0},
        {P "1", "package-1", 9000000, 0, 0},
    };
    rig r;
    rig_open(&r, zones, 2);
    assert_int_equal(r.info.status, WB_ERR_REFUSED);
    assert_non_null(strstr(r.info.reason, "dead counter: package-1 stood still"));
    rig_close(&r);
}

static void test_dead_dram_is_left_out(void **state) {
    (void)state;
    static const zone zones[] = {
        {P "0", "package-0", 5, 95000000, 0},
        {P "0:0", "dram", 0, 0, 0},
    };
    rig r;
    assert_int_equal(rig_open(&r, zones, 2), WB_OK);
    assert_string_equal(r.info.domains, "package-0");
    assert_string_equal(r.info.reason, "left out, stands still: dram-0");
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 1.0, readings, &n), WB_OK);
    assert_int_equal(n, 1);
    rig_close(&r);
}

// Under a root a meter opens on counters that stand still, and the interval decides.
static void test_unproven_counter(void **state) {
    (void)state;
    zone zones[] = {{P "0", "package-0", 1000000, 0, 0}};
    rig r;
    assert_int_equal(rig_open(&r, zones, 1), WB_OK);
    assert_int_equal(r.info.status, WB_ERR_REFUSED);
    assert_int_equal(wb_meter_source(r.meter)->status, WB_OK);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 0.2, readings, &n), WB_ERR_REFUSED);
    assert_int_equal(n, 0);
    assert_non_null(strstr(r.err.message, "dead counter"));
    assert_int_equal(wb_meter_start(r.meter, &r.err), WB_OK);
    zones[0].start_uj = 5000000;
    virtual_advance(&r.clock, 1000000);
    assert_int_equal(wb_meter_stop(r.meter, readings, WB_MAX_DOMAINS, &n, &r.err), WB_OK);
    assert_true(fabs(readings[0].joules - 4.0) < 1e-9);
    rig_close(&r);
}

static void test_counter_that_dies_later(void **state) {
    (void)state;
    zone zones[] = {{P "0", "package-0", 1000000, 40000000, 0}};
    rig r;
    assert_int_equal(rig_open(&r, zones, 1), WB_OK);
    assert_int_equal(r.info.status, WB_OK);
    zones[0].uj_per_s = 0;
    zones[0].start_uj = 90000000;
    virtual_advance(&r.clock, 1000000);
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 3.0, readings, &n), WB_ERR_REFUSED);
    rig_close(&r);
}

static void test_absent_and_malformed(void **state) {
    (void)state;
    rig r;
    assert_int_equal(rig_open(&r, NULL, 0), WB_ERR_ABSENT);
    assert_non_null(strstr(r.err.message, "virtual machine"));
    assert_null(r.meter);
    // A counter that is no number is an error that quotes it.
    tree_write(&r.tree, P "0/name", "package-0\n");
    tree_write(&r.tree, P "0/energy_uj", "lots\n");
    assert_int_equal(wb_meter_open_source(&r.meter, &wb_energy_rapl, &r.host, &r.info, &r.err),
                     WB_ERR_IO);
    assert_non_null(strstr(r.err.message, "\"lots\" is no whole number"));
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_sockets_with_dram),
        cmocka_unit_test(test_nested_domains_are_not_summed),
        cmocka_unit_test(test_psys_alone),
        cmocka_unit_test(test_nested_layout),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_many_wraps),
        cmocka_unit_test(test_reset_is_no_wrap),
        cmocka_unit_test(test_dead_package_is_refused),
        cmocka_unit_test(test_dead_dram_is_left_out),
        cmocka_unit_test(test_unproven_counter),
        cmocka_unit_test(test_counter_that_dies_later),
        cmocka_unit_test(test_absent_and_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
