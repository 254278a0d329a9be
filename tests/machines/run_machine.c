// SPDX-License-Identifier: Apache-2.0
// run_machine MACHINE WATTBERT FAKE_NVML: plays a recorded machine in real time, asks the
// program `doctor --root` and `meter --root` about it, and compares what they say with
// MACHINE/doctor.json and MACHINE/meter.json. Joules are compared as watts, so that a busy test
// machine may take longer; the microjoules are the unit tests' business.
#include <fcntl.h>
#include <fnmatch.h>
#include <jansson.h>
#include <linux/capability.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "player.h"

// Of watts, where an expected report does not say: a player that wakes up 50 ms late at one end of
// 0.8 s is 6 % off.
static const double DEFAULT_TOLERANCE = 0.15;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// ---- Comparing ------------------------------------------------------------------

static int fail(const char *where, const char *what, const json_t *got, const json_t *want) {
    char *got_text = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
    char *want_text = json_dumps(want, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    printf("%s: %s\n  got  %s\n  want %s\n", where, what, got_text ? got_text : "nothing",
           want_text);
    free(got_text);
    free(want_text);
    return 1;
}

static int compare(const char *where, const json_t *got, const json_t *want, double seconds);

static int compare_arrays(const char *where, const json_t *got, const json_t *want,
                          double seconds) {
    if (!json_is_array(got) || json_array_size(got) != json_array_size(want))
        return fail(where, "another number of entries", got, want);
    int n_failed = 0;
    for (size_t i = 0; i < json_array_size(want); i++)
        n_failed += compare(where, json_array_get(got, i), json_array_get(want, i), seconds);
    return n_failed;
}

// "watts" of a reading stands for its joules over the report's seconds.
static int compare_watts(const char *where, const json_t *got, const json_t *want, double seconds) {
    const json_t *given = json_object_get(want, "tolerance");
    const double tolerance = given ? json_number_value(given) : DEFAULT_TOLERANCE;
    const double watts = json_number_value(json_object_get(want, "watts"));
    const double joules = json_number_value(json_object_get(got, "joules"));
    const double low = json_number_value(json_object_get(got, "low"));
    const double high = json_number_value(json_object_get(got, "high"));
    if (!(low <= joules && joules <= high))
        return fail(where, "bounds beside the joules", got, want);
    if (fabs(joules / seconds - watts) <= tolerance * watts) return 0;
    printf("  %.3f W\n", joules / seconds);
    return fail(where, "other watts", got, want);
}

// Everything that want holds must be in got; got may hold more. Strings are patterns.
static int compare(const char *where, const json_t *got, const json_t *want, double seconds) {
    if (json_is_array(want)) return compare_arrays(where, got, want, seconds);
    if (json_is_string(want)) {
        if (json_is_string(got) && !fnmatch(json_string_value(want), json_string_value(got), 0))
            return 0;
        return fail(where, "other text", got, want);
    }
    if (!json_is_object(want)) return json_equal(got, want) ? 0 : fail(where, "differs", got, want);
    int n_failed = json_object_get(want, "watts") ? compare_watts(where, got, want, seconds) : 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)want, key, value) {
        if (strcmp(key, "watts") == 0 || strcmp(key, "tolerance") == 0) continue;
        n_failed += compare(key, json_object_get(got, key), value, seconds);
    }
    return n_failed;
}

// ---- Playing --------------------------------------------------------------------

// Root reads what it likes; without these two capabilities the files' modes hold for it too.
static void give_up_rights(void) {
    prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
    prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0);
}

static void run_program(char *const *arguments, const char *output, bool is_denied) {
    const int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) _exit(126);
    if (is_denied && geteuid() == 0) give_up_rights();
    execv(arguments[0], arguments);
    _exit(127);
}

// What the program printed as JSON, while the machine was played; NULL when it failed.
static json_t *ask(player *p, char *const *arguments, const char *output) {
    const double start_s = now_s();
    const pid_t pid = fork();
    if (pid == 0) run_program(arguments, output, player_denies(p));
    int state = 0;
    while (waitpid(pid, &state, WNOHANG) == 0) {
        player_update(p, now_s() - start_s);
        const struct timespec nap = {.tv_nsec = 1000000};
        nanosleep(&nap, NULL);
    }
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
        printf("%s %s: exit code %d\n", arguments[0], arguments[1], WEXITSTATUS(state));
        return NULL;
    }
    json_error_t error;
    json_t *report = json_load_file(output, 0, &error);
    if (!report) printf("%s: %s\n", arguments[1], error.text);
    return report;
}

static int check(player *p, const char *machine, const char *program, const char *command) {
    char expected_path[1024], output[1024];
    snprintf(expected_path, sizeof expected_path, "%s/%s.json", machine, command);
    snprintf(output, sizeof output, "%s/%s.json", player_root(p), command);
    char *const arguments[] = {(char *)program,
                               (char *)command,
                               "--json",
                               "--root",
                               (char *)player_root(p),
                               strcmp(command, "meter") ? NULL : "--seconds",
                               "0.8",
                               NULL};
    json_error_t error;
    json_t *want = json_load_file(expected_path, 0, &error);
    if (!want) {
        printf("%s: %s\n", expected_path, error.text);
        return 1;
    }
    json_t *got = ask(p, arguments, output);
    int n_failed = 1;
    if (got)
        n_failed = compare(command, got, want, json_number_value(json_object_get(got, "seconds")));
    json_decref(got);
    json_decref(want);
    return n_failed;
}

// A machine with a GPU gets the stand-in for its driver's library.
static void install_nvml(const player *p, const char *library) {
    char folder[1024], command[4096];
    snprintf(folder, sizeof folder, "%s/nvml", player_root(p));
    if (access(folder, F_OK) != 0) return;
    snprintf(command, sizeof command,
             "mkdir -p '%s/usr/lib' && cp '%s' '%s/usr/lib/libnvidia-ml.so.1'", player_root(p),
             library, player_root(p));
    if (system(command) != 0) exit(1);
}

// Returns the number of differences.
static int play(const char *machine, const char *program, const char *library) {
    player *p = player_open(machine);
    install_nvml(p, library);
    int n_failed = check(p, machine, program, "doctor");
    n_failed += check(p, machine, program, "meter");
    player_close(p);
    return n_failed;
}

// A player that is kept from the processor for a tenth of a second has played another machine. What
// the program does wrong it does wrong every time.
int main(int argc, char **argv) {
    enum { MAX_PLAYS = 3 };
    if (argc != 4) {
        fprintf(stderr, "usage: run_machine MACHINE WATTBERT FAKE_NVML\n");
        return 2;
    }
    for (int i = 0; i < MAX_PLAYS; i++) {
        if (play(argv[1], argv[2], argv[3]) == 0) return 0;
        printf("played %d of %d times\n", i + 1, MAX_PLAYS);
    }
    return 1;
}
