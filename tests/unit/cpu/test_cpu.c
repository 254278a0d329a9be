// SPDX-License-Identifier: Apache-2.0
// What the machine offers: flags form a ladder, the affinity mask bounds cores and threads, and
// sysfs says the same as hwloc, here and on machines built in a folder.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include <hwloc.h>

#include "cpu/cpu.h"
#include "cpu/topology.h"

static void test_detect_fills_everything(void **state) {
    (void)state;
    wb_cpu cpu;
    memset(&cpu, 0xa5, sizeof cpu);
    wb_cpu_detect(&cpu);
    assert_true(strlen(cpu.name) > 0);
    assert_true(cpu.name[0] != ' ' && !strstr(cpu.name, "  "));
    assert_true(cpu.n_cores >= 1);
    assert_true(cpu.n_threads >= cpu.n_cores);
}

// /proc/cpuinfo is the kernel's own reading of CPUID and XGETBV: a word among its flags.
static bool cpuinfo_has(const char *flag) {
    wb_file file;
    assert_int_equal(wb_file_read(&file, "/proc/cpuinfo", (size_t)16 << 20, NULL), WB_OK);
    const char *line = strstr((const char *)file.data, "\nflags");
    if (!line) line = strstr((const char *)file.data, "\nFeatures");  // on Arm
    bool is_found = false;
    for (const char *word = line ? strchr(line, ':') : NULL; word && *word != '\n';) {
        word++;
        const size_t length = strcspn(word, " \n");
        is_found |= length == strlen(flag) && memcmp(word, flag, length) == 0;
        word += length;
    }
    wb_file_close(&file);
    return is_found;
}

// Whether this process was let use the matrix unit's tiles, which detecting has asked for.
static bool has_tile_permission(void) {
#if defined(__x86_64__)
    unsigned long long permitted = 0;
    const long get_permission = 0x1022;
    return syscall(SYS_arch_prctl, get_permission, &permitted) == 0 && (permitted & 1ull << 18);
#else
    return false;
#endif
}

static void test_flags_agree_with_the_kernel(void **state) {
    (void)state;
    wb_cpu cpu;
    wb_cpu_detect(&cpu);
    const bool has_avx2 = cpuinfo_has("avx2") && cpuinfo_has("fma") && cpuinfo_has("f16c");
    const bool has_avx512 = has_avx2 && cpuinfo_has("avx512f") && cpuinfo_has("avx512bw") &&
                            cpuinfo_has("avx512cd") && cpuinfo_has("avx512dq") &&
                            cpuinfo_has("avx512vl");
    assert_int_equal((cpu.flags & WB_CPU_AVX2) != 0, has_avx2);
    assert_int_equal((cpu.flags & WB_CPU_AVX512) != 0, has_avx512);
    assert_int_equal((cpu.flags & WB_CPU_AVX512_VNNI) != 0,
                     has_avx512 && cpuinfo_has("avx512_vnni"));
    assert_int_equal((cpu.flags & WB_CPU_AVX512_BF16) != 0,
                     has_avx512 && cpuinfo_has("avx512_bf16"));
    assert_int_equal((cpu.flags & WB_CPU_AVX512_FP16) != 0,
                     has_avx512 && cpuinfo_has("avx512_fp16"));
    assert_int_equal((cpu.flags & WB_CPU_AVX_VNNI) != 0, has_avx2 && cpuinfo_has("avx_vnni"));
    const bool has_tiles = has_avx512 && cpuinfo_has("amx_tile") && has_tile_permission();
    assert_int_equal((cpu.flags & WB_CPU_AMX_INT8) != 0, has_tiles && cpuinfo_has("amx_int8"));
    assert_int_equal((cpu.flags & WB_CPU_AMX_BF16) != 0, has_tiles && cpuinfo_has("amx_bf16"));
    assert_int_equal((cpu.flags & WB_CPU_NEON) != 0, cpuinfo_has("asimd"));
    assert_int_equal((cpu.flags & WB_CPU_NEON_DOTPROD) != 0, cpuinfo_has("asimddp"));
    assert_int_equal((cpu.flags & WB_CPU_NEON_I8MM) != 0, cpuinfo_has("i8mm"));
    assert_int_equal((cpu.flags & WB_CPU_NEON_BF16) != 0,
                     cpuinfo_has("asimd") && cpuinfo_has("bf16"));
    assert_int_equal((cpu.flags & WB_CPU_NEON_FP16) != 0,
                     cpuinfo_has("fphp") && cpuinfo_has("asimdhp"));
}

static void test_limit(void **state) {
    (void)state;
    const uint32_t avx2 = WB_CPU_AVX2 | WB_CPU_AVX_VNNI;
    const uint32_t avx512 =
        avx2 | WB_CPU_AVX512 | WB_CPU_AVX512_VNNI | WB_CPU_AVX512_BF16 | WB_CPU_AVX512_FP16;
    const uint32_t all = avx512 | WB_CPU_AMX_INT8 | WB_CPU_AMX_BF16;
    assert_int_equal(wb_cpu_limit(all, NULL), all);
    assert_int_equal(wb_cpu_limit(all, ""), all);
    assert_int_equal(wb_cpu_limit(all, "avx1024"), all);
    assert_int_equal(wb_cpu_limit(all, "amx"), all);
    assert_int_equal(wb_cpu_limit(all, "avx512"), avx512);
    assert_int_equal(wb_cpu_limit(all, "avx2"), avx2);
    assert_int_equal(wb_cpu_limit(all, "scalar"), 0);
    assert_int_equal(wb_cpu_limit(0, "avx512"), 0);  // lowers, never raises
    const uint32_t neon = WB_CPU_NEON | WB_CPU_NEON_I8MM;
    assert_int_equal(wb_cpu_limit(neon, "neon"), neon);
    assert_int_equal(wb_cpu_limit(neon, "scalar"), 0);
    assert_int_equal(wb_cpu_limit(all, "neon"), 0);
}

static void test_affinity_mask_bounds_threads(void **state) {
    (void)state;
    size_t mask_bytes = 0;
    cpu_set_t *mask = wb_topology_mask(&mask_bytes);
    assert_non_null(mask);
    int first = 0;
    while (!CPU_ISSET_S((size_t)first, mask_bytes, mask)) first++;
    wb_cpu all, one;
    wb_cpu_detect(&all);
    assert_int_equal(all.n_threads, CPU_COUNT_S(mask_bytes, mask));

    cpu_set_t *bound = wb_alloc_zeroed(mask_bytes);
    assert_non_null(bound);
    CPU_SET_S((size_t)first, mask_bytes, bound);
    assert_int_equal(sched_setaffinity(0, mask_bytes, bound), 0);
    wb_cpu_detect(&one);
    assert_int_equal(sched_setaffinity(0, mask_bytes, mask), 0);
    assert_int_equal(one.n_threads, 1);
    assert_int_equal(one.n_cores, 1);
    assert_int_equal(one.n_cpus, 1);
    assert_int_equal(one.cpus[0], first);
    assert_int_equal(all.n_cpus, all.n_threads);
    assert_int_equal(one.l2_bytes, all.l2_bytes);
    wb_free(bound);
    wb_free(mask);
}

static void expect_order(const wb_cpu *cpu, const int *expected, int n) {
    assert_int_equal(cpu->n_cpus, n);
    for (int i = 0; i < n; i++) assert_int_equal(cpu->cpus[i], expected[i]);
}

// The order of threads on a machine that is only described; mask "": all of it.
static wb_cpu order_of(const char *machine, const char *mask_list) {
    hwloc_topology_t topology;
    wb_cpu cpu = {.n_cpus = 77};
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, machine), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    hwloc_bitmap_t mask = hwloc_bitmap_dup(hwloc_topology_get_topology_cpuset(topology));
    if (mask_list[0]) hwloc_bitmap_list_sscanf(mask, mask_list);
    wb_topology_order(&cpu, topology, mask);
    hwloc_bitmap_free(mask);
    hwloc_topology_destroy(topology);
    return cpu;
}

// One thread of each core first, a package and a cache full before the next.
static void test_order_of_threads(void **state) {
    (void)state;
    wb_cpu cpu = order_of("package:2 l3cache:2 core:2 pu:2", "");
    expect_order(&cpu, (const int[]){0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15}, 16);
    cpu = order_of("package:2 l3cache:2 core:2 pu:2", "3,6-9");
    expect_order(&cpu, (const int[]){3, 6, 8, 7, 9}, 5);
    // Packages, then siblings, take turns in the system's numbers, as on many servers.
    cpu = order_of("package:2 core:2 pu:2(indexes=0,4,2,6,1,5,3,7)", "");
    expect_order(&cpu, (const int[]){0, 2, 1, 3, 4, 6, 5, 7}, 8);
    cpu = order_of("package:1 pu:3", "");
    expect_order(&cpu, (const int[]){0, 1, 2}, 3);
}

static void test_sysfs_agrees_with_hwloc(void **state) {
    (void)state;
    // Some sandboxes show no topology in sysfs: there, hwloc asks CPUID.
    if (!wb_file_exists("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list") ||
        !wb_file_exists("/sys/devices/system/cpu/cpu0/cache/index0/size"))
        skip();
    wb_cpu hwloc = {0}, sysfs = {0};
    if (!wb_topology_from_hwloc(&hwloc)) skip();
    size_t mask_bytes = 0;
    cpu_set_t *mask = wb_topology_mask(&mask_bytes);
    assert_non_null(mask);
    wb_topology_from_sysfs(&sysfs, "", mask, mask_bytes);
    wb_free(mask);
    assert_int_equal(sysfs.n_threads, hwloc.n_threads);
    assert_int_equal(sysfs.n_cores, hwloc.n_cores);
    expect_order(&sysfs, hwloc.cpus, hwloc.n_cpus);
    assert_int_equal(sysfs.l1d_bytes, hwloc.l1d_bytes);
    assert_int_equal(sysfs.l2_bytes, hwloc.l2_bytes);
    assert_int_equal(sysfs.l3_bytes, hwloc.l3_bytes);
}

// ---- Machines built in a folder ----

static char root[] = "/tmp/wattbert-test-XXXXXX";

static void write_value(int cpu, const char *name, const char *value) {
    char path[512];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, name);
    for (char *c = path + strlen(root) + 1; *c; c++)
        if (*c == '/') {
            *c = 0;
            mkdir(path, 0700);
            *c = '/';
        }
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "%s\n", value);
    assert_int_equal(fclose(out), 0);
}

static void write_cache(int cpu, int index, const char *level, const char *type, const char *size) {
    char name[64];
    snprintf(name, sizeof name, "cache/index%d/level", index);
    write_value(cpu, name, level);
    snprintf(name, sizeof name, "cache/index%d/type", index);
    write_value(cpu, name, type);
    snprintf(name, sizeof name, "cache/index%d/size", index);
    write_value(cpu, name, size);
}

static wb_cpu read_machine(const int *cpus, int n_cpus) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    for (int i = 0; i < n_cpus; i++) CPU_SET((size_t)cpus[i], &mask);
    wb_cpu cpu = {.flags = WB_CPU_AVX2};
    wb_topology_from_sysfs(&cpu, root, &mask, sizeof mask);
    assert_int_equal(cpu.flags, WB_CPU_AVX2);
    return cpu;
}

static void test_siblings_share_a_core(void **state) {
    (void)state;
    static const char *const siblings[] = {"0,4", "1,5", "2,6", "3,7"};
    for (int i = 0; i < 8; i++) write_value(i, "topology/thread_siblings_list", siblings[i % 4]);
    write_cache(4, 0, "1", "Data", "48K");
    write_cache(4, 1, "1", "Instruction", "32K");
    write_cache(4, 2, "2", "Unified", "2048K");
    write_cache(4, 3, "3", "Unified", "33792K");

    const wb_cpu three = read_machine((const int[]){4, 5, 1}, 3);  // 4 alone, 1 and 5 together
    assert_int_equal(three.n_threads, 3);
    assert_int_equal(three.n_cores, 2);
    expect_order(&three, (const int[]){1, 4, 5}, 3);
    assert_int_equal(three.l1d_bytes, 0);  // cpu1, the first, has no cache files
    const wb_cpu upper = read_machine((const int[]){4, 5, 6, 7}, 4);
    assert_int_equal(upper.n_cores, 4);
    assert_int_equal(upper.l1d_bytes, 48 << 10);
    assert_int_equal(upper.l2_bytes, 2048 << 10);
    assert_int_equal(upper.l3_bytes, 33792 << 10);
}

static void test_nothing_known(void **state) {
    (void)state;
    write_value(20, "topology/thread_siblings_list", "nonsense");
    write_value(21, "topology/thread_siblings_list", "99999999999999999999");
    write_cache(20, 0, "9", "Unified", "1K");
    write_cache(20, 1, "2", "Unified", "-5K");
    const wb_cpu cpu = read_machine((const int[]){20, 21, 22}, 3);
    assert_int_equal(cpu.n_threads, 3);
    assert_int_equal(cpu.n_cores, 3);
    expect_order(&cpu, (const int[]){20, 21, 22}, 3);
    assert_int_equal(cpu.l1d_bytes + cpu.l2_bytes + cpu.l3_bytes, 0);
}

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect_fills_everything),
        cmocka_unit_test(test_flags_agree_with_the_kernel),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_affinity_mask_bounds_threads),
        cmocka_unit_test(test_order_of_threads),
        cmocka_unit_test(test_sysfs_agrees_with_hwloc),
        cmocka_unit_test(test_siblings_share_a_core),
        cmocka_unit_test(test_nothing_known),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
