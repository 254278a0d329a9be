// SPDX-License-Identifier: Apache-2.0
// The joules of a piece of work, from whatever counter this machine offers: the program in
// energy.h's head.
#include <math.h>
#include <stdio.h>

#include <wattbert/energy.h>

static int fail(const wb_error *err) {
    fprintf(stderr, "%s: %s\n", wb_status_name(err->status), err->message);
    return 1;
}

static volatile double result;

// Half a second or so of one core.
static void work(void) {
    for (int i = 1; i < 20000000; i++) result += sin(i) / i;
}

int main(void) {
    wb_meter *meter;
    wb_reading readings[WB_MAX_DOMAINS];
    int n;
    wb_error err;
    if (wb_meter_open(&meter, NULL, &err)) return fail(&err);
    if (wb_meter_start(meter, &err)) return fail(&err);
    work();
    if (wb_meter_stop(meter, readings, WB_MAX_DOMAINS, &n, &err)) return fail(&err);
    printf("%s %.3f J (%s)\n", readings[0].source, readings[0].joules, readings[0].method);
    wb_meter_close(meter);
    return 0;
}
