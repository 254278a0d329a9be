// SPDX-License-Identifier: Apache-2.0
// The rungs of the ladder that checkkernels climbs, weakest first.
#ifndef LEVELS_H
#define LEVELS_H

#include <stdint.h>

typedef struct level {
    const char *name;  // what --isa says
    uint32_t flags;    // WB_CPU_ flags, of cpu/cpu.h
} level;

extern const level levels[];  // the last has no name

#endif
