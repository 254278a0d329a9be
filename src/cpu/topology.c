// SPDX-License-Identifier: Apache-2.0
// Cores and caches this process may use. hwloc knows machines that sysfs describes badly
// (firmware errata, hybrid cores, containers); sysfs is the fallback where hwloc gives nothing.
// A socket, a core or a cache counts only where the affinity mask touches it: a process that is
// bound to 4 of 128 cores must not start 128 threads.
#include "cpu/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_cpu(wb_cpu *cpu, int index) {
    if (cpu->n_cpus < WB_MOST_CPUS) cpu->cpus[cpu->n_cpus++] = index;
}

// ---- hwloc ----

static size_t cache_above(hwloc_obj_t object, hwloc_obj_type_t type) {
    while (object && object->type != type) object = object->parent;
    return object && object->attr ? (size_t)object->attr->cache.size : 0;
}

static int count_cores(hwloc_topology_t topology, hwloc_const_bitmap_t mask) {
    int n = 0;
    hwloc_obj_t core = NULL;
    while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)))
        n += hwloc_bitmap_intersects(core->cpuset, mask);
    return n;
}

// The rank-th hardware thread, from 0, of a core within the mask; -1 where it has fewer.
static int thread_of(hwloc_obj_t core, hwloc_const_bitmap_t mask, int rank) {
    int n = 0, index = -1;
    while ((index = hwloc_bitmap_next(core->cpuset, index)) >= 0)
        if (hwloc_bitmap_isset(mask, (unsigned)index) && n++ == rank) return index;
    return -1;
}

// hwloc numbers cores along its tree, so that neighbours share what can be shared. What belongs to
// no core, where it knows none, follows as the system numbers it.
void wb_topology_order(wb_cpu *cpu, hwloc_topology_t topology, hwloc_const_bitmap_t mask) {
    cpu->n_cpus = 0;
    for (int rank = 0, n_before = -1; cpu->n_cpus > n_before; rank++) {
        n_before = cpu->n_cpus;
        hwloc_obj_t core = NULL;
        while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core))) {
            const int index = thread_of(core, mask, rank);
            if (index >= 0) add_cpu(cpu, index);
        }
    }
    if (cpu->n_cpus > 0) return;
    for (int i = hwloc_bitmap_first(mask); i >= 0; i = hwloc_bitmap_next(mask, i)) add_cpu(cpu, i);
}

static bool read_topology(hwloc_topology_t topology, hwloc_bitmap_t mask, wb_cpu *cpu) {
    // Where sysfs is hidden (sandboxes), hwloc's reader of it complains on stderr and gives up; its
    // CPUID reader does not need it.
    if (!wb_file_exists("/sys/devices/system/cpu/cpu0/topology") &&
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "linux"))
        return false;
    if (hwloc_topology_load(topology) != 0) return false;
    if (hwloc_get_cpubind(topology, mask, HWLOC_CPUBIND_THREAD) != 0) return false;
    hwloc_bitmap_and(mask, mask, hwloc_topology_get_topology_cpuset(topology));
    const int n_threads = hwloc_bitmap_weight(mask);
    if (n_threads < 1) return false;

    const int n_cores = count_cores(topology, mask);
    const hwloc_obj_t first =
        hwloc_get_pu_obj_by_os_index(topology, (unsigned)hwloc_bitmap_first(mask));
    cpu->n_threads = n_threads;
    cpu->n_cores = n_cores > 0 ? n_cores : n_threads;
    wb_topology_order(cpu, topology, mask);
    cpu->l1d_bytes = cache_above(first, HWLOC_OBJ_L1CACHE);
    cpu->l2_bytes = cache_above(first, HWLOC_OBJ_L2CACHE);
    cpu->l3_bytes = cache_above(first, HWLOC_OBJ_L3CACHE);
    return true;
}

bool wb_topology_from_hwloc(wb_cpu *cpu) {
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0) return false;
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();
    const bool is_known = mask && read_topology(topology, mask, cpu);
    hwloc_bitmap_free(mask);
    hwloc_topology_destroy(topology);
    return is_known;
}

// ---- sysfs ----

enum { MAX_CPUS = 1 << 16, VALUE_BYTES = 4096 };

// The first whole number of root/sys/devices/system/cpu/cpuN/name, times 1024 where K follows
// it ("32768K", "0-1", "3"); -1 where the file says none.
static long long read_number(const char *root, int cpu, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, name);
    wb_file file;
    if (wb_file_read(&file, path, VALUE_BYTES, NULL)) return -1;
    const char *text = (const char *)file.data;
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || value < 0 || value > 1 << 30)
        value = -1;
    else if (*end == 'K')
        value *= 1024;
    wb_file_close(&file);
    return value;
}

static bool is_instruction_cache(const char *root, int cpu, int index) {
    char path[512];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/cache/index%d/type", root, cpu,
             index);
    wb_file file;
    if (wb_file_read(&file, path, VALUE_BYTES, NULL)) return true;
    const bool is_instruction = file.data[0] == 'I';
    wb_file_close(&file);
    return is_instruction;
}

static void read_caches(wb_cpu *cpu, const char *root, int first_cpu) {
    size_t *const levels[] = {&cpu->l1d_bytes, &cpu->l2_bytes, &cpu->l3_bytes};
    for (int index = 0; index < 8; index++) {
        char name[64];
        snprintf(name, sizeof name, "cache/index%d/level", index);
        const long long level = read_number(root, first_cpu, name);
        if (level < 1 || level > 3 || is_instruction_cache(root, first_cpu, index)) continue;
        snprintf(name, sizeof name, "cache/index%d/size", index);
        const long long n_bytes = read_number(root, first_cpu, name);
        if (n_bytes > 0) *levels[level - 1] = (size_t)n_bytes;
    }
}

static bool is_listed(const wb_cpu *cpu, int index) {
    for (int i = 0; i < cpu->n_cpus; i++)
        if (cpu->cpus[i] == index) return true;
    return false;
}

void wb_topology_from_sysfs(wb_cpu *cpu, const char *root, const cpu_set_t *mask,
                            size_t mask_bytes) {
    *cpu = (wb_cpu){.flags = cpu->flags};
    // A core is counted at its first thread inside the mask: siblings are named by the lowest
    // thread of the core, which need not be in the mask itself.
    const int n_bits = (int)(mask_bytes * 8);
    uint8_t *is_counted = wb_alloc_array((size_t)n_bits, 1);
    for (int i = 0; i < n_bits; i++) {
        if (!CPU_ISSET_S((size_t)i, mask_bytes, mask)) continue;
        if (cpu->n_threads++ == 0) read_caches(cpu, root, i);
        long long lowest = read_number(root, i, "topology/thread_siblings_list");
        if (lowest < 0 || lowest >= n_bits) lowest = i;
        if (is_counted && is_counted[lowest]++) continue;
        cpu->n_cores++;
        add_cpu(cpu, i);
    }
    for (int i = 0; i < n_bits; i++)
        if (CPU_ISSET_S((size_t)i, mask_bytes, mask) && !is_listed(cpu, i)) add_cpu(cpu, i);
    wb_free(is_counted);
}

cpu_set_t *wb_topology_mask(size_t *mask_bytes) {
    // The kernel refuses a set smaller than its own: double it until it fits.
    for (size_t n_cpus = CPU_SETSIZE; n_cpus <= MAX_CPUS; n_cpus *= 2) {
        *mask_bytes = CPU_ALLOC_SIZE(n_cpus);
        cpu_set_t *mask = wb_alloc_zeroed(*mask_bytes);
        if (!mask) return NULL;
        if (sched_getaffinity(0, *mask_bytes, mask) == 0) return mask;
        wb_free(mask);
        if (errno != EINVAL) return NULL;
    }
    return NULL;
}
