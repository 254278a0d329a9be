// SPDX-License-Identifier: Apache-2.0
// What all commands of the program share: how they are called, how they parse options,
// how they fail. A command is one file with one function; main.c lists them.
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stdio.h>

#include "wattbert/energy.h"
#include "wattbert/error.h"
#include "wattbert/wattbert.h"

// Exit codes, documented in the man page.
enum { EXIT_OK = 0, EXIT_INPUT = 1, EXIT_USAGE = 2, EXIT_MACHINE = 3 };

// argv[0] is the command's name. Returns the exit code.
typedef int app_main(int argc, char **argv);

typedef struct app_command {
    const char *name, *arguments, *summary;  // for `wattbert --help`
    app_main *run;
} app_command;

app_main command_classify, command_eval, command_tokenize, command_plan, command_study,
    command_report, command_meter, command_doctor, command_quantize;

// Print "wattbert: <message>" as one line on stderr and return the code.
WB_PRINTF(2, 3) int app_fail(int exit_code, const char *format, ...);
// The same from a failure of the library; "hint" (may be NULL) says what to do. The exit code
// follows from the status: IO, FORMAT, MODEL, ARGUMENT 1; MEMORY, UNSUPPORTED, ABSENT, DENIED,
// REFUSED, CANCELLED 3.
int app_fail_error(const wb_error *err, const char *hint);
// Returns status; of a failure of wb_file_map and its like, which say what is wrong with a file and
// leave the rest to whoever asked for it, adds what to do.
wb_status app_advise_file(wb_status status, wb_error *err);
// Flushes stdout; the exit code to leave main with: exit_code, or EXIT_MACHINE after saying that
// the output could not be written.
int app_finish(int exit_code);

// ---- Options ----

typedef enum app_option_kind {
    APP_FLAG,    // bool *
    APP_STRING,  // const char **; the last one given counts
    APP_INT,     // int *, within [low, high]
    APP_DOUBLE,  // double *, within [low, high]
    APP_LIST,    // app_list *: may be given several times, and as a,b,c
} app_option_kind;

typedef struct app_list {
    const char **items;  // owned; freed by app_list_free
    int n_items;
} app_list;

void app_list_free(app_list *list);

typedef struct app_option {
    const char *name;      // "technique": --technique X or --technique=X
    const char *argument;  // "NAME"; NULL for flags
    const char *help;
    app_option_kind kind;
    void *target;
    double low, high;  // of numbers; both 0: no bound
} app_option;

typedef struct app_usage {
    const char *synopsis;  // "classify MODEL [TEXT...]"
    const char *text;      // what the command does, a paragraph or two, with examples
    const app_option *options;
    int n_options;
} app_usage;

// Parses argv in place. *n_positional words that are no options are moved to argv[0 ..]; "--" ends
// options. Returns -1 to go on, else the exit code to return at once: EXIT_OK after --help
// (printed), EXIT_USAGE after an error (told on stderr).
int app_parse(const app_usage *usage, int argc, char **argv, char ***positional, int *n_positional);

#endif
