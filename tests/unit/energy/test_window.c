// SPDX-License-Identifier: Apache-2.0
// The window protocol and its intervals on joules that are known: recorded traces with noise,
// drift, jittering 100 ms ticks and rounding to millijoules, and a machine whose power
// depends on whether work runs. All of it in virtual time, through the code that measures.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "energy/meter.h"
#include "tree.h"
#include "virtual.h"

// ---- A trace of known power -----------------------------------------------------

static double draw_normal(wb_random *random) {
    // Box and Muller 1958.
    const double u = 1.0 - wb_random_unit(random), v = wb_random_unit(random);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static const double TRUE_W = 200.0;

// A trace of `seconds`, ticks every 100 +- 2 ms as an H100's (tests/machines/h100), power with 3 %
// noise from tick to tick and 0.5 % of drift with a period of 5 s, joules rounded down to 1 mJ.
static void write_trace(const tree *t, uint64_t seed, double seconds) {
    wb_random random = {.state = seed};
    const double phase = 6.283 * wb_random_unit(&random);
    char full[512];
    tree_path(t, full, "trace");
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fprintf(file, "wattbert-trace 1\ndomains package-0\n");
    double time_s = 0.0, joules = 0.0;
    while (time_s < seconds) {
        fprintf(file, "%.6f %.3f\n", time_s, floor(joules * 1e3) / 1e3);
        const double step_s = 0.1 + 0.002 * draw_normal(&random);
        const double drift = 0.005 * sin(6.283185307 * time_s / 5.0 + phase);
        joules += TRUE_W * (1.0 + drift + 0.03 * draw_normal(&random)) * step_s;
        time_s += step_s;
    }
    fclose(file);
}

static const uint64_t PASS_NS = 37000000;

static wb_status sleep_pass(void *context, wb_error *err) {
    (void)err;
    virtual_advance(context, PASS_NS);
    return WB_OK;
}

enum { N_WINDOWS = 5 };

static wb_estimate measure_trace(const tree *t, uint64_t seed) {
    virtual_clock clock = {.now_ns = 1000};
    write_trace(t, seed, 20.0);
    wb_energy_host host = {.clock = virtual_clock_of(&clock)};
    snprintf(host.replay, sizeof host.replay, "%s/trace", t->root);
    wb_meter *meter;
    wb_error err = {0};
    assert_int_equal(wb_meter_open_source(&meter, &wb_energy_replay, &host, NULL, &err), WB_OK);
    virtual_advance(&clock, 20000000 * (seed % 5));  // begin anywhere between two ticks
    wb_window windows[N_WINDOWS];
    for (int i = 0; i < N_WINDOWS; i++) {
        const wb_status status =
            wb_window_measure(meter, NULL, sleep_pass, &clock, &windows[i], &err);
        if (status) fail_msg("%s", err.message);
        assert_true(windows[i].seconds >= 2.0 && windows[i].seconds < 2.3);
        assert_true(windows[i].ticks >= 20);
        assert_int_equal(windows[i].passes,
                         (int)lround(windows[i].seconds * 1e9 / (double)PASS_NS));
    }
    wb_estimate estimate;
    assert_int_equal(wb_estimate_from_windows(windows, N_WINDOWS, &estimate, &err), WB_OK);
    wb_meter_close(meter);
    return estimate;
}

static void test_interval_covers_the_truth(void **state) {
    (void)state;
    tree t;
    tree_open(&t);
    const double truth = TRUE_W * (double)PASS_NS * 1e-9;
    int n_covered = 0;
    double mean = 0.0, width = 0.0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        const wb_estimate e = measure_trace(&t, seed);
        n_covered += e.low <= truth && truth <= e.high;
        mean += e.joules / 100.0;
        width += (e.high - e.low) / e.joules / 100.0;
    }
    tree_close(&t);
    print_message("covered %d of 100, mean %+.3f %%, interval %.2f %% wide\n", n_covered,
                  (mean / truth - 1.0) * 100.0, width * 100.0);
    assert_true(n_covered >= 93);
    assert_true(fabs(mean / truth - 1.0) < 0.01);
    // Not by being wide: 3 % noise over 20 ticks and 5 windows is 2.8 * 3 % / sqrt(100) either way.
    assert_true(width < 0.05);
    // And not by chance of an interval that covers everything.
    assert_true(n_covered < 100);
}

// ---- A machine whose power follows the work ---------------------------------------

// Joules as a board's counter shows them: those of the last tick.
typedef struct board {
    double busy_w, idle_w, tick_s;
    bool is_busy;
    double power_w;  // of the pass's present part; 0: busy_w
    double last_s, joules, shown, next_tick_s;
    bool is_frozen, is_reset;
    uint64_t read_ns;  // a read takes this long
    int n_reads;
    double jitter_s;  // of the steps' distance, uniform around tick_s
    wb_random random;
} board;

static void board_play(void *context, double now_s) {
    board *b = context;
    const double watts = !b->is_busy ? b->idle_w : b->power_w > 0.0 ? b->power_w : b->busy_w;
    while (b->next_tick_s <= now_s) {
        b->joules += watts * (b->next_tick_s - b->last_s);
        b->last_s = b->next_tick_s;
        b->next_tick_s += b->tick_s + b->jitter_s * (wb_random_unit(&b->random) - 0.5);
        if (!b->is_frozen) b->shown = b->joules;
    }
    b->joules += watts * (now_s - b->last_s);
    b->last_s = now_s;
}

static board *the_board_of(const wb_energy_host *host) {
    return ((virtual_clock *)host->clock.context)->context;
}

typedef struct board_state {
    const wb_energy_host *host;
} board_state;

static wb_status board_open(void *state, const wb_energy_host *host, wb_energy_view *view,
                            wb_error *err) {
    (void)err;
    ((board_state *)state)->host = host;
    wb_domain_add(view, "board");
    view->interval_ms = the_board_of(host)->tick_s * 1e3;
    return WB_OK;
}

static wb_status board_read(void *state, double *joules, uint32_t *flags, wb_error *err) {
    (void)err;
    virtual_clock *clock = ((board_state *)state)->host->clock.context;
    board *b = clock->context;
    clock->now_ns += b->read_ns;
    virtual_play(clock);
    b->n_reads++;
    joules[0] = b->shown;
    if (b->is_reset) flags[0] |= WB_FLAG_RESET;
    return WB_OK;
}

static void board_close(void *state) {
    (void)state;
}

static const wb_energy_source board_source = {.name = "board",
                                              .measures = "a test's board",
                                              .method = "measured",
                                              .state_size = sizeof(board_state),
                                              .period_ms = 5,
                                              .open = board_open,
                                              .read = board_read,
                                              .close = board_close};

typedef struct rig {
    board board;
    virtual_clock clock;
    wb_meter *meter;
    uint64_t pass_ns;
    int n_passes, fail_at;
} rig;

static void rig_open(rig *r, double tick_s, uint64_t pass_ns) {
    *r = (rig){.board = {.busy_w = 200.0, .idle_w = 60.0, .tick_s = tick_s, .next_tick_s = tick_s},
               .pass_ns = pass_ns};
    r->clock = (virtual_clock){.play = board_play, .context = &r->board};
    const wb_energy_host host = {.clock = virtual_clock_of(&r->clock)};
    assert_int_equal(wb_meter_open_source(&r->meter, &board_source, &host, NULL, NULL), WB_OK);
}

static void rig_close(rig *r) {
    wb_meter_close(r->meter);
}

static wb_status busy_pass(void *context, wb_error *err) {
    rig *r = context;
    r->n_passes++;
    if (r->n_passes == r->fail_at) return wb_fail(err, WB_ERR_CANCELLED, 0, "stopped");
    r->board.is_busy = true;
    virtual_advance(&r->clock, r->pass_ns);
    r->board.is_busy = false;
    return WB_OK;
}

// Half a pass at a quarter of the power, half at the rest.
static wb_status uneven_pass(void *context, wb_error *err) {
    (void)err;
    rig *r = context;
    r->board.is_busy = true;
    r->board.power_w = 0.5 * r->board.busy_w;
    virtual_advance(&r->clock, r->pass_ns / 2);
    r->board.power_w = 1.5 * r->board.busy_w;
    virtual_advance(&r->clock, r->pass_ns / 2);
    r->board.power_w = 0.0;
    r->board.is_busy = false;
    return WB_OK;
}

static void expect_joules(rig *r, wb_pass *pass, double allowed) {
    wb_window w;
    wb_error err = {0};
    if (wb_window_measure(r->meter, NULL, pass, r, &w, &err)) fail_msg("%s", err.message);
    const double truth = r->board.busy_w * (double)r->pass_ns * 1e-9;
    if (fabs(w.joules_per_pass / truth - 1.0) > allowed)
        fail_msg("tick %g s, pass %g s: %.4f J, true %.4f J", r->board.tick_s,
                 (double)r->pass_ns * 1e-9, w.joules_per_pass, truth);
    assert_true(w.seconds >= 2.0 && w.ticks >= 20);
    assert_true(w.joules_uncertainty < 0.02 * truth);
}

// The rest before and after the passes must not leak in: at 60 W against 200 W, one tick of 100 ms
// of it in 2 s would be 3.5 %.
static void test_rest_does_not_leak_in(void **state) {
    (void)state;
    const double ticks_s[] = {0.001, 0.02, 0.1};
    const uint64_t passes_ns[] = {200000, 3000000, 37000000, 99999999, 130000000, 700000000};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 6; j++) {
            rig r;
            rig_open(&r, ticks_s[i], passes_ns[j]);
            virtual_advance(&r.clock, 31000000);
            expect_joules(&r, busy_pass, 0.005);
            rig_close(&r);
        }
    }
}

// An H100's counter: steps of 99.953 ms, and a read takes 4.4 ms of a core, of which the meter may
// take one percent. The rest of the passes' 200 W must be told all the same.
static void test_dear_counter(void **state) {
    (void)state;
    const uint64_t passes_ns[] = {3000000, 37000000, 130000000, 1300000000, 7000000000};
    for (int j = 0; j < 5; j++) {
        rig r;
        rig_open(&r, 0.099953, passes_ns[j]);
        r.board.read_ns = 4400000;
        r.meter->read_s = 0.0044;
        virtual_advance(&r.clock, 31000000);
        for (int i = 0; i < 4; i++) {
            wb_window w;
            wb_error err = {0};
            r.board.n_reads = 0;
            const double begin_s = (double)r.clock.now_ns * 1e-9;
            if (wb_window_measure(r.meter, NULL, busy_pass, &r, &w, &err))
                fail_msg("%s", err.message);
            const double truth = 200.0 * (double)passes_ns[j] * 1e-9;
            if (fabs(w.joules_per_pass / truth - 1.0) > 0.008)
                fail_msg("pass %g s, window %d: %.4f J, true %.4f J", (double)passes_ns[j] * 1e-9,
                         i, w.joules_per_pass, truth);
            // The waiting before the passes polls; the passes themselves are not disturbed.
            const double waited_s = (double)r.clock.now_ns * 1e-9 - begin_s - w.seconds;
            const double allowed = waited_s / 0.0044 + 4.0 + 2.0 * w.seconds;
            if (r.board.n_reads > allowed) fail_msg("%d reads", r.board.n_reads);
            // The beat is learned once, and again after a window of 14 s, when it is forgotten.
            const double most_s = i == 0 || passes_ns[j] > 5000000000u ? 2.5 : 0.2;
            if (waited_s > most_s)
                fail_msg("pass %g s, window %d began after %.3f s", (double)passes_ns[j] * 1e-9, i,
                         waited_s);
        }
        rig_close(&r);
    }
}

// Two sockets with four domains are 60 us a read: too dear for 10 ms, but the counter is frequent.
static void test_frequent_counter_that_is_read_seldom(void **state) {
    (void)state;
    rig r;
    rig_open(&r, 0.001, 37000000);
    r.board.read_ns = 60000;
    r.meter->read_s = 60e-6;
    expect_joules(&r, busy_pass, 0.002);
    rig_close(&r);
}

// Steps of 70 to 130 ms that cost 4.4 ms to read cannot be told without watching: the window ends
// all the same, and says how little it knows.
static void test_dear_counter_without_a_beat(void **state) {
    (void)state;
    rig r;
    rig_open(&r, 0.1, 37000000);
    r.board.jitter_s = 0.06;
    r.board.read_ns = 4400000;
    r.meter->read_s = 0.0044;
    wb_window w;
    wb_error err;
    assert_int_equal(wb_window_measure(r.meter, NULL, busy_pass, &r, &w, &err), WB_OK);
    assert_true(r.meter->samples.is_unsteady);
    assert_true(fabs(w.joules_per_pass - 7.4) < w.joules_uncertainty);
    assert_true(w.joules_uncertainty > 0.2 && w.joules_uncertainty < 0.8);
    rig_close(&r);
}

static void test_uneven_passes(void **state) {
    (void)state;
    const uint64_t passes_ns[] = {2000000, 60000000, 120000000, 340000000, 1000000000, 3300000000};
    for (int j = 0; j < 6; j++) {
        rig r;
        rig_open(&r, 0.1, passes_ns[j]);
        expect_joules(&r, uneven_pass, 0.02);
        rig_close(&r);
    }
}

static void test_idle_is_kept_and_written_into_windows(void **state) {
    (void)state;
    rig r;
    rig_open(&r, 0.1, 50000000);
    wb_window w;
    double idle_w = -1.0;
    assert_int_equal(wb_window_measure(r.meter, NULL, busy_pass, &r, &w, NULL), WB_OK);
    assert_true(w.idle_w == 0.0);
    assert_int_equal(wb_meter_idle(r.meter, 1.0, &idle_w, NULL), WB_OK);
    assert_true(fabs(idle_w - 60.0) < 0.3);
    assert_int_equal(wb_window_measure(r.meter, NULL, busy_pass, &r, &w, NULL), WB_OK);
    assert_true(w.idle_w == idle_w);
    assert_int_equal(wb_meter_idle(r.meter, 0.0, &idle_w, NULL), WB_ERR_ARGUMENT);
    rig_close(&r);
}

static void test_failing_pass_ends_the_window(void **state) {
    (void)state;
    rig r;
    rig_open(&r, 0.1, 50000000);
    r.fail_at = 7;
    wb_window w;
    wb_error err;
    assert_int_equal(wb_window_measure(r.meter, NULL, busy_pass, &r, &w, &err), WB_ERR_CANCELLED);
    assert_string_equal(err.message, "stopped");
    assert_int_equal(r.n_passes, 7);
    assert_int_equal(w.passes, 0);
    // The meter is as good as new.
    expect_joules(&r, busy_pass, 0.005);
    rig_close(&r);
}

static wb_status freezing_pass(void *context, wb_error *err) {
    rig *r = context;
    r->board.is_frozen = r->n_passes > 5;
    return busy_pass(context, err);
}

static wb_status resetting_pass(void *context, wb_error *err) {
    rig *r = context;
    r->board.is_reset = r->n_passes == 5;
    return busy_pass(context, err);
}

static void test_counter_that_stops_or_is_reset(void **state) {
    (void)state;
    rig r;
    wb_window w;
    wb_error err;
    rig_open(&r, 0.1, 50000000);
    assert_int_equal(wb_window_measure(r.meter, NULL, freezing_pass, &r, &w, &err), WB_ERR_REFUSED);
    assert_non_null(strstr(err.message, "dead counter"));
    // Still frozen: the next window does not even begin.
    assert_int_equal(wb_window_measure(r.meter, NULL, busy_pass, &r, &w, &err), WB_ERR_REFUSED);
    rig_close(&r);
    rig_open(&r, 0.1, 50000000);
    assert_int_equal(wb_window_measure(r.meter, NULL, resetting_pass, &r, &w, &err),
                     WB_ERR_REFUSED);
    assert_non_null(strstr(err.message, "reset"));
    rig_close(&r);
}

static void test_limits(void **state) {
    (void)state;
    rig r;
    wb_window w;
    wb_error err;
    rig_open(&r, 0.1, 50000000);
    wb_window_options o = wb_default_window_options();
    o.max_passes = 1;
    assert_int_equal(wb_window_measure(r.meter, &o, busy_pass, &r, &w, &err), WB_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "allow more passes"));
    o.max_passes = 10;
    assert_int_equal(wb_window_measure(r.meter, &o, busy_pass, &r, &w, &err), WB_OK);
    assert_int_equal(w.passes, 10);
    // 40 ticks are asked for, and take 4 s.
    o = (wb_window_options){.min_s = 1.0, .min_ticks = 40};
    assert_int_equal(wb_window_measure(r.meter, &o, busy_pass, &r, &w, &err), WB_OK);
    assert_true(w.seconds >= 4.0 && w.ticks >= 40);
    o.min_s = -1.0;
    assert_int_equal(wb_window_measure(r.meter, &o, busy_pass, &r, &w, &err), WB_ERR_ARGUMENT);
    rig_close(&r);
}

typedef struct power_log {
    int n;
    double last_s, sum_w;
} power_log;

static void log_power(void *context, double t_s, double watts) {
    power_log *log = context;
    assert_true(t_s > log->last_s && t_s - log->last_s < 0.15);
    log->last_s = t_s;
    log->sum_w += watts;
    log->n++;
}

static void test_power_over_time(void **state) {
    (void)state;
    rig r;
    power_log log = {0};
    rig_open(&r, 0.001, 5000000);
    wb_window_options o = wb_default_window_options();
    o.on_power = log_power;
    o.power_context = &log;
    wb_window w;
    assert_int_equal(wb_window_measure(r.meter, &o, busy_pass, &r, &w, NULL), WB_OK);
    assert_true(log.n >= 19 && log.n <= 22);
    assert_true(fabs(log.sum_w / log.n - 200.0) < 2.0);
    rig_close(&r);
}

// Ten minutes of 10 ms reads are 60,000 points: they are thinned, and the fit stays what it was.
static void test_long_window_is_thinned(void **state) {
    (void)state;
    rig r;
    rig_open(&r, 0.001, 250000000);
    const wb_window_options o = {.min_s = 600.0, .min_ticks = 20};
    wb_window w;
    assert_int_equal(wb_window_measure(r.meter, &o, busy_pass, &r, &w, NULL), WB_OK);
    assert_true(r.meter->samples.stride >= 16 && r.meter->samples.n_points <= WB_MAX_POINTS);
    assert_true(fabs(w.joules_per_pass - 50.0) < 0.05);
    rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_covers_the_truth),
        cmocka_unit_test(test_rest_does_not_leak_in),
        cmocka_unit_test(test_dear_counter),
        cmocka_unit_test(test_frequent_counter_that_is_read_seldom),
        cmocka_unit_test(test_dear_counter_without_a_beat),
        cmocka_unit_test(test_uneven_passes),
        cmocka_unit_test(test_idle_is_kept_and_written_into_windows),
        cmocka_unit_test(test_failing_pass_ends_the_window),
        cmocka_unit_test(test_counter_that_stops_or_is_reset),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_power_over_time),
        cmocka_unit_test(test_long_window_is_thinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
