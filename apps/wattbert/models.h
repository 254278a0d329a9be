// SPDX-License-Identifier: Apache-2.0
// Models and techniques as the command line names them: the library's failures, with what a
// person can do about them.
#ifndef MODELS_H
#define MODELS_H

#include <stdbool.h>

#include "wattbert/wattbert.h"

// wb_model_open, saying what a model folder is where there is none.
wb_status models_open(wb_model **out, const char *dir, wb_error *err);

// The help of --scales, the same in every command.
#define SCALES_HELP "what wattbert quantize made of MODEL, for i8-static and fp8"

bool models_has_technique(const char *name);

// -1 where name is a technique or NULL; else tells and returns EXIT_USAGE.
int models_check_technique(const char *command, const char *name);

#endif
