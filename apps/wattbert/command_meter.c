// SPDX-License-Identifier: Apache-2.0
// `wattbert meter`: the joules of any command, of a while, or what the meter itself is worth. Every
// source that works is read, side by side: the processor's counters and the GPU board's answer
// different questions and are never added up here. Where no counter sees the processor, CPU time
// is turned into joules instead, and says so.
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "base/base.h"

extern char **environ;

enum { MAX_METERS = WB_MAX_SOURCES, MAX_READINGS = WB_MAX_SOURCES * WB_MAX_DOMAINS };

// One source that was passed over, and why.
typedef struct refusal {
    char source[16];
    wb_status status;
    char reason[512];
} refusal;

typedef struct measurement {
    wb_meter *meters[MAX_METERS];
    int n_meters;
    wb_meter *model;  // runs beside the counters, for the case that they turn out dead
    double seconds;
    wb_reading readings[MAX_READINGS];
    int n_readings;
    refusal refusals[WB_MAX_SOURCES];
    int n_refusals;
} measurement;

typedef struct meter_options {
    wb_meter_options meter;
    bool is_self_test, is_json;
    double seconds;      // 0: until Ctrl-C on a terminal, else 2 s
    const char *report;  // a file instead of standard error or output
} meter_options;

// ---- Measuring ----------------------------------------------------------------

static void add_refusal(measurement *m, const char *source, const wb_error *err) {
    if (m->n_refusals == WB_MAX_SOURCES) return;
    refusal *r = &m->refusals[m->n_refusals++];
    r->status = err->status;
    snprintf(r->source, sizeof r->source, "%s", source);
    snprintf(r->reason, sizeof r->reason, "%s", err->message);
}

static void close_meters(measurement *m) {
    for (int i = 0; i < m->n_meters; i++) wb_meter_close(m->meters[i]);
    wb_meter_close(m->model);
    m->n_meters = 0;
    m->model = NULL;
}

// perf counts what rapl counts: with one open the other adds nothing.
static bool has_meter(const measurement *m, const char *source) {
    for (int i = 0; i < m->n_meters; i++)
        if (strcmp(wb_meter_source(m->meters[i])->name, source) == 0) return true;
    return false;
}

static wb_status open_model(measurement *m, const meter_options *options, wb_error *err) {
    wb_meter_options o = options->meter;
    o.source = "modelled";
    return wb_meter_open(&m->model, &o, err);
}

// All sources that work. A wrong option is the same error for each of them.
static wb_status open_all(measurement *m, const meter_options *options, wb_error *err) {
    static const char *const names[] = {"rapl", "perf", "hwmon", "nvml"};
    wb_status status = open_model(m, options, err);
    for (int i = 0; !status && i < 4; i++) {
        if (strcmp(names[i], "perf") == 0 && has_meter(m, "rapl")) continue;
        wb_meter_options o = options->meter;
        o.source = names[i];
        const wb_status opened = wb_meter_open(&m->meters[m->n_meters], &o, err);
        if (!opened)
            m->n_meters++;
        else if (opened == WB_ERR_MEMORY)
            status = opened;
        else
            add_refusal(m, names[i], err);
    }
    return status;
}

// One source where one was asked for, and then without a model: its failure is the answer.
static wb_status open_meters(measurement *m, const meter_options *options, wb_error *err) {
    const bool is_one = options->meter.source || options->meter.replay;
    if (!is_one) return open_all(m, options, err);
    const wb_status status = wb_meter_open(&m->meters[0], &options->meter, err);
    if (!status) m->n_meters = 1;
    return status;
}

// The model last: what starting the others costs is not the command's.
static wb_status start_meters(measurement *m, wb_error *err) {
    wb_status status = WB_OK;
    for (int i = 0; !status && i < m->n_meters; i++) status = wb_meter_start(m->meters[i], err);
    return !status && m->model ? wb_meter_start(m->model, err) : status;
}

static wb_status read_meter(measurement *m, wb_meter *meter, wb_error *err) {
    int n = 0;
    const wb_status status =
        wb_meter_stop(meter, m->readings + m->n_readings, MAX_READINGS - m->n_readings, &n, err);
    m->n_readings += n;
    return status;
}

// Stops all, the model first. A counter that turned out dead is passed over; when no counter saw
// the processor, the model speaks.
static wb_status stop_meters(measurement *m, wb_error *err) {
    wb_reading guess;
    int n_guesses = 0;
    bool has_cpu = false;
    wb_status last = m->model ? wb_meter_stop(m->model, &guess, 1, &n_guesses, err) : WB_OK;
    for (int i = 0; i < m->n_meters; i++) {
        const wb_source_info *info = wb_meter_source(m->meters[i]);
        const wb_status status = read_meter(m, m->meters[i], err);
        if (status) add_refusal(m, info->name, err);
        if (!status && info->sees_cpu) has_cpu = true;
        if (status && !m->model) last = status;
    }
    if (n_guesses > 0 && !has_cpu) m->readings[m->n_readings++] = guess;
    return last;
}

// ---- What is measured -----------------------------------------------------------

static volatile sig_atomic_t is_interrupted;

static void note_interrupt(int signal_number) {
    (void)signal_number;
    is_interrupted = 1;
}

// Without SA_RESTART, so that a sleep ends early.
static void set_handler(int signal_number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal_number, &action, NULL);
}

// Sleeps for so long, 0: without end, or until Ctrl-C.
static void wait_a_while(double seconds) {
    set_handler(SIGINT, note_interrupt);
    set_handler(SIGTERM, note_interrupt);
    const uint64_t start_ns = wb_clock_ns();
    while (!is_interrupted) {
        const double left_s =
            seconds > 0.0 ? seconds - (double)(wb_clock_ns() - start_ns) * 1e-9 : 1.0;
        if (left_s <= 0.0) return;
        const struct timespec nap = {.tv_sec = left_s >= 1.0,
                                     .tv_nsec = left_s >= 1.0 ? 0 : (long)(left_s * 1e9)};
        nanosleep(&nap, NULL);  // a signal ends it early
    }
}

// Runs words as a command and waits for it; *exit_code <- its own, or 128 and the signal's number
// as shells say. Its output goes to standard error when the report takes standard output.
static int run_command(char **words, int n_words, bool keeps_stdout, int *exit_code) {
    char **command = wb_alloc_array((size_t)n_words + 1, sizeof *command);
    if (!command) return ENOMEM;
    memcpy(command, words, (size_t)n_words * sizeof *command);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (!keeps_stdout) posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    // Ctrl-C is for the command; its report is still wanted.
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    set_handler(SIGINT, SIG_IGN);
    set_handler(SIGQUIT, SIG_IGN);
    pid_t pid;
    const int code = posix_spawnp(&pid, command[0], &actions, &attributes, command, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    int state = 0;
    if (!code)
        while (waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
    wb_free(command);
    *exit_code = WIFSIGNALED(state) ? 128 + WTERMSIG(state) : WEXITSTATUS(state);
    return code;
}

// ---- The report -----------------------------------------------------------------

static json_t *reading_to_json(const wb_reading *r) {
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:s, s:s}", "source", r->source, "domain",
                     r->domain, "joules", r->joules, "low", r->low, "high", r->high, "method",
                     r->method, "flags", r->flags);
}

// The keys that scripts rely on are seconds and readings; passed_over says why a source is missing.
static bool write_json(FILE *file, const measurement *m) {
    json_t *readings = json_array(), *refused = json_array();
    for (int i = 0; i < m->n_readings; i++)
        json_array_append_new(readings, reading_to_json(&m->readings[i]));
    for (int i = 0; i < m->n_refusals; i++)
        json_array_append_new(refused, json_pack("{s:s, s:s, s:s}", "source", m->refusals[i].source,
                                                 "status", wb_status_name(m->refusals[i].status),
                                                 "reason", m->refusals[i].reason));
    json_t *report = json_pack("{s:f, s:o, s:o}", "seconds", m->seconds, "readings", readings,
                               "passed_over", refused);
    const bool is_written = report && json_dumpf(report, file, JSON_REAL_PRECISION(9)) == 0;
    fputc('\n', file);
    json_decref(report);
    return is_written;
}

// "12.3 mJ": three to six digits whatever the size.
static void write_joules(char *out, size_t capacity, double joules) {
    if (joules < 1.0)
        snprintf(out, capacity, "%.3f mJ", joules * 1e3);
    else if (joules < 10000.0)
        snprintf(out, capacity, "%.3f J", joules);
    else
        snprintf(out, capacity, "%.3f kJ", joules * 1e-3);
}

// Aligned, without colour, so that it reads the same in a log.
static void write_text(FILE *file, const measurement *m) {
    fprintf(file, "%.3f s\n", m->seconds);
    bool is_modelled = false;
    for (int i = 0; i < m->n_readings; i++) {
        const wb_reading *r = &m->readings[i];
        char joules[32], low[32], high[32];
        write_joules(joules, sizeof joules, r->joules);
        write_joules(low, sizeof low, r->low);
        write_joules(high, sizeof high, r->high);
        fprintf(file, "  %-9s %-14s %14s  (%s to %s)  %9.3f W  %s%s%s\n", r->source, r->domain,
                joules, low, high, m->seconds > 0.0 ? r->joules / m->seconds : 0.0, r->method,
                r->flags[0] ? ", " : "", r->flags);
        is_modelled = is_modelled || strcmp(r->method, "modelled") == 0;
    }
    for (int i = 0; is_modelled && i < m->n_refusals; i++)
        fprintf(file, "  not measured by %s: %s\n", m->refusals[i].source, m->refusals[i].reason);
}

static int write_report(const measurement *m, const meter_options *options) {
    FILE *file = options->is_json ? stdout : stderr;
    if (options->report) file = fopen(options->report, "w");
    if (!file)
        return app_fail(EXIT_INPUT, "%s: %s, give --output another file", options->report,
                        strerror(errno));
    bool is_written = true;
    if (options->is_json)
        is_written = write_json(file, m);
    else
        write_text(file, m);
    if (options->report && fclose(file) != 0) is_written = false;
    if (!is_written) return app_fail(EXIT_MACHINE, "cannot write the report");
    return EXIT_OK;
}

// ---- The command ------------------------------------------------------------------

// The order matters: all meters run before the command starts, and its exit code is ours unless
// something failed here.
static int measure(const meter_options *options, char **words, int n_words) {
    measurement *m = wb_alloc_zeroed(sizeof *m);
    if (!m) return app_fail(EXIT_MACHINE, "no memory for the meter");
    wb_error err;
    int code = 0, spawn_error = 0;
    wb_status status = open_meters(m, options, &err);
    if (!status) status = start_meters(m, &err);
    const uint64_t start_ns = wb_clock_ns();
    if (!status && n_words > 0)
        spawn_error = run_command(words, n_words, !options->is_json || options->report, &code);
    else if (!status)
        wait_a_while(options->seconds);
    m->seconds = (double)(wb_clock_ns() - start_ns) * 1e-9;
    if (!status) status = stop_meters(m, &err);
    close_meters(m);
    if (status)
        code = app_fail_error(&err, NULL);
    else if (spawn_error)
        code =
            app_fail(EXIT_INPUT, "%s: %s, nothing was measured", words[0], strerror(spawn_error));
    else {
        const int report_code = write_report(m, options);
        if (report_code) code = report_code;
    }
    wb_free(m);
    return code;
}

static void print_self_test(const wb_self_test *t, bool is_json) {
    if (is_json) {
        json_t *object =
            json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "source", t->source, "method",
                      t->method, "resolution_uj", t->resolution_uj, "interval_ms", t->interval_ms,
                      "idle_w", t->idle_w, "idle_noise_w", t->idle_noise_w, "read_us", t->read_us,
                      "overhead_share", t->overhead_share);
        json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
        json_decref(object);
        printf("\n");
        return;
    }
    printf("%s (%s)\n", t->source, t->method);
    const bool is_measured = strcmp(t->method, "measured") == 0;
    if (is_measured) {
        printf("  smallest step   %.3f uJ\n", t->resolution_uj);
        printf("  steps every     %.3f ms\n", t->interval_ms);
    }
    printf("  at rest         %.3f W, +- %.3f W from one half second to the next\n", t->idle_w,
           t->idle_noise_w);
    printf("  one read        %.1f us\n", t->read_us);
    printf("  overhead        %.4f %% of one core while measuring (promised: below 1 %%)\n",
           t->overhead_share * 100.0);
    if (!is_measured)
        printf("  nothing is measured here: wattbert doctor says why and what to do\n");
}

static int run_self_test(const meter_options *options) {
    wb_meter *meter;
    wb_error err;
    wb_self_test result;
    wb_status status = wb_meter_open(&meter, &options->meter, &err);
    if (!status)
        status = wb_meter_self_test(meter, options->seconds > 0.0 ? options->seconds : 3.0, &result,
                                    &err);
    wb_meter_close(meter);
    if (status) return app_fail_error(&err, NULL);
    print_self_test(&result, options->is_json);
    if (result.overhead_share < 0.01) return EXIT_OK;
    return app_fail(EXIT_MACHINE,
                    "the meter takes %.1f %% of a core, more than the 1 %% it promises",
                    result.overhead_share * 100.0);
}

static bool is_source(const char *name) {
    static const char *const names[] = {"rapl", "perf", "hwmon", "nvml", "replay", "modelled"};
    for (int i = 0; i < 6; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

int command_meter(int argc, char **argv) {
    meter_options o = {.meter = wb_default_meter_options()};
    const app_option options[] = {
        {"json", NULL,
         "one line of JSON on standard output; what COMMAND prints goes to standard error",
         APP_FLAG, &o.is_json, 0, 0},
        {"output", "FILE", "write the report to FILE; COMMAND keeps its standard output",
         APP_STRING, &o.report, 0, 0},
        {"seconds", "N", "without COMMAND: how long (on a terminal until Ctrl-C, else 2)",
         APP_DOUBLE, &o.seconds, 0.01, 1e7},
        {"source", "NAME",
         "only rapl, perf, hwmon, nvml, replay or modelled; fails where it does not work",
         APP_STRING, &o.meter.source, 0, 0},
        {"replay", "FILE", "play a recorded trace instead of reading this machine", APP_STRING,
         &o.meter.replay, 0, 0},
        {"root", "DIR", "DIR stands for / before /sys and /proc: a recorded machine", APP_STRING,
         &o.meter.root, 0, 0},
        {"watts-per-core", "W", "of the modelled source; 4", APP_DOUBLE, &o.meter.watts_per_core,
         0.001, 1000},
        {"gpu", "INDEX", "which GPU nvml reads; 0", APP_INT, &o.meter.gpu_index, 0, 1024},
        {"self-test", NULL, "measure the meter: steps, noise at rest, cost of looking", APP_FLAG,
         &o.is_self_test, 0, 0},
    };
    const app_usage usage = {.synopsis = "meter [OPTION...] [-- COMMAND [ARGUMENT...]]",
                             .text =
                                 "Runs COMMAND and reports the joules that this machine spent "
                                 "meanwhile, one line for each\n"
                                 "counter: processor packages and DRAM (rapl or perf), sensors of "
                                 "the board (hwmon), the\n"
                                 "GPU's board (nvml). They overlap or answer different questions, "
                                 "so they are not added\n"
                                 "up. A counter belongs to the whole machine: whatever else runs "
                                 "is in it. Where no counter\n"
                                 "sees the processor, CPU time of COMMAND times watts per core is "
                                 "reported as \"modelled\".\n"
                                 "The report goes to standard error. The exit code is COMMAND's.\n"
                                 "\n"
                                 "  wattbert meter -- make -j8\n"
                                 "  wattbert meter --json --seconds 10\n"
                                 "  wattbert meter --self-test\n",
                             .options = options,
                             .n_options = (int)(sizeof options / sizeof *options)};
    char **words;
    int n_words;
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    if (o.meter.source && !is_source(o.meter.source))
        return app_fail(EXIT_USAGE, "meter: no source \"%s\", wattbert doctor lists them",
                        o.meter.source);
    if (o.is_self_test && n_words > 0)
        return app_fail(EXIT_USAGE, "meter: --self-test takes no command, leave out \"%s\"",
                        words[0]);
    if (o.is_self_test) return run_self_test(&o);
    if (n_words == 0 && o.seconds <= 0.0) {
        const bool is_watched = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        if (is_watched) fputs("measuring until Ctrl-C\n", stderr);
        o.seconds = is_watched ? 0.0 : 2.0;
    }
    return measure(&o, words, n_words);
}
