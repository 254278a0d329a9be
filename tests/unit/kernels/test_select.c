// SPDX-License-Identifier: Apache-2.0
// The ladder: which rung fills a slot for which flags, also those of CPUs that are not this one;
// nothing is run. Flags without what they stand on change nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/cpu.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
enum {
    AVX512 = WB_CPU_AVX2 | WB_CPU_AVX512,
    AMX = WB_CPU_AMX_INT8 | WB_CPU_AMX_BF16,
};

static const struct rung {
    uint32_t flags;
    const char *isa, *gemm_bf16, *gemm_i8;
    bool has_bf16;
} rungs[] = {
    {0, "scalar", "gemm_bf16_scalar", "gemm_i8_scalar", false},
    {AMX | WB_CPU_AVX_VNNI, "scalar", "gemm_bf16_scalar", "gemm_i8_scalar", false},
    {WB_CPU_AVX2 | AMX, "avx2", "gemm_bf16_avx2", "gemm_i8_avx2", false},
    {WB_CPU_AVX2 | WB_CPU_AVX_VNNI, "avx2", "gemm_bf16_avx2", "gemm_i8_avx2_vnni", false},
    {AVX512 | WB_CPU_AVX_VNNI, "avx512", "gemm_bf16_avx512", "gemm_i8_avx512", false},
    {AVX512 | WB_CPU_AMX_INT8, "avx512", "gemm_bf16_avx512", "gemm_i8_avx512", false},
    {AVX512 | WB_CPU_AVX512_VNNI | WB_CPU_AMX_INT8, "amx", "gemm_bf16_avx512", "gemm_i8_amx_int8",
     false},
    {AVX512 | AMX, "amx", "gemm_bf16_amx_bf16", "gemm_i8_avx512", true},
    {AVX512 | WB_CPU_AVX512_VNNI | WB_CPU_AVX512_BF16, "avx512", "gemm_bf16_avx512_bf16",
     "gemm_i8_avx512_vnni", true},
    {AVX512 | WB_CPU_AVX512_VNNI | WB_CPU_AVX512_BF16 | AMX, "amx", "gemm_bf16_amx_bf16",
     "gemm_i8_amx_int8", true},
};
enum { N_RUNGS = sizeof rungs / sizeof rungs[0] };

// Even what fills a table is compiled with its set's instructions.
static bool can_fill(uint32_t flags) {
    return (!(flags & WB_CPU_AVX2) || __builtin_cpu_supports("avx2")) &&
           (!(flags & WB_CPU_AVX512) || __builtin_cpu_supports("avx512vl"));
}

static void test_rungs(void **state) {
    (void)state;
    for (int i = 0; i < N_RUNGS; i++) {
        wb_kernels kernels;
        if (!can_fill(rungs[i].flags)) continue;
        wb_kernels_select(&kernels, rungs[i].flags);
        assert_string_equal(kernels.isa, rungs[i].isa);
        assert_string_equal(kernels.gemm_bf16_name, rungs[i].gemm_bf16);
        assert_string_equal(kernels.gemm_i8_name, rungs[i].gemm_i8);
        assert_int_equal(kernels.has_bf16, rungs[i].has_bf16);
        assert_int_equal(kernels.cpu_flags, rungs[i].flags);
    }
}

// Rungs above AVX-512 have panels as wide; two pack bf16 and int8 anew.
static void test_panels_stay(void **state) {
    (void)state;
    wb_kernels avx512, all;
    if (!can_fill(AVX512)) skip();
    wb_kernels_select(&avx512, AVX512);
    wb_kernels_select(&all, UINT32_MAX);
    assert_int_equal(all.tile_n, avx512.tile_n);
    assert_ptr_not_equal(all.pack_bf16, avx512.pack_bf16);
    assert_ptr_not_equal(all.panel_bytes_bf16, avx512.panel_bytes_bf16);
    assert_ptr_not_equal(all.cast_panels_bf16, avx512.cast_panels_bf16);
    assert_ptr_not_equal(all.pack_i8, avx512.pack_i8);
    assert_ptr_equal(all.pack_f32, avx512.pack_f32);
    assert_ptr_equal(all.pack_f16, avx512.pack_f16);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rungs),
                                       cmocka_unit_test(test_panels_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) {
    return 0;
}
#endif
