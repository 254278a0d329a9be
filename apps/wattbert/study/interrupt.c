// SPDX-License-Identifier: Apache-2.0
// A signal handler reaches only a global; this one flag is the program's only mutable one.
#include "study/interrupt.h"

#include <signal.h>

#include "base/base.h"

static volatile sig_atomic_t is_asked;

static void handle(int number) {
    (void)number;
    is_asked = 1;
}

void interrupt_listen(void) {
    struct sigaction action = {.sa_handler = handle};
    sigemptyset(&action.sa_mask);
    // The default action is back after the first signal.
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_is_asked(void) {
    return is_asked != 0;
}

wb_status interrupt_check(wb_error *err) {
    if (!is_asked) return WB_OK;
    return wb_fail(err, WB_ERR_CANCELLED, 0, "interrupted");
}
