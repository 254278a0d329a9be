// SPDX-License-Identifier: Apache-2.0
// `wattbert meter`: measures a command.
#include "app.h"

int command_meter(int argc, char **argv) {
    const app_usage usage = {.synopsis = "meter", .text = "Not built yet."};
    char **words;
    int n_words;
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    return app_fail(EXIT_MACHINE, "meter: not built yet");
}
