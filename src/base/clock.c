// SPDX-License-Identifier: Apache-2.0
// Time that never steps back.
#include <errno.h>
#include <time.h>

#include "base/base.h"

static uint64_t clock_read(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t wb_clock_ns(void) {
    return clock_read(CLOCK_MONOTONIC);
}

uint64_t wb_clock_process_ns(void) {
    return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

void wb_sleep_ns(uint64_t ns) {
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) continue;
}
