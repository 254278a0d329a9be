// SPDX-License-Identifier: Apache-2.0
// What the machine allows at this moment: operations per second of its multiply-add instructions
// and bytes per second read from memory, all threads at once. bench/peers.py asks between its
// rounds, so that rates become shares of what was there to be had.
//
//     bench_machine THREADS     a line on standard input, a line of JSON back, until the input ends
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "cpu/cpu.h"
#include "peak.h"

enum { MAX_THREADS = 256, N_REPEATS = 5, READ_BYTES = 128 << 20, AHEAD_BYTES = 4096 };

// One quantity: its precision's name and the peaks that a CPU may have, best first.
typedef struct quantity {
    const char *name;
    struct {
        uint32_t flag;
        peak_kind kind;
    } kinds[4];
} quantity;

static const quantity quantities[] = {
    {"f32", {{WB_CPU_AVX512, PEAK_AVX512_F32}, {WB_CPU_AVX2, PEAK_AVX2_F32}}},
    {"bf16", {{WB_CPU_AMX_BF16, PEAK_AMX_BF16}, {WB_CPU_AVX512_BF16, PEAK_BF16}}},
    {"i8",
     {{WB_CPU_AMX_INT8, PEAK_AMX_I8},
      {WB_CPU_AVX512_VNNI, PEAK_VNNI_I8},
      {WB_CPU_AVX_VNNI, PEAK_AVX_VNNI_I8},
      {WB_CPU_AVX2, PEAK_AVX2_I8}}},
};

typedef struct job {
    peak_kind kind;  // PEAK_NONE: read memory
    const uint64_t *block;
    double ns;  // of the fastest repeat
    pthread_barrier_t *start;
    uint64_t sum;  // of what was read, so that it is read
} job;

// Four sums, so that additions do not wait for each other; the next page is asked for early, as the
// kernels do.
static uint64_t read_block(const uint64_t *block) {
    uint64_t sums[4] = {0};
    for (size_t i = 0; i < READ_BYTES / sizeof *block; i += 8) {
        __builtin_prefetch((const char *)(block + i) + AHEAD_BYTES);
        for (int j = 0; j < 8; j++) sums[j % 4] += block[i + (size_t)j];
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
}

static void *run_job(void *argument) {
    job *j = argument;
    j->ns = 1e18;
    for (int i = 0; i < N_REPEATS; i++) {
        pthread_barrier_wait(j->start);
        const uint64_t start_ns = wb_clock_ns();
        if (j->kind)
            for (int call = 0; call < 20; call++) peak_run(j->kind);
        else
            j->sum += read_block(j->block);
        const double ns = (double)(wb_clock_ns() - start_ns);
        if (ns < j->ns) j->ns = ns;
    }
    return NULL;
}

// Of all threads together, in units (operations, bytes) of one repeat a thread: per nanosecond.
static double measure(job *jobs, int n_threads, peak_kind kind, double units) {
    pthread_barrier_t start;
    pthread_t threads[MAX_THREADS];
    pthread_barrier_init(&start, NULL, (unsigned)n_threads);
    int n_started = 0;
    for (int i = 0; i < n_threads; i++) {
        jobs[i].kind = kind;
        jobs[i].start = &start;
        n_started += pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0;
    }
    if (n_started < n_threads) {
        fprintf(stderr, "bench_machine: cannot start %d threads\n", n_threads);
        exit(3);
    }
    double rate = 0.0;
    for (int i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
        rate += units / jobs[i].ns;
    }
    pthread_barrier_destroy(&start);
    return rate;
}

static void print_rates(job *jobs, int n_threads, uint32_t flags) {
    printf("{\"read\": %.2f", measure(jobs, n_threads, PEAK_NONE, READ_BYTES));
    for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++) {
        for (size_t k = 0; k < 4; k++) {
            const peak_kind kind = quantities[q].kinds[k].kind;
            if (!kind || !(flags & quantities[q].kinds[k].flag)) continue;
            const double operations = 20.0 * (double)peak_operations(kind);
            printf(", \"%s\": %.1f, \"%s_name\": \"%s\"", quantities[q].name,
                   measure(jobs, n_threads, kind, operations), quantities[q].name, peak_name(kind));
            break;
        }
    }
    puts("}");
    fflush(stdout);
}

int main(int argc, char **argv) {
    const int n_threads = argc > 1 ? atoi(argv[1]) : 1;
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        fprintf(stderr, "usage: bench_machine THREADS (1 to %d)\n", MAX_THREADS);
        return 2;
    }
    static job jobs[MAX_THREADS];
    for (int i = 0; i < n_threads; i++) {
        uint64_t *block = wb_alloc(READ_BYTES);
        if (!block) return 3;
        // Not zeros: pages of zeros may share one page of memory.
        for (size_t k = 0; k < READ_BYTES / sizeof *block; k++) block[k] = k;
        jobs[i].block = block;
    }
    wb_cpu cpu;
    wb_cpu_detect(&cpu);
    for (int c = getchar(); c != EOF; c = getchar())
        if (c == '\n') print_rates(jobs, n_threads, cpu.flags);
    for (int i = 0; i < n_threads; i++) wb_free((void *)(uintptr_t)jobs[i].block);
    return 0;
}
