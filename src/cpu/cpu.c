// SPDX-License-Identifier: Apache-2.0
// What this process may use, asked once when an engine or a program starts. The one place that
// knows CPUID; kernels and plans see flags only.
#include "cpu/cpu.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cpu/topology.h"

#if defined(__x86_64__)
#include <cpuid.h>

// Whether the system saves tiles, and lets this process use them: since Linux 5.16 it gives the
// room for them to whoever asks. arch_prctl(2); its numbers are not in every system's headers.
static bool may_use_tiles(void) {
    const unsigned both = 3u << 17;  // XTILECFG and XTILEDATA in XCR0
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & both) != both) return false;
    const long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

// Leaf 7 EDX, Intel SDM volume 2A, CPUID; xgetbv is there where AVX2 is.
static uint32_t read_amx(unsigned leaf_7_edx) {
    const bool has_tiles = leaf_7_edx & 1u << 24, has_int8 = leaf_7_edx & 1u << 25,
               has_bf16 = leaf_7_edx & 1u << 22;
    if (!has_tiles || !(has_int8 || has_bf16) || !may_use_tiles()) return 0;
    return (has_int8 ? WB_CPU_AMX_INT8 : 0u) | (has_bf16 ? WB_CPU_AMX_BF16 : 0u);
}

// __builtin_cpu_supports asks XGETBV whether the operating system saves the wide registers.
// What it does not know by name in both compilers (F16C, AVX-VNNI, AVX512-FP16) is one CPUID bit on
// top of a set whose registers are saved; AMX is asked for.
static uint32_t read_flags(void) {
    unsigned a, b, c, d;
    uint32_t flags = 0;
    __builtin_cpu_init();
    const bool has_f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c) return 0;
    flags |= WB_CPU_AVX2;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4)) flags |= WB_CPU_AVX_VNNI;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return flags;
    flags |= WB_CPU_AVX512;
    if (__builtin_cpu_supports("avx512vnni")) flags |= WB_CPU_AVX512_VNNI;
    if (__builtin_cpu_supports("avx512bf16")) flags |= WB_CPU_AVX512_BF16;
    const unsigned avx512_fp16_bit = 1u << 23;  // leaf 7 EDX, Intel SDM volume 2A, CPUID
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return flags;
    if (d & avx512_fp16_bit) flags |= WB_CPU_AVX512_FP16;
    return flags | read_amx(d);
}

// text[48] <- the processor's brand string; false where it has none.
static bool read_brand(char text[49]) {
    unsigned registers[12];
    for (unsigned i = 0; i < 3; i++) {
        unsigned *r = registers + 4 * i;
        if (!__get_cpuid(0x80000002u + i, &r[0], &r[1], &r[2], &r[3])) return false;
    }
    memcpy(text, registers, 48);
    text[48] = 0;
    return true;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

// The kernel's word for what user programs may run. HWCAP bits: Linux, arch/arm64's
// uapi/asm/hwcap.h.
static uint32_t read_flags(void) {
    static const struct {
        unsigned long type, bits;
        uint32_t flag;
    } above_asimd[] = {
        {AT_HWCAP, HWCAP_ASIMDDP, WB_CPU_NEON_DOTPROD},
        {AT_HWCAP2, HWCAP2_I8MM, WB_CPU_NEON_I8MM},
        {AT_HWCAP2, HWCAP2_BF16, WB_CPU_NEON_BF16},
        {AT_HWCAP, HWCAP_FPHP | HWCAP_ASIMDHP, WB_CPU_NEON_FP16},
    };
    if (!(getauxval(AT_HWCAP) & HWCAP_ASIMD)) return 0;
    uint32_t flags = WB_CPU_NEON;
    for (size_t i = 0; i < sizeof above_asimd / sizeof *above_asimd; i++)
        if ((getauxval(above_asimd[i].type) & above_asimd[i].bits) == above_asimd[i].bits)
            flags |= above_asimd[i].flag;
    return flags;
}

static bool read_brand(char text[49]) {
    text[0] = 0;
    return false;
}
#else
static uint32_t read_flags(void) {
    return 0;
}

static bool read_brand(char text[49]) {
    text[0] = 0;
    return false;
}
#endif

// The value of the first "model name" line: what Linux calls a processor where CPUID does not.
static bool read_model_name(char *name, size_t capacity) {
    wb_file file;
    const size_t most_bytes = (size_t)16 << 20;  // 512 threads make 800 kB
    if (wb_file_read(&file, "/proc/cpuinfo", most_bytes, NULL)) return false;
    const char *line = strstr((const char *)file.data, "model name");
    const char *value = line ? strchr(line, ':') : NULL;
    if (value) snprintf(name, capacity, "%.*s", (int)strcspn(value + 1, "\n"), value + 1);
    wb_file_close(&file);
    return value != NULL;
}

// Brand strings are padded with blanks, in front, inside and behind: keep one between words.
static void squeeze_blanks(char *text) {
    char *out = text;
    for (const char *in = text; *in; in++)
        if (*in != ' ' || (out > text && out[-1] != ' ')) *out++ = *in;
    if (out > text && out[-1] == ' ') out--;
    *out = 0;
}

static void read_name(char *name, size_t capacity) {
    char brand[49];
    if (read_brand(brand)) snprintf(name, capacity, "%s", brand);
    squeeze_blanks(name);
    if (!name[0] && read_model_name(name, capacity)) squeeze_blanks(name);
    if (name[0]) return;
    struct utsname system;
    const bool is_known = uname(&system) == 0;
    snprintf(name, capacity, "%.*s", (int)capacity - 1, is_known ? system.machine : "unknown");
}

void wb_cpu_detect(wb_cpu *cpu) {
    *cpu = (wb_cpu){.flags = read_flags()};
    if (!wb_topology_from_hwloc(cpu)) {
        size_t mask_bytes = 0;
        cpu_set_t *mask = wb_topology_mask(&mask_bytes);
        if (mask) wb_topology_from_sysfs(cpu, "", mask, mask_bytes);
        wb_free(mask);
    }
    if (cpu->n_threads < 1) cpu->n_threads = cpu->n_cores = 1;
    read_name(cpu->name, sizeof cpu->name);
}

uint32_t wb_cpu_limit(uint32_t flags, const char *limit) {
    if (!limit) return flags;
    if (strcmp(limit, "scalar") == 0) return 0;
    if (strcmp(limit, "avx2") == 0) return flags & (WB_CPU_AVX2 | WB_CPU_AVX_VNNI);
    if (strcmp(limit, "avx512") == 0) return flags & ~(uint32_t)(WB_CPU_AMX_INT8 | WB_CPU_AMX_BF16);
    if (strcmp(limit, "neon") == 0)
        return flags & (WB_CPU_NEON | WB_CPU_NEON_DOTPROD | WB_CPU_NEON_I8MM | WB_CPU_NEON_BF16 |
                        WB_CPU_NEON_FP16);
    return flags;
}
