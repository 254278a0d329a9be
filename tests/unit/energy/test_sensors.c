// SPDX-License-Identifier: Apache-2.0
// perf's counters and the board's sensors on played machines: which domains are found, what they
// add up to, what is understood of a chip and what is not.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "energy/meter.h"
#include "tree.h"
#include "virtual.h"

// A file whose number grows with time.
typedef struct moving {
    const char *path;
    double start, per_s;
} moving;

typedef struct rig {
    tree tree;
    virtual_clock clock;
    wb_energy_host host;
    const moving *files;
    int n_files;
    wb_meter *meter;
    wb_source_info info;
    wb_error err;
} rig;

static void play(void *context, double now_s) {
    rig *r = context;
    for (int i = 0; i < r->n_files; i++)
        tree_write(&r->tree, r->files[i].path, "%.0f\n",
                   floor(r->files[i].start + r->files[i].per_s * now_s));
}

static void rig_init(rig *r, const moving *files, int n_files) {
    *r = (rig){.files = files, .n_files = n_files};
    tree_open(&r->tree);
    r->clock = (virtual_clock){.play = play, .context = r};
    play(r, 0.0);
    r->host.clock = virtual_clock_of(&r->clock);
    snprintf(r->host.root, sizeof r->host.root, "%s", r->tree.root);
}

static wb_status rig_open(rig *r, const wb_energy_source *source) {
    return wb_meter_open_source(&r->meter, source, &r->host, &r->info, &r->err);
}

static void rig_close(rig *r) {
    wb_meter_close(r->meter);
    tree_close(&r->tree);
}

static wb_status measure(rig *r, double seconds, wb_reading *readings, int *n) {
    const wb_status status = wb_meter_start(r->meter, &r->err);
    if (status) return status;
    virtual_advance(&r->clock, (uint64_t)(seconds * 1e9));
    return wb_meter_stop(r->meter, readings, WB_MAX_DOMAINS, n, &r->err);
}

static void expect(const wb_reading *reading, const char *domain, double joules,
                   const char *flags) {
    assert_string_equal(reading->domain, domain);
    assert_string_equal(reading->flags, flags);
    assert_string_equal(reading->method, "measured");
    if (fabs(reading->joules - joules) > 0.002 * joules)
        fail_msg("%s: %.6f J, want %.6f J", domain, reading->joules, joules);
}

static void expect_total_w(rig *r, double watts) {
    double idle_w = 0.0;
    if (wb_meter_idle(r->meter, 1.0, &idle_w, &r->err)) fail_msg("%s", r->err.message);
    if (fabs(idle_w - watts) > 0.005 * watts) fail_msg("%.3f W, want %.3f W", idle_w, watts);
}

// ---- perf -----------------------------------------------------------------------

#define POWER "sys/bus/event_source/devices/power/"

static void write_pmu(const rig *r, const char *mask) {
    tree_write(&r->tree, POWER "type", "9\n");
    tree_write(&r->tree, POWER "cpumask", "%s\n", mask);
}

static void write_event(const rig *r, const char *name, int config, const char *scale) {
    char path[160];
    snprintf(path, sizeof path, POWER "events/%s", name);
    tree_write(&r->tree, path, "event=0x%02x\n", (unsigned)config);
    snprintf(path, sizeof path, POWER "events/%s.scale", name);
    tree_write(&r->tree, path, "%s\n", scale);
}

static const char SCALE[] = "2.3283064365386962890625e-10";
static const double COUNTS_PER_J = 4294967296.0;

static void test_perf_two_sockets(void **state) {
    (void)state;
    const moving files[] = {
        {POWER "recorded/energy-pkg-cpu0", 1e12, 80.0 * COUNTS_PER_J},
        {POWER "recorded/energy-pkg-cpu16", 3e12, 70.0 * COUNTS_PER_J},
        {POWER "recorded/energy-ram-cpu0", 5e9, 9.0 * COUNTS_PER_J},
        {POWER "recorded/energy-ram-cpu16", 6e9, 8.0 * COUNTS_PER_J},
    };
    rig r;
    rig_init(&r, files, 4);
    write_pmu(&r, "0,16");
    write_event(&r, "energy-pkg", 2, SCALE);
    write_event(&r, "energy-ram", 3, SCALE);
    tree_write(&r.tree, "sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n");
    tree_write(&r.tree, "sys/devices/system/cpu/cpu16/topology/physical_package_id", "1\n");
    assert_int_equal(rig_open(&r, &wb_energy_perf), WB_OK);
    assert_string_equal(r.info.domains, "package-0 package-1 dram-0 dram-1");
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    expect(&readings[1], "package-1", 140.0, "");
    expect(&readings[2], "dram-0", 18.0, "");
    expect_total_w(&r, 167.0);
    rig_close(&r);
}

static void test_perf_range_of_cpus(void **state) {
    (void)state;
    const moving files[] = {{POWER "recorded/energy-pkg-cpu0", 0, 80.0 * COUNTS_PER_J},
                            {POWER "recorded/energy-pkg-cpu1", 0, 70.0 * COUNTS_PER_J}};
    rig r;
    rig_init(&r, files, 2);
    write_pmu(&r, "0-1");
    write_event(&r, "energy-pkg", 2, SCALE);
    assert_int_equal(rig_open(&r, &wb_energy_perf), WB_OK);
    assert_string_equal(r.info.domains, "package-0 package-1");
    rig_close(&r);
}

// What virtual machines of some clouds show: one counter, and it never counts.
static void test_perf_psys_that_reads_0(void **state) {
    (void)state;
    const moving files[] = {{POWER "recorded/energy-psys-cpu0", 0, 0}};
    rig r;
    rig_init(&r, files, 1);
    write_pmu(&r, "0");
    write_event(&r, "energy-psys", 5, SCALE);
    rig_open(&r, &wb_energy_perf);
    assert_int_equal(r.info.status, WB_ERR_REFUSED);
    assert_non_null(strstr(r.info.reason, "dead counter: psys"));
    rig_close(&r);
}

static void test_perf_denied(void **state) {
    (void)state;
    const moving files[] = {{POWER "recorded/energy-pkg-cpu0", 0, 80.0 * COUNTS_PER_J}};
    rig r;
    rig_init(&r, files, 1);
    write_pmu(&r, "0");
    write_event(&r, "energy-pkg", 2, SCALE);
    tree_write(&r.tree, "proc/sys/kernel/perf_event_paranoid", "2\n");
    assert_int_equal(rig_open(&r, &wb_energy_perf), WB_ERR_DENIED);
    assert_non_null(strstr(r.err.message, "sudo sysctl kernel.perf_event_paranoid=0"));
    rig_close(&r);
}

static void test_perf_malformed(void **state) {
    (void)state;
    const moving files[] = {{POWER "recorded/energy-pkg-cpu0", 0, 80.0 * COUNTS_PER_J}};
    const char *scales[] = {"", "0", "-1", "many", "1e9"};
    for (int i = 0; i < 5; i++) {
        rig r;
        rig_init(&r, files, 1);
        write_pmu(&r, "0");
        write_event(&r, "energy-pkg", 2, scales[i]);
        assert_int_equal(rig_open(&r, &wb_energy_perf), WB_ERR_IO);
        rig_close(&r);
    }
}

// ---- hwmon ----------------------------------------------------------------------

#define CHIP(n) "sys/class/hwmon/hwmon" #n "/"

// A Jetson Orin Nano's rails: VDD_IN feeds the other two.
static void test_rails_of_a_board(void **state) {
    (void)state;
    const moving files[] = {
        {CHIP(1) "in1_input", 5000, 0}, {CHIP(1) "curr1_input", 1400, 0},
        {CHIP(1) "in2_input", 5000, 0}, {CHIP(1) "curr2_input", 600, 0},
        {CHIP(1) "in3_input", 5000, 0}, {CHIP(1) "curr3_input", -8, 0},
    };
    rig r;
    rig_init(&r, files, 6);
    tree_write(&r.tree, CHIP(0) "name", "thermal_fan_est\n");
    tree_write(&r.tree, CHIP(1) "name", "ina3221\n");
    tree_write(&r.tree, CHIP(1) "in1_label", "VDD_IN\n");
    tree_write(&r.tree, CHIP(1) "in2_label", "VDD_CPU_GPU_CV\n");
    tree_write(&r.tree, CHIP(1) "in3_label", "VDD_SOC\n");
    assert_int_equal(rig_open(&r, &wb_energy_hwmon), WB_OK);
    assert_string_equal(r.info.domains, "VDD_IN VDD_CPU_GPU_CV VDD_SOC");
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    assert_int_equal(n, 3);
    expect(&readings[0], "VDD_IN", 14.0, "integrated-power");
    expect(&readings[1], "VDD_CPU_GPU_CV", 6.0, "integrated-power");
    expect(&readings[2], "VDD_SOC", 0.0,
           "integrated-power");  // no current, and none that runs back
    expect_total_w(&r, 7.0);
    rig_close(&r);
}

// Power that ramps from 0 to 200 W in 2 s is 200 J: the trapezoid must not be a staircase.
static void test_power_is_integrated(void **state) {
    (void)state;
    const moving files[] = {{CHIP(0) "power1_average", 1, 100e6}};
    rig r;
    rig_init(&r, files, 1);
    tree_write(&r.tree, CHIP(0) "name", "power_meter\n");
    assert_int_equal(rig_open(&r, &wb_energy_hwmon), WB_OK);
    assert_string_equal(r.info.domains, "power_meter-0");
    const double start_s = (double)r.clock.now_ns * 1e-9;
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 2.0, readings, &n), WB_OK);
    expect(&readings[0], "power_meter-0", 200.0 + 100.0 * start_s * 2.0, "integrated-power");
    rig_close(&r);
}

// amd_energy counts cores too; zenpower shows watts of the same sockets: neither counts twice.
static void test_counters_before_watts(void **state) {
    (void)state;
    const moving files[] = {
        {CHIP(2) "energy1_input", 1e9, 3e6},
        {CHIP(2) "energy65_input", 5e12, 90e6},
        {CHIP(2) "energy66_input", 6e12, 85e6},
        {CHIP(3) "power1_input", 70e6, 0},
    };
    rig r;
    rig_init(&r, files, 4);
    tree_write(&r.tree, CHIP(2) "name", "amd_energy\n");
    tree_write(&r.tree, CHIP(2) "energy1_label", "Ecore000\n");
    tree_write(&r.tree, CHIP(2) "energy65_label", "Esocket0\n");
    tree_write(&r.tree, CHIP(2) "energy66_label", "Esocket1\n");
    tree_write(&r.tree, CHIP(3) "name", "zenpower\n");
    tree_write(&r.tree, CHIP(3) "power1_label", "SVI2_P_Core\n");
    assert_int_equal(rig_open(&r, &wb_energy_hwmon), WB_OK);
    assert_string_equal(r.info.domains, "Esocket0 Esocket1 SVI2_P_Core");
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    assert_int_equal(measure(&r, 1.0, readings, &n), WB_OK);
    expect(&readings[0], "Esocket0", 90.0, "");
    expect_total_w(&r, 175.0);
    rig_close(&r);
}

static void test_unknown_chips_are_not_used(void **state) {
    (void)state;
    const moving files[] = {{CHIP(0) "power1_average", 70e6, 0}, {CHIP(1) "in1_input", 5000, 0}};
    rig r;
    rig_init(&r, files, 2);
    tree_write(&r.tree, CHIP(0) "name", "amdgpu\n");
    tree_write(&r.tree, CHIP(1) "name", "ina3221\n");
    tree_write(&r.tree, CHIP(1) "in1_label", "NC\n");
    assert_int_equal(rig_open(&r, &wb_energy_hwmon), WB_ERR_ABSENT);
    rig_close(&r);
}

static void test_sensor_that_reads_0(void **state) {
    (void)state;
    const moving files[] = {{CHIP(0) "power1_input", 0, 0}};
    rig r;
    rig_init(&r, files, 1);
    tree_write(&r.tree, CHIP(0) "name", "ina226\n");
    rig_open(&r, &wb_energy_hwmon);
    assert_int_equal(r.info.status, WB_ERR_REFUSED);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perf_two_sockets),
        cmocka_unit_test(test_perf_range_of_cpus),
        cmocka_unit_test(test_perf_psys_that_reads_0),
        cmocka_unit_test(test_perf_denied),
        cmocka_unit_test(test_perf_malformed),
        cmocka_unit_test(test_rails_of_a_board),
        cmocka_unit_test(test_power_is_integrated),
        cmocka_unit_test(test_counters_before_watts),
        cmocka_unit_test(test_unknown_chips_are_not_used),
        cmocka_unit_test(test_sensor_that_reads_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
