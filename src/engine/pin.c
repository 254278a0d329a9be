// SPDX-License-Identifier: Apache-2.0
// Threads on cores of their own, on request: the pool's for as long as the engine is open, the
// caller's while it computes and no longer, since it is not the engine's. A machine that refuses
// runs unbound and the plan says why: where threads run changes no logit.
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

// "cpus 0 2 4", cut where it does not fit.
static void list_cpus(char *words, size_t capacity, const int *cpus, int n) {
    size_t length = (size_t)snprintf(words, capacity, "cpus");
    for (int i = 0; i < n && length < capacity - 16; i++)
        length += (size_t)snprintf(words + length, capacity - length,
                                   length < capacity - 24 ? " %d" : " ..", cpus[i]);
}

wb_status wb_engine_pin(wb_engine *engine, wb_error *err) {
    char *words = engine->pinning;
    const size_t capacity = sizeof engine->pinning;
    const wb_cpu *cpu = &engine->cpu;
    const int n = engine->plan.n_threads;
    if (engine->plan.device != WB_DEVICE_CPU) {
        snprintf(words, capacity, "not pinned: the GPU computes");
        return WB_OK;
    }
    if (n > cpu->n_cpus) {
        snprintf(words, capacity, "not pinned: %d threads for %d hardware threads", n, cpu->n_cpus);
        return WB_OK;
    }
    const wb_status status = wb_binding_open(&engine->binding, cpu->cpus[0], err);
    if (status) return status;
    wb_error problem;
    if (wb_pool_bind(engine->pool, cpu->cpus, &problem)) {
        wb_binding_close(engine->binding);
        engine->binding = NULL;
        snprintf(words, capacity, "not pinned: %.150s", problem.message);
        return WB_OK;
    }
    list_cpus(words, capacity, cpu->cpus, n);
    return WB_OK;
}
