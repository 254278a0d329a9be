// SPDX-License-Identifier: Apache-2.0
// `wattbert doctor`: says what this machine can run and measure.
#include "app.h"

int command_doctor(int argc, char **argv) {
    const app_usage usage = {.synopsis = "doctor", .text = "Not built yet."};
    char **words;
    int n_words;
    const int code = app_parse(&usage, argc, argv, &words, &n_words);
    if (code >= 0) return code;
    return app_fail(EXIT_MACHINE, "doctor: not built yet");
}
