// SPDX-License-Identifier: Apache-2.0
// A program of its own rather than a pipe: a gnuplot that dies cannot take ours along (SIGPIPE),
// and no shell sees a path.
#include "report/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

extern char **environ;

static const char LOG_NAME[] = "gnuplot.log";

// Ours with LC_ALL=C.UTF-8, which every Debian has: the scripts are UTF-8, whose signs gnuplot
// cannot draw in the plain C locale of a bare machine, and points must stay points. NULL without
// memory; wb_free it.
static char **utf8_environment(void) {
    static const char utf8[] = "LC_ALL=C.UTF-8";
    size_t n = 0, n_kept = 0;
    while (environ[n]) n++;
    char **variables = wb_alloc_array(n + 2, sizeof *variables);
    if (!variables) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], utf8, strlen("LC_ALL=")) != 0) variables[n_kept++] = environ[i];
    variables[n_kept] = (char *)(uintptr_t)utf8;
    return variables;
}

static int start(pid_t *pid, const char *dir, const char *script) {
    char *const arguments[] = {"gnuplot", "-d", (char *)(uintptr_t)script, NULL};
    char **const environment = utf8_environment();
    if (!environment) return ENOMEM;
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) {
        wb_free(environment);
        return error;
    }
    error = posix_spawn_file_actions_addchdir_np(&actions, dir);
    // What gnuplot says goes to a log beside the script: our stderr has one line per failure.
    if (!error)
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, LOG_NAME,
                                                 O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (!error)
        error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (!error) error = posix_spawnp(pid, arguments[0], &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    wb_free(environment);
    return error;
}

static void remove_empty_log(const char *dir) {
    char path[4096];
    struct stat info;
    if (wb_path_join(path, sizeof path, dir, LOG_NAME) && stat(path, &info) == 0 &&
        info.st_size == 0)
        (void)unlink(path);
}

wb_status gnuplot_run(const char *dir, const char *script, wb_error *err) {
    pid_t pid;
    const int error = start(&pid, dir, script);
    if (error) remove_empty_log(dir);
    if (error)
        return wb_fail(err, WB_ERR_ABSENT, 0, "gnuplot: %s, install gnuplot-nox to get the figures",
                       strerror(error));
    int state = 0;
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR) continue;
    remove_empty_log(dir);
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return WB_OK;
    if (WIFEXITED(state) && WEXITSTATUS(state) == 127)
        return wb_fail(err, WB_ERR_ABSENT, 0,
                       "gnuplot: not found, install gnuplot-nox to get the figures");
    return wb_fail(err, WB_ERR_REFUSED, 0, "gnuplot failed on %s/%s, run gnuplot on it to see why",
                   dir, script);
}
