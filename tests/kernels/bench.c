// SPDX-License-Identifier: Apache-2.0
// checkkernels --bench: each kernel at the shapes that DistilBERT and a 384-wide model have. The
// peak of the instruction it lives by runs before each sample, in the same conditions, and both
// are reported by their fastest sample: on a shared machine, a share survives what a rate does not.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_work.h"
#include "check.h"
#include "levels.h"
#include "peak.h"

enum {
    SAMPLE_NS = 300000,  // one sample's least duration: far above the clock's 300 ns
    MOST_SAMPLES = 1000,
    LONGEST_NS = 2000000000,  // of all samples but three
};

typedef struct timing {
    double best_ns, median_ns;  // of one call
    double peak_ns;             // of one peak_run
} timing;

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// This thread's own time: other processes of the machine do not count, which the clock on the wall
// cannot tell apart.
static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static double time_calls(bench_work *w, int n_calls) {
    const double start = now_ns();
    for (int i = 0; i < n_calls; i++) w->run(w, i);
    return (now_ns() - start) / n_calls;
}

static timing time_work(bench_work *w, peak_kind peak, int n_samples) {
    double samples[MOST_SAMPLES];
    timing t = {.peak_ns = 1e30};
    const double once = time_calls(w, 1);
    int n_calls = (int)(SAMPLE_NS / time_calls(w, once > SAMPLE_NS ? 1 : 3)) + 1;
    if (n_calls < w->n_copies) n_calls = w->n_copies;
    while (n_samples > 3 && n_samples * n_calls * once > LONGEST_NS) n_samples--;
    for (int i = 0; i < n_samples; i++) {
        const double start = now_ns();
        peak_run(peak);
        const double peak_ns = now_ns() - start;
        if (peak_ns < t.peak_ns) t.peak_ns = peak_ns;
        samples[i] = time_calls(w, n_calls);
    }
    qsort(samples, (size_t)n_samples, sizeof *samples, compare_doubles);
    t.best_ns = samples[0];
    t.median_ns = samples[n_samples / 2];
    return t;
}

static void print_row(const bench_options *options, const char *isa, const bench_work *w,
                      const timing *t) {
    const double rate = w->operations / t->best_ns;
    const double peak = (double)peak_operations(w->peak) / t->peak_ns;
    const double share = w->peak ? 100.0 * rate / peak : 0.0;
    const double spread = 100.0 * (t->median_ns / t->best_ns - 1.0);
    if (options->is_csv) {
        printf("%s,%s,%s,%.0f,%.2f,%.2f,%s,%.2f,%.1f,%.1f\n", w->kernel, isa, w->shape, t->best_ns,
               rate, w->bytes / t->best_ns, peak_name(w->peak), peak, share, spread);
    } else {
        printf("%-18s %-12s %-22s %11.0f ns %8.1f GFLOP/s %6.1f GB/s", w->kernel, isa, w->shape,
               t->best_ns, rate, w->bytes / t->best_ns);
        if (w->peak) printf("  %5.1f %% of %.0f (%s)", share, peak, peak_name(w->peak));
        printf("  +%.0f %%\n", spread);
    }
    fflush(stdout);
}

static void bench_level(const bench_options *options, const char *isa, const wb_kernels *now,
                        const wb_kernels *below) {
    for (int i = 0; i < bench_n_cases(); i++) {
        bench_work w;
        if (!bench_open(&w, i, now, below, options->pattern, options->is_cold)) continue;
        const int n = options->repeat < 1              ? 1
                      : options->repeat > MOST_SAMPLES ? MOST_SAMPLES
                                                       : options->repeat;
        const timing t = time_work(&w, w.peak, n);
        print_row(options, isa, &w, &t);
        bench_close(&w);
    }
}

int bench_run(const bench_options *options, uint32_t cpu_flags) {
    wb_kernels below = {0};
    if (options->is_csv)
        printf(
            "kernel,isa,shape,ns,gflops,gbytes_per_s,peak,peak_gflops,share_percent,"
            "spread_percent\n");
    for (const level *l = levels; l->name; l++) {
        wb_kernels now;
        if ((l->flags & cpu_flags) != l->flags) continue;
        wb_kernels_select(&now, l->flags);
        if (!options->isa || !strcmp(options->isa, l->name))
            bench_level(options, l->name, &now, &below);
        below = now;
    }
    return 0;
}
