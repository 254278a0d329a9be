// SPDX-License-Identifier: Apache-2.0
// checkkernels: every kernel of every instruction set that this machine has, weakest first,
// against an oracle in double precision; with --bench, their rates as shares of what the machine's
// multiply-add instruction reaches. A slot of the table without a check is an error.
//
//     checkkernels [--bench [--cold]] [--seed N] [--repeat N] [-f PATTERN] [--isa NAME] [--csv]
//                  [--rounds PERCENT]
//     checkkernels --digest FILE [--isa NAME]
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "cpu/cpu.h"
#include "emulated.h"
#include "levels.h"

#define SLOT(name) offsetof(wb_kernels, name)

// Which check covers which slots; panel sizes are covered by the buffers' ends.
static const struct {
    const char *name;
    void (*run)(check *c);
    size_t slots[4];  // 0: none
} checks[] = {
    {"pack_f32", check_pack_f32, {SLOT(pack_f32), SLOT(panel_bytes_f32)}},
    {"pack_bf16", check_pack_bf16, {SLOT(pack_bf16), SLOT(panel_bytes_bf16)}},
    {"pack_f16", check_pack_f16, {SLOT(pack_f16), SLOT(panel_bytes_f16)}},
    {"pack_i8", check_pack_i8, {SLOT(pack_i8), SLOT(panel_bytes_i8)}},
    {"cast_panels", check_cast_panels, {SLOT(cast_panels_bf16), SLOT(cast_panels_f16)}},
    {"gemm_f32", check_gemm_f32, {SLOT(gemm_f32)}},
    {"gemm_bf16", check_gemm_bf16, {SLOT(gemm_bf16), SLOT(gemm_bf16_to_bf16)}},
    {"gemm_f16", check_gemm_f16, {SLOT(gemm_f16)}},
    {"gemm_i8", check_gemm_i8, {SLOT(gemm_i8)}},
    {"activation", check_activation, {SLOT(gemm_f32)}},
    {"quantize_i8", check_quantize_i8, {SLOT(quantize_i8)}},
    {"quantize_i8_static", check_quantize_i8_static, {SLOT(quantize_i8_static)}},
    {"cast_bf16", check_cast_bf16, {SLOT(cast_bf16)}},
    {"cast_f16", check_cast_f16, {SLOT(cast_f16)}},
    {"add_norm", check_add_norm, {SLOT(add_norm)}},
    {"softmax", check_softmax, {SLOT(softmax)}},
    {"attention_flash", check_attention_flash, {SLOT(attention_flash), SLOT(attention_scratch)}},
    {"attention_scores", check_attention_scores, {SLOT(attention_scores)}},
    {"attention_context", check_attention_context, {SLOT(attention_context)}},
};

enum {
    N_CHECKS = sizeof checks / sizeof checks[0],
    EXIT_SKIPPED = 77,
    AVX512 = WB_CPU_AVX2 | WB_CPU_AVX512,
};

// Filled before each check, for the signal handler only.
static char fault_message[512];

static void report_fault(int signal_number) {
    (void)signal_number;
    const ssize_t written = write(STDOUT_FILENO, fault_message, strlen(fault_message));
    _exit(written < 0 ? 2 : 1);
}

// Every function pointer of the table, from the first panel size on, belongs to a check.
static bool check_slots(void) {
    bool is_complete = true;
    const size_t first = SLOT(panel_bytes_f32), step = sizeof(void (*)(void));
    for (size_t slot = first; slot < sizeof(wb_kernels); slot += step) {
        bool is_checked = false;
        for (size_t i = 0; i < N_CHECKS; i++)
            for (size_t s = 0; s < 4; s++) is_checked |= checks[i].slots[s] == slot;
        if (is_checked) continue;
        printf("FAILED: the slot at byte %zu of wb_kernels has no check; add one to main.c\n",
               slot);
        is_complete = false;
    }
    return is_complete;
}

// Whether any slot of the check differs from the level below's: else it has been checked there.
static bool is_new(size_t i, const wb_kernels *now, const wb_kernels *below) {
    for (size_t s = 0; s < 4 && checks[i].slots[s]; s++)
        if (memcmp((const char *)now + checks[i].slots[s], (const char *)below + checks[i].slots[s],
                   sizeof(void (*)(void))))
            return true;
    return false;
}

static void run_check(check *c, size_t i) {
    c->kernel = checks[i].name;
    c->has_failed = false;
    c->random.state = c->seed;
    for (const char *p = c->kernel; *p; p++) c->random.state = c->random.state * 31 + (uint64_t)*p;
    snprintf(fault_message, sizeof fault_message,
             "FAILED %s of %s: fault, it reads or writes outside its buffers, or breaks the\n"
             "    rules of a unit that is emulated\n"
             "    repeat: checkkernels --seed %llu --isa %s -f %s\n",
             c->kernel, c->isa, (unsigned long long)c->seed, c->isa, c->kernel);
    checks[i].run(c);
}

static void free_buffers(check *c) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < MAX_BUFFERS; i++)
        if (c->buffers[i].pages)
            munmap(c->buffers[i].pages - page, c->buffers[i].capacity + 2 * page);
}

static bool is_wanted(const bench_options *options, const char *isa, const char *kernel) {
    return (!options->isa || !strcmp(options->isa, isa)) &&
           (!options->pattern || strstr(kernel, options->pattern));
}

// Rungs that this machine may lack, with each of their instructions emulated: the product, and the
// packing that is seen through it.
static const struct {
    const char *name;
    uint32_t flags;  // of the set that they stand on
    uint32_t twin;   // a machine with this has what the emulation must equal; 0: up to roundings
    bool (*select)(wb_kernels *kernels);
    void (*checks[3])(check *c);
} emulated[] = {
    {"emulated_fp16", AVX512, 0, emulated_f16_select, {check_gemm_f16, check_pack_f16}},
    {"emulated_vnni", WB_CPU_AVX2, 0, emulated_vnni_select, {check_gemm_i8, check_pack_i8}},
    {"emulated_amx",
     AVX512 | WB_CPU_AVX512_VNNI,
     0,  // int8 is held to the scalar set's bits
     emulated_amx_int8_select,
     {check_gemm_i8, check_pack_i8}},
    {"emulated_amx",
     AVX512,
     WB_CPU_AMX_BF16,
     emulated_amx_bf16_select,
     {check_gemm_bf16, check_pack_bf16, check_cast_panels}},
};

static bool is_emulated(size_t e, void (*run)(check *c)) {
    for (int i = 0; i < 3; i++)
        if (emulated[e].checks[i] == run) return true;
    return false;
}

static int run_emulated(const bench_options *options, check *c, uint32_t cpu_flags) {
    int n_run = 0;
    for (size_t e = 0; e < sizeof emulated / sizeof emulated[0]; e++) {
        wb_kernels now, real;
        // Even what fills a table is compiled with its set's instructions.
        if ((emulated[e].flags & cpu_flags) != emulated[e].flags) continue;
        wb_kernels_select(&now, emulated[e].flags);
        wb_kernels_select(&real, cpu_flags);
        if (!emulated[e].select(&now)) continue;
        c->isa = emulated[e].name;
        c->now = &now;
        c->twin = cpu_flags & emulated[e].twin ? &real : NULL;
        for (size_t i = 0; i < N_CHECKS; i++) {
            if (!is_emulated(e, checks[i].run) || !is_wanted(options, c->isa, checks[i].name))
                continue;
            run_check(c, i);
            n_run++;
        }
    }
    c->twin = NULL;
    return n_run;
}

// A product and all that knows its panels.
static const struct {
    void (*run)(check *c);
    size_t slots[10];
} families[] = {
    {check_gemm_f32, {SLOT(gemm_f32), SLOT(pack_f32), SLOT(panel_bytes_f32)}},
    {check_gemm_bf16,
     {SLOT(gemm_bf16), SLOT(gemm_bf16_to_bf16), SLOT(pack_bf16), SLOT(panel_bytes_bf16)}},
    {check_gemm_f16, {SLOT(gemm_f16), SLOT(pack_f16), SLOT(panel_bytes_f16)}},
    {check_gemm_i8, {SLOT(gemm_i8), SLOT(pack_i8), SLOT(panel_bytes_i8)}},
    {check_cast_panels,
     {SLOT(cast_panels_bf16), SLOT(cast_panels_f16), SLOT(pack_f32), SLOT(pack_bf16),
      SLOT(pack_f16), SLOT(panel_bytes_f32), SLOT(panel_bytes_bf16), SLOT(panel_bytes_f16)}},
};

enum { N_FAMILIES = sizeof families / sizeof families[0] };

static bool is_same_family(size_t family, const wb_kernels *a, const wb_kernels *b) {
    const size_t *slots = families[family].slots;
    for (size_t s = 0; slots[s]; s++)
        if (memcmp((const char *)a + slots[s], (const char *)b + slots[s], sizeof(void (*)(void))))
            return false;
    return a->tile_n == b->tile_n;
}

// Whether some subset of fewer flags has given the same product and panels.
static bool is_known_family(size_t family, uint32_t flags) {
    wb_kernels now, before;
    wb_kernels_select(&now, flags);
    for (uint32_t fewer = flags; fewer != 0;) {
        fewer = (fewer - 1) & flags;
        wb_kernels_select(&before, fewer);
        if (is_same_family(family, &now, &before)) return true;
    }
    return false;
}

// Every subset of the machine's flags gives a table whose packing and products fit each other.
static int run_subsets(const bench_options *options, check *c, uint32_t cpu_flags) {
    const int rounds = c->rounds;
    int n_run = 0;
    c->isa = "subsets";
    c->rounds = (rounds + 49) / 50;
    for (uint32_t flags = 0; flags <= cpu_flags; flags++) {
        wb_kernels now;
        if ((flags & cpu_flags) != flags) continue;
        wb_kernels_select(&now, flags);
        c->now = &now;
        for (size_t i = 0; i < N_CHECKS; i++)
            for (size_t family = 0; family < N_FAMILIES; family++) {
                if (checks[i].run != families[family].run ||
                    !is_wanted(options, c->isa, checks[i].name) || is_known_family(family, flags))
                    continue;
                run_check(c, i);
                n_run++;
            }
    }
    c->rounds = rounds;
    return n_run;
}

static int run_checks(const bench_options *options, uint64_t seed, int rounds, uint32_t cpu_flags) {
    wb_kernels scalar, below = {0};
    wb_kernels_select(&scalar, 0);
    check c = {.scalar = &scalar, .seed = seed, .rounds = rounds};
    int n_run = 0;
    signal(SIGSEGV, report_fault);
    signal(SIGBUS, report_fault);
    signal(SIGABRT, report_fault);
    for (const level *l = levels; l->name; l++) {
        wb_kernels now;
        if ((l->flags & cpu_flags) != l->flags) continue;
        wb_kernels_select(&now, l->flags);
        c.isa = l->name;
        c.now = &now;
        c.is_scalar = l->flags == 0;
        for (size_t i = 0; i < N_CHECKS; i++) {
            if (!is_wanted(options, l->name, checks[i].name) || !is_new(i, &now, &below)) continue;
            run_check(&c, i);
            n_run++;
        }
        below = now;
    }
    n_run += run_subsets(options, &c, cpu_flags);
    n_run += run_emulated(options, &c, cpu_flags);
    free_buffers(&c);
    if (n_run == 0) {
        printf("skipped: no check of that name, or not on this machine\n");
        return EXIT_SKIPPED;
    }
    printf("checkkernels: %d checks, %d failed, seed %llu\n", n_run, c.n_failures,
           (unsigned long long)seed);
    return c.n_failures ? 1 : 0;
}

static int usage(void) {
    fputs(
        "usage: checkkernels [--bench [--cold]] [--seed N] [--repeat N] [-f PATTERN] [--isa NAME]"
        " [--csv] [--rounds PERCENT]\n"
        "       checkkernels --digest FILE [--isa NAME]\n",
        stderr);
    return 2;
}

int main(int argc, char **argv) {
    bench_options options = {.repeat = 15};
    const char *digests = NULL;
    uint64_t seed = 1;
    int rounds = 100;
    bool is_bench = false;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(option, "--bench")) {
            is_bench = true;
        } else if (!strcmp(option, "--cold")) {
            options.is_cold = true;
        } else if (!strcmp(option, "--csv")) {
            options.is_csv = true;
        } else if (!value) {
            return usage();
        } else {
            i++;
            if (!strcmp(option, "--seed")) {
                seed = strtoull(value, NULL, 0);
            } else if (!strcmp(option, "--repeat")) {
                options.repeat = atoi(value);
            } else if (!strcmp(option, "--digest")) {
                digests = value;
            } else if (!strcmp(option, "--rounds")) {
                rounds = atoi(value);
            } else if (!strcmp(option, "-f")) {
                options.pattern = value;
            } else if (!strcmp(option, "--isa")) {
                options.isa = value;
            } else {
                return usage();
            }
        }
    }
    wb_cpu cpu;
    wb_cpu_detect(&cpu);
    if (is_bench) return bench_run(&options, cpu.flags);
    if (digests) return digest_run(digests, options.isa, cpu.flags);
    return check_slots() ? run_checks(&options, seed, rounds, cpu.flags) : 1;
}
