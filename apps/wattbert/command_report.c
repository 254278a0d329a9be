// SPDX-License-Identifier: Apache-2.0
// `wattbert report`: draws the figures and the page again from results.csv files.
#include "app.h"
#include "report/report.h"

int command_report(int argc, char **argv) {
    const char *out_dir = "wattbert-report";
    const app_option options[] = {
        {.name = "out",
         .argument = "DIR",
         .help = "where report.html and figures/ go; wattbert-report where not given",
         .kind = APP_STRING,
         .target = &out_dir},
    };
    const app_usage usage = {
        .synopsis = "report CSV... [--out DIR]",
        .text =
            "Writes DIR/report.html and DIR/figures (SVG, PNG and the gnuplot scripts that "
            "drew them)\nfrom the results.csv files of one or more studies. No model is "
            "needed. Rows that repeat\nthe same measurement replace older ones. A power.csv "
            "beside a results.csv is drawn too.\n\n"
            "    wattbert report laptop/results.csv server/results.csv --out both\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    char **paths;
    int n_paths;
    const int code = app_parse(&usage, argc, argv, &paths, &n_paths);
    if (code >= 0) return code;
    if (n_paths == 0)
        return app_fail(EXIT_USAGE, "report: no CSV file is named, see wattbert report --help");
    return report_write((const char *const *)paths, n_paths, out_dir);
}
