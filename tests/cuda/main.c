// SPDX-License-Identifier: Apache-2.0
// checkcuda: every kernel of the GPU back end against an oracle in double precision, whole
// forwards against the CPU, and with --bench their rates. Exit code 77: no GPU here.
//
//     checkcuda [--bench] [--seed N] [--rounds PERCENT] [-f PATTERN]
//               [--tokens N] [--seconds S] [--mnli]
//
// PATTERN is a part of a name, or after a = the whole of one.
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpucheck.h"

enum { EXIT_SKIPPED = 77 };

static const struct {
    const char *name;
    void (*run)(check *c);
    bool is_kernel;  // of ours: what `-f kernels` runs, for compute-sanitizer
} checks[] = {
    {"embed", check_embed, true},       {"norm", check_norm, true},
    {"finish", check_finish, true},     {"gather", check_gather, true},
    {"cast", check_cast, true},         {"classify", check_classify, true},
    {"fold", check_fold, true},         {"flash", check_flash, true},
    {"standard", check_standard, true}, {"pruned", check_pruned, true},
    {"skinny", check_skinny, true},     {"product-fp8", check_product_fp8, true},
    {"product", check_product, false},  {"forward", check_forward, false},
    {"whole", check_whole, false},      {"door", check_door, false},
};

static bool is_wanted(size_t i, const char *pattern) {
    if (!pattern || strstr(checks[i].name, pattern)) return true;
    return checks[i].is_kernel && !strcmp(pattern, "kernels");
}

static int run_checks(check *c, const char *pattern) {
    int n_run = 0;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (!is_wanted(i, pattern)) continue;
        c->kernel = checks[i].name;
        c->has_failed = false;
        c->n_compared = 0;
        c->worst = 0.0;
        c->random.state = c->seed;
        for (const char *p = c->kernel; *p; p++)
            c->random.state = c->random.state * 31 + (uint64_t)*p;
        checks[i].run(c);
        printf("%-11s %9d numbers compared, worst %.2f of what is allowed\n", c->kernel,
               c->n_compared, c->worst);
        fflush(stdout);
        n_run++;
    }
    check_begin(c, "end");
    printf("checkcuda: %d checks, %d failed, seed %llu, %s\n", n_run, c->n_failures,
           (unsigned long long)c->seed, c->device.name);
    return c->n_failures ? 1 : 0;
}

static int usage(void) {
    fputs(
        "usage: checkcuda [--bench] [--seed N] [--rounds PERCENT] [-f PATTERN]\n"
        "                 [--tokens N] [--seconds S] [--mnli]\n",
        stderr);
    return 2;
}

// Fills the options; false where they make no sense.
static bool read_options(int argc, char **argv, check *c, bench_options *bench, bool *is_bench) {
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(option, "--bench")) {
            *is_bench = true;
        } else if (!strcmp(option, "--mnli")) {
            bench->is_mnli = true;
        } else if (!value) {
            return false;
        } else {
            i++;
            if (!strcmp(option, "--seed")) {
                c->seed = strtoull(value, NULL, 0);
            } else if (!strcmp(option, "--rounds")) {
                c->rounds = atoi(value);
            } else if (!strcmp(option, "-f")) {
                bench->pattern = value;
            } else if (!strcmp(option, "--tokens")) {
                bench->tokens = atoi(value);
            } else if (!strcmp(option, "--seconds")) {
                bench->seconds = atof(value);
            } else {
                return false;
            }
        }
    }
    return true;
}

int main(int argc, char **argv) {
    check c = {.seed = 1, .rounds = 100};
    bench_options bench = {.tokens = 65536, .seconds = 2.0};
    bool is_bench = false;
    wb_error err;
    if (!read_options(argc, argv, &c, &bench, &is_bench)) return usage();
    if (wb_device_probe(&c.device, 0, &err)) {
        printf("skipped: %s\n", err.message);
        return EXIT_SKIPPED;
    }
    check_gpu(cudaSetDevice(0), "choosing the GPU");
    check_gpu(cudaDeviceGetAttribute(&c.n_multiprocessors, cudaDevAttrMultiProcessorCount, 0),
              "multiprocessors");
    cudaStream_t stream;
    check_gpu(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
    c.stream = stream;
    check_ok(wb_products_open(&c.products, NULL, &err), &err);
    const int code = is_bench ? bench_run(&c, &bench) : run_checks(&c, bench.pattern);
    wb_products_close(c.products);
    check_gpu(cudaStreamDestroy(stream), "ending");
    return code;
}
