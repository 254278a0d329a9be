// SPDX-License-Identifier: Apache-2.0
// Ctrl-C during a study: asked for between batches, so that what was measured is still
// written. A second one ends the program at once.
#ifndef STUDY_INTERRUPT_H
#define STUDY_INTERRUPT_H

#include <stdbool.h>

#include "wattbert/error.h"

void interrupt_listen(void);
bool interrupt_is_asked(void);
// WB_OK, or WB_ERR_CANCELLED once Ctrl-C was pressed.
wb_status interrupt_check(wb_error *err);

#endif
