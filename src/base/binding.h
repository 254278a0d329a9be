// SPDX-License-Identifier: Apache-2.0
// Affinity of a thread by its handle, for the pool; inside src/base only.
#ifndef WB_BASE_BINDING_H
#define WB_BASE_BINDING_H

#include <pthread.h>

#include "base/base.h"

bool wb_thread_bind(pthread_t thread, int cpu);
// Gives it the calling thread's mask.
void wb_thread_unbind(pthread_t thread);

#endif
