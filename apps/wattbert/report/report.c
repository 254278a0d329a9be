// SPDX-License-Identifier: Apache-2.0
// The report from end to end: rows, figures, page.
#include "report/report.h"

#include "app.h"

int report_write(const char *const *csv_paths, int n_paths, const char *out_dir) {
    return app_fail(EXIT_MACHINE, "report of %s (%d files) to %s: not built yet", csv_paths[0],
                    n_paths, out_dir);
}
