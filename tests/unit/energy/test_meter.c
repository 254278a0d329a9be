// SPDX-License-Identifier: Apache-2.0
// The public functions on the machine's own clock and threads: choosing a source, misuse, the
// modelled source and its children, replay, the self-test. This is what the thread sanitizer sees.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/base.h"
#include "tree.h"
#include "wattbert/energy.h"

// Busy for so long, by CPU time.
static void burn(double seconds) {
    const uint64_t end_ns = wb_clock_process_ns() + (uint64_t)(seconds * 1e9);
    while (wb_clock_process_ns() < end_ns) continue;
}

static void burn_in_child(double seconds) {
    const pid_t pid = fork();
    if (pid == 0) {
        burn(seconds);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

// A tree with no counters at all, so that tests do not depend on the machine they run on.
static void open_empty(tree *t, wb_meter_options *options) {
    tree_open(t);
    *options = wb_default_meter_options();
    options->root = t->root;
}

static void test_falls_back_to_modelled_and_says_so(void **state) {
    (void)state;
    tree t;
    wb_meter_options options;
    open_empty(&t, &options);
    wb_meter *meter;
    wb_error err;
    assert_int_equal(wb_meter_open(&meter, &options, &err), WB_OK);
    const wb_source_info *info = wb_meter_source(meter);
    assert_string_equal(info->name, "modelled");
    assert_string_equal(info->domains, "process");
    assert_non_null(strstr(info->measures, "not measured"));
    wb_meter_close(meter);
    tree_close(&t);
}

static void test_modelled_counts_cpu_time_of_children(void **state) {
    (void)state;
    wb_meter_options options = wb_default_meter_options();
    options.source = "modelled";
    options.watts_per_core = 10.0;
    wb_meter *meter;
    wb_reading reading;
    int n;
    assert_int_equal(wb_meter_open(&meter, &options, NULL), WB_OK);
    assert_int_equal(wb_meter_start(meter, NULL), WB_OK);
    burn(0.05);
    burn_in_child(0.10);
    assert_int_equal(wb_meter_stop(meter, &reading, 1, &n, NULL), WB_OK);
    assert_int_equal(n, 1);
    assert_string_equal(reading.method, "modelled");
    // 0.15 s of a core at 10 W; what fork and the sampler take comes on top.
    assert_true(reading.joules >= 1.49 && reading.joules < 3.0);
    assert_true(reading.low == 0.5 * reading.joules && reading.high == 2.0 * reading.joules);
    wb_meter_close(meter);
}

static wb_status burn_pass(void *context, wb_error *err) {
    (void)err;
    burn(*(double *)context);
    return WB_OK;
}

static void test_modelled_window(void **state) {
    (void)state;
    wb_meter_options options = wb_default_meter_options();
    options.source = "modelled";
    wb_meter *meter;
    double seconds = 0.01, idle_w;
    wb_window w;
    const wb_window_options o = {.min_s = 0.2, .min_ticks = 1000};
    assert_int_equal(wb_meter_open(&meter, &options, NULL), WB_OK);
    assert_int_equal(wb_window_measure(meter, &o, burn_pass, &seconds, &w, NULL), WB_OK);
    assert_string_equal(w.method, "modelled");
    assert_true(w.joules_per_pass >= 0.01 * WB_DEFAULT_WATTS_PER_CORE * 0.999);
    assert_true(w.joules_per_pass < 0.01 * WB_DEFAULT_WATTS_PER_CORE * 1.2);
    assert_true(w.passes >= 1 && w.passes <= 21);
    assert_int_equal(wb_meter_idle(meter, 0.2, &idle_w, NULL), WB_OK);
    assert_true(idle_w >= 0.0 && idle_w < 0.2);
    wb_meter_close(meter);
}

static void test_misuse(void **state) {
    (void)state;
    wb_meter_options options = wb_default_meter_options();
    options.source = "modelled";
    wb_meter *meter;
    wb_reading reading;
    wb_window w;
    double seconds = 0.001, idle_w;
    int n = 7;
    wb_error err;
    assert_int_equal(wb_meter_open(&meter, &options, NULL), WB_OK);
    assert_int_equal(wb_meter_stop(meter, &reading, 1, &n, &err), WB_ERR_ARGUMENT);
    assert_int_equal(n, 0);
    assert_int_equal(wb_meter_start(meter, &err), WB_OK);
    assert_int_equal(wb_meter_start(meter, &err), WB_ERR_ARGUMENT);
    assert_int_equal(wb_window_measure(meter, NULL, burn_pass, &seconds, &w, &err),
                     WB_ERR_ARGUMENT);
    assert_int_equal(wb_meter_idle(meter, 0.1, &idle_w, &err), WB_ERR_ARGUMENT);
    assert_int_equal(wb_meter_stop(meter, &reading, 1, &n, &err), WB_OK);
    assert_int_equal(wb_meter_stop(meter, &reading, 1, &n, &err), WB_ERR_ARGUMENT);
    // Closing a running meter ends its thread.
    assert_int_equal(wb_meter_start(meter, &err), WB_OK);
    wb_meter_close(meter);
    wb_meter_close(NULL);
}

static void test_bad_options(void **state) {
    (void)state;
    static const struct {
        wb_meter_options options;
        wb_status status;
        const char *message;
    } cases[] = {
        {{.source = "wishes"}, WB_ERR_ARGUMENT, "rapl, perf, hwmon"},
        {{.root = "/nonexistent/machine"}, WB_ERR_ARGUMENT, "no such folder"},
        {{.source = "modelled", .watts_per_core = -1.0}, WB_ERR_ARGUMENT, "watts per core"},
        {{.source = "nvml", .gpu_index = -1}, WB_ERR_ARGUMENT, "the first is 0"},
        {{.source = "replay"}, WB_ERR_ABSENT, "no recorded trace"},
        {{.replay = "/nonexistent/trace"}, WB_ERR_IO, "/nonexistent/trace"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wb_meter *meter = (wb_meter *)&meter;
        wb_error err = {0};
        assert_int_equal(wb_meter_open(&meter, &cases[i].options, &err), cases[i].status);
        assert_null(meter);
        if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
    }
    // "/" is the machine itself, not a recorded one.
    wb_meter *meter;
    const wb_meter_options options = {.root = "/", .source = "modelled"};
    assert_int_equal(wb_meter_open(&meter, &options, NULL), WB_OK);
    wb_meter_close(meter);
    // A slash at the end is not doubled.
    tree t;
    wb_meter_options named;
    wb_error err;
    open_empty(&t, &named);
    char root[300];
    snprintf(root, sizeof root, "%s//", t.root);
    named.root = root;
    named.source = "rapl";
    assert_int_equal(wb_meter_open(&meter, &named, &err), WB_ERR_ABSENT);
    assert_memory_equal(err.message, t.root, strlen(t.root));
    assert_memory_equal(err.message + strlen(t.root), "/sys/class", 10);
    tree_close(&t);
}

static void test_probe_lists_every_source(void **state) {
    (void)state;
    tree t;
    wb_meter_options options;
    open_empty(&t, &options);
    wb_source_info infos[WB_MAX_SOURCES];
    int n;
    assert_int_equal(wb_sources_probe(&options, infos, WB_MAX_SOURCES, &n, NULL), WB_OK);
    static const char *const names[] = {"rapl", "perf", "hwmon", "nvml", "replay", "modelled"};
    assert_int_equal(n, 6);
    for (int i = 0; i < n; i++) {
        assert_string_equal(infos[i].name, names[i]);
        assert_int_equal(infos[i].status, i == 5 ? WB_OK : WB_ERR_ABSENT);
        assert_true((infos[i].reason[0] != 0) == (i != 5));
        assert_true(strlen(infos[i].measures) > 10);
    }
    assert_int_equal(wb_sources_probe(&options, infos, 2, &n, NULL), WB_OK);
    assert_int_equal(n, 2);
    tree_close(&t);
}

// 20 W in steps of 10 ms, on the real clock: sampler thread, edges, fit.
static void test_replay_in_real_time(void **state) {
    (void)state;
    tree t;
    tree_open(&t);
    char path[512];
    tree_path(&t, path, "trace");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "wattbert-trace 1\ndomains package-0 core-0\n");
    for (int i = 0; i <= 300; i++) fprintf(file, "%.2f %.2f %.2f\n", i * 0.01, i * 0.2, i * 0.1);
    fclose(file);
    const wb_meter_options options = {.replay = path};
    wb_meter *meter;
    wb_error err;
    double seconds = 0.004;
    wb_window w;
    wb_reading readings[2];
    int n;
    assert_int_equal(wb_meter_open(&meter, &options, &err), WB_OK);
    assert_string_equal(wb_meter_source(meter)->name, "replay");
    const wb_window_options o = {.min_s = 0.5, .min_ticks = 20};
    assert_int_equal(wb_window_measure(meter, &o, burn_pass, &seconds, &w, &err), WB_OK);
    const double watts = w.joules_per_pass / w.seconds_per_pass;
    if (fabs(watts - 20.0) > 1.0) fail_msg("%.3f W, want 20 W", watts);
    assert_int_equal(wb_meter_start(meter, &err), WB_OK);
    wb_sleep_ns(200000000);
    assert_int_equal(wb_meter_stop(meter, readings, 2, &n, &err), WB_OK);
    assert_int_equal(n, 2);
    assert_true(readings[0].joules > 3.5 && readings[0].joules < 40.0);
    assert_true(fabs(readings[1].joules - 0.5 * readings[0].joules) < 1e-9);
    // The trace is 3 s long; measuring beyond its end is an error, not silence.
    wb_sleep_ns(2600000000);
    assert_int_equal(wb_meter_start(meter, &err), WB_ERR_REFUSED);
    assert_non_null(strstr(err.message, "the trace ends after 3.000 s"));
    wb_meter_close(meter);
    tree_close(&t);
}

static void test_self_test(void **state) {
    (void)state;
    tree t;
    wb_meter_options options;
    open_empty(&t, &options);
    wb_meter *meter;
    wb_self_test result;
    wb_error err;
    assert_int_equal(wb_meter_open(&meter, &options, &err), WB_OK);
    assert_int_equal(wb_meter_self_test(meter, 1.4, &result, &err), WB_OK);
    assert_string_equal(result.source, "modelled");
    assert_string_equal(result.method, "modelled");
    assert_true(result.read_us > 0.0 && result.overhead_share < 0.01);
    assert_int_equal(wb_meter_self_test(meter, 0.0, &result, &err), WB_ERR_ARGUMENT);
    wb_meter_close(meter);
    tree_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_falls_back_to_modelled_and_says_so),
        cmocka_unit_test(test_modelled_counts_cpu_time_of_children),
        cmocka_unit_test(test_modelled_window),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_probe_lists_every_source),
        cmocka_unit_test(test_replay_in_real_time),
        cmocka_unit_test(test_self_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
