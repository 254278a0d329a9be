// SPDX-License-Identifier: Apache-2.0
// Threads on hardware threads by the system's numbers. Masks are as large as the kernel's own,
// which may have more than the 1,024 bits of a cpu_set_t; they are made before they are needed,
// because a thread that computes must not run out of memory.
#include "base/binding.h"

#include <errno.h>
#include <sched.h>

enum { MOST_CPUS = 1 << 16 };

struct wb_binding {
    size_t mask_bytes;
    cpu_set_t *there, *before;  // before: what the thread that is held had
    bool is_held;
};

static size_t mask_bytes_of(int cpu) {
    return CPU_ALLOC_SIZE((size_t)cpu + 1);
}

bool wb_thread_bind(pthread_t thread, int cpu) {
    if (cpu < 0 || cpu >= MOST_CPUS) return false;
    const size_t n_bytes = mask_bytes_of(cpu);
    cpu_set_t *mask = wb_alloc_zeroed(n_bytes);
    if (!mask) return false;
    CPU_SET_S((size_t)cpu, n_bytes, mask);
    const bool is_bound = pthread_setaffinity_np(thread, n_bytes, mask) == 0;
    wb_free(mask);
    return is_bound;
}

// The calling thread's mask; the kernel refuses one that is smaller than its own.
static cpu_set_t *read_mask(size_t *n_bytes) {
    for (size_t n_cpus = CPU_SETSIZE; n_cpus <= MOST_CPUS; n_cpus *= 2) {
        *n_bytes = CPU_ALLOC_SIZE(n_cpus);
        cpu_set_t *mask = wb_alloc_zeroed(*n_bytes);
        if (!mask) return NULL;
        if (sched_getaffinity(0, *n_bytes, mask) == 0) return mask;
        wb_free(mask);
        if (errno != EINVAL) return NULL;
    }
    return NULL;
}

void wb_thread_unbind(pthread_t thread) {
    size_t n_bytes;
    cpu_set_t *mask = read_mask(&n_bytes);
    if (mask) (void)pthread_setaffinity_np(thread, n_bytes, mask);
    wb_free(mask);
}

wb_status wb_binding_open(wb_binding **out, int cpu, wb_error *err) {
    *out = NULL;
    wb_binding *binding = wb_alloc_zeroed(sizeof *binding);
    if (!binding) return wb_fail(err, WB_ERR_MEMORY, 0, "binding a thread");
    binding->before = read_mask(&binding->mask_bytes);
    if (binding->before && mask_bytes_of(cpu) <= binding->mask_bytes)
        binding->there = wb_alloc_zeroed(binding->mask_bytes);
    if (!binding->there) {
        wb_binding_close(binding);
        return wb_fail(err, WB_ERR_MEMORY, 0, "binding a thread to cpu %d", cpu);
    }
    CPU_SET_S((size_t)cpu, binding->mask_bytes, binding->there);
    *out = binding;
    return WB_OK;
}

void wb_binding_close(wb_binding *binding) {
    if (!binding) return;
    wb_free(binding->there);
    wb_free(binding->before);
    wb_free(binding);
}

bool wb_binding_hold(wb_binding *binding) {
    if (!binding || binding->is_held) return false;
    binding->is_held = sched_getaffinity(0, binding->mask_bytes, binding->before) == 0 &&
                       sched_setaffinity(0, binding->mask_bytes, binding->there) == 0;
    return binding->is_held;
}

void wb_binding_release(wb_binding *binding) {
    (void)sched_setaffinity(0, binding->mask_bytes, binding->before);
    binding->is_held = false;
}
