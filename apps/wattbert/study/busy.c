// SPDX-License-Identifier: Apache-2.0
// The kernel's own books: /proc/stat has the ticks of all processes, idle apart. A tick is
// 10 ms, so that a window of 2 s is known to about 1 %.
#include "study/busy.h"

#include <stdio.h>
#include <unistd.h>

#include "base/base.h"

// The fields of the line "cpu ...": user nice system idle iowait irq softirq steal. Guests' time,
// behind them, is part of user.
enum { N_FIELDS = 8, IDLE = 3, IOWAIT = 4 };

busy_reading busy_parse(const char *stat_line, double ticks_per_s, double own_s) {
    unsigned long long f[N_FIELDS] = {0};
    const int n = sscanf(stat_line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &f[0], &f[1],
                         &f[2], &f[3], &f[4], &f[5], &f[6], &f[7]);
    busy_reading reading = {.has_value = n >= IOWAIT, .own_s = own_s};
    for (int i = 0; i < n; i++) {
        reading.cores_s += (double)f[i] / ticks_per_s;
        if (i != IDLE && i != IOWAIT) reading.all_s += (double)f[i] / ticks_per_s;
    }
    return reading;
}

busy_reading busy_read(void) {
    wb_file file;
    if (wb_file_read(&file, "/proc/stat", 4 << 20, NULL)) return (busy_reading){0};
    const busy_reading reading = busy_parse((const char *)file.data, (double)sysconf(_SC_CLK_TCK),
                                            (double)wb_clock_process_ns() / 1e9);
    wb_file_close(&file);
    return reading;
}

void busy_add(const busy_reading *before, const busy_reading *after, double *others_s,
              double *cores_s) {
    if (!before->has_value || !after->has_value) return;
    const double others = after->all_s - before->all_s - (after->own_s - before->own_s);
    *others_s += others > 0.0 ? others : 0.0;
    *cores_s += after->cores_s - before->cores_s;
}
