// SPDX-License-Identifier: Apache-2.0
// In place of src/cpu/topology.c where hwloc is not there for the architecture built for: nothing
// is known, which counts as one core.
#include "cpu/topology.h"

bool wb_topology_from_hwloc(wb_cpu *cpu) {
    (void)cpu;
    return false;
}

void wb_topology_from_sysfs(wb_cpu *cpu, const char *root, const cpu_set_t *mask,
                            size_t mask_bytes) {
    (void)cpu;
    (void)root;
    (void)mask;
    (void)mask_bytes;
}

cpu_set_t *wb_topology_mask(size_t *mask_bytes) {
    *mask_bytes = 0;
    return NULL;
}
