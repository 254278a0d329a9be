// SPDX-License-Identifier: Apache-2.0
// Cores and caches within this thread's affinity mask, from hwloc or from sysfs; inside src/cpu
// only.
#ifndef WB_CPU_TOPOLOGY_H
#define WB_CPU_TOPOLOGY_H

#include <sched.h>

#include "cpu/cpu.h"

// Fills n_cores, n_threads and the cache sizes; false, nothing written, where hwloc finds no
// thread this process may run on.
bool wb_topology_from_hwloc(wb_cpu *cpu);

// The same out of root/sys/devices/system/cpu for the hardware threads in mask. What sysfs
// does not say stays unknown: each thread counts as a core, cache sizes are 0.
void wb_topology_from_sysfs(wb_cpu *cpu, const char *root, const cpu_set_t *mask,
                            size_t mask_bytes);

// The affinity mask of this thread on machines of any size: wb_free() it. NULL where it cannot
// be had.
cpu_set_t *wb_topology_mask(size_t *mask_bytes);

// hwloc's own, named here so that what needs no hwloc builds without its header.
struct hwloc_topology;
struct hwloc_bitmap_s;

// cpu->cpus[n_cpus] <- the hardware threads in mask, in the order of a topology.
void wb_topology_order(wb_cpu *cpu, struct hwloc_topology *topology,
                       const struct hwloc_bitmap_s *mask);

#endif
