// SPDX-License-Identifier: Apache-2.0
// Runs the gnuplot program on a script.
#ifndef GNUPLOT_H
#define GNUPLOT_H

#include "wattbert/error.h"

// Runs gnuplot in dir on the script of that name there, without the user's own settings.
// WB_ERR_ABSENT: no gnuplot in PATH; WB_ERR_REFUSED: it ran and failed.
wb_status gnuplot_run(const char *dir, const char *script, wb_error *err);

#endif
