// SPDX-License-Identifier: Apache-2.0
// Devices as the command line names them: a name checked before anything is opened, a GPU in words,
// and the meter that sees what computes.
#ifndef DEVICE_H
#define DEVICE_H

#include "wattbert/energy.h"
#include "wattbert/wattbert.h"

// The help of options that are the same in every command.
#define DEVICE_HELP "cpu (default), cuda, cuda:1, or auto: the first GPU where one can be used"
#define CACHE_HELP "keeps packed weights in this folder, MODEL's own or another, and opens faster"
#define PIN_HELP "each thread on a core of its own"
#define SCALES_HELP "what wattbert quantize made of MODEL, for i8-static and fp8"

// -1 where name is a device's or NULL; else tells and returns EXIT_USAGE.
int device_check(const char *command, const char *name);

// out <- "NVIDIA H100 80GB HBM3, 79.6 GiB, compute capability 9.0, CUDA 13.0, driver for
// CUDA 13.0".
void device_describe(char *out, size_t capacity, const wb_gpu_info *gpu);

// Says on stderr, where it is so, that --device auto runs on the CPU, that --cache could not write,
// that --pin could not bind, and why.
void device_note(const wb_plan_info *plan);

// wb_meter_open, but where options name no source and uuid is a GPU's, on the counter of that
// board: no other sees its joules, and none is guessed for it.
wb_status device_meter_open(wb_meter **out, const wb_meter_options *options, const char *uuid,
                            wb_error *err);

#endif
