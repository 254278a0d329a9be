// SPDX-License-Identifier: Apache-2.0
// The program's entry: finds the command by name and hands over. A command is one file
// (command_NAME.c) with one function; the table below is the whole list, in the order
// of `wattbert --help`.
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "app.h"

static const app_command commands[] = {
    {"classify", "MODEL [TEXT...]", "labels of texts, with joules if asked", command_classify},
    {"study", "MODEL... --data DIR", "joules, throughput, carbon and score of every technique",
     command_study},
    {"report", "CSV...", "tables and figures of studies that were run, as one page",
     command_report},
    {"eval", "MODEL --task TASK --data DIR", "the score on a GLUE task", command_eval},
    {"quantize", "MODEL --calibrate FILE", "scales for i8-static and fp8, from texts",
     command_quantize},
    {"tokenize", "MODEL [TEXT...]", "token ids of texts", command_tokenize},
    {"plan", "MODEL", "what would run on this machine, and why", command_plan},
    {"meter", "[-- COMMAND...]", "joules of a command, or until Ctrl-C", command_meter},
    {"doctor", "", "what this machine can run and measure, and why not the rest", command_doctor},
};
enum { N_COMMANDS = (int)(sizeof commands / sizeof *commands) };

static const app_command *find_command(const char *name) {
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static void print_help(FILE *file) {
    fputs(
        "wattbert runs DistilBERT classifiers with the least energy a machine allows, and shows\n"
        "what each joule was spent on.\n"
        "\n"
        "Usage: wattbert COMMAND [OPTION...]\n"
        "\n"
        "Commands\n",
        file);
    for (int i = 0; i < N_COMMANDS; i++) {
        char call[80];
        snprintf(call, sizeof call, "%s %s", commands[i].name, commands[i].arguments);
        fprintf(file, "  %-34s %s\n", call, commands[i].summary);
    }
    fputs(
        "\n"
        "wattbert COMMAND --help explains one command; wattbert --version prints the version.\n"
        "Exit codes: 0 success, 1 something is wrong with the input, 2 with the command line,\n"
        "3 with the machine.\n",
        file);
}

int main(int argc, char **argv) {
    // Numbers are read and written with a decimal point whatever the user's language is.
    setlocale(LC_ALL, "C");
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
        (strcmp(name, "help") == 0 && argc == 2)) {
        print_help(stdout);
        return app_finish(EXIT_OK);
    }
    if (strcmp(name, "--version") == 0) {
        printf("wattbert %s\n", wb_version());
        return app_finish(EXIT_OK);
    }
    if (strcmp(name, "help") == 0) {
        name = argv[2];
        argv[2] = "--help";
    }
    const app_command *command = find_command(name);
    if (!command)
        return app_fail(EXIT_USAGE, "no command \"%s\", wattbert --help lists all of them", name);
    return app_finish(command->run(argc - 1, argv + 1));
}
