// SPDX-License-Identifier: Apache-2.0
// Eight neighbours of a row at a time: 16 bytes of f16, two accesses of f32. Kernels compute in
// f32 and meet the cell types only here.
#ifndef WB_CUDA_CELL_CUH
#define WB_CUDA_CELL_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

// The contract is C's, which calls these functions.
extern "C" {
#include "cuda/launch.h"
}

// Every kernel here is launched while the one before it in the stream still runs, lets the one
// after it be launched at once, and waits for its predecessor's results before it touches anything
// but weights: launching then costs next to nothing, and single texts are made of launches.
__device__ inline void let_successor_launch() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ inline void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

template <typename... Args>
int launch_after(void (*kernel)(Args...), unsigned n_blocks, unsigned n_threads,
                 size_t shared_bytes, cudaStream_t stream, Args... args) {
    cudaLaunchAttribute early;
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(n_blocks);
    config.blockDim = dim3(n_threads);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = &early;
    int device = 0, major = 0;
    cudaError_t code = cudaGetDevice(&device);
    if (!code) code = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    if (code) return code;
    config.numAttrs = major >= 9 ? 1 : 0;  // Ampere waits as it always did
    return cudaLaunchKernelEx(&config, kernel, args...);
}

// Whether this pass of the compiler is for 9.0 with all that only it has: products of warpgroups.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr bool HAS_WARPGROUPS = true;
#else
constexpr bool HAS_WARPGROUPS = false;
#endif

struct alignas(16) half8 {
    __half2 v[4];
};
struct alignas(16) bf16x8 {
    __nv_bfloat162 v[4];
};

__device__ inline void load8(float x[8], const float *p) {
    const float4 a = ((const float4 *)p)[0], b = ((const float4 *)p)[1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

__device__ inline void load8(float x[8], const int32_t *p) {
    const int4 a = ((const int4 *)p)[0], b = ((const int4 *)p)[1];
    x[0] = (float)a.x, x[1] = (float)a.y, x[2] = (float)a.z, x[3] = (float)a.w;
    x[4] = (float)b.x, x[5] = (float)b.y, x[6] = (float)b.z, x[7] = (float)b.w;
}

__device__ inline void load8(float x[8], const __half *p) {
    const half8 a = *(const half8 *)p;
    for (int i = 0; i < 4; i++) {
        const float2 f = __half22float2(a.v[i]);
        x[2 * i] = f.x, x[2 * i + 1] = f.y;
    }
}

__device__ inline void load8(float x[8], const __nv_bfloat16 *p) {
    const bf16x8 a = *(const bf16x8 *)p;
    for (int i = 0; i < 4; i++) {
        const float2 f = __bfloat1622float2(a.v[i]);
        x[2 * i] = f.x, x[2 * i + 1] = f.y;
    }
}

__device__ inline void store8(float *p, const float x[8]) {
    ((float4 *)p)[0] = make_float4(x[0], x[1], x[2], x[3]);
    ((float4 *)p)[1] = make_float4(x[4], x[5], x[6], x[7]);
}

__device__ inline void store8(__half *p, const float x[8]) {
    half8 a;
    for (int i = 0; i < 4; i++) a.v[i] = __floats2half2_rn(x[2 * i], x[2 * i + 1]);
    *(half8 *)p = a;
}

__device__ inline void store8(__nv_bfloat16 *p, const float x[8]) {
    bf16x8 a;
    for (int i = 0; i < 4; i++) a.v[i] = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
    *(bf16x8 *)p = a;
}

__device__ inline float load1(const float *p) {
    return *p;
}
__device__ inline float load1(const __half *p) {
    return __half2float(*p);
}
__device__ inline float load1(const __nv_bfloat16 *p) {
    return __bfloat162float(*p);
}
__device__ inline void store1(float *p, float x) {
    *p = x;
}
__device__ inline void store1(__half *p, float x) {
    *p = __float2half_rn(x);
}
__device__ inline void store1(__nv_bfloat16 *p, float x) {
    *p = __float2bfloat16_rn(x);
}

// The largest magnitude a quantized cell holds.
__device__ inline float most_of(wb_cell cell) {
    return cell == WB_CELL_FP8 ? 448.0f : 127.0f;
}

// p[8] <- e4m3, saturated.
__device__ inline void store8_fp8(void *p, const float x[8]) {
    uint2 packed;
    __nv_fp8x2_storage_t pairs[4];
    for (int i = 0; i < 4; i++)
        pairs[i] = __nv_cvt_float2_to_fp8x2(make_float2(x[2 * i], x[2 * i + 1]), __NV_SATFINITE,
                                            __NV_E4M3);
    packed.x = pairs[0] | (uint32_t)pairs[1] << 16;
    packed.y = pairs[2] | (uint32_t)pairs[3] << 16;
    *(uint2 *)p = packed;
}

// p[8] <- round to even, in [-127, 127].
__device__ inline void store8_i8(void *p, const float x[8]) {
    uint32_t words[2] = {0, 0};
    for (int i = 0; i < 8; i++) {
        const int q = __float2int_rn(fminf(fmaxf(x[i], -127.0f), 127.0f));
        words[i / 4] |= (uint32_t)(q & 0xff) << (8 * (i % 4));
    }
    *(uint2 *)p = make_uint2(words[0], words[1]);
}

// Columns [column, column + 8) of a row as narrow says; multiplier is the row's or the static one.
__device__ inline void store_narrow8(const wb_narrow &narrow, int row, int column, const float x[8],
                                     float multiplier) {
    const size_t at = (size_t)row * narrow.ld + column;
    if (narrow.cell == WB_CELL_F16) return store8((__half *)narrow.rows + at, x);
    if (narrow.cell == WB_CELL_F32) return store8((float *)narrow.rows + at, x);
    if (narrow.cell == WB_CELL_BF16) return store8((__nv_bfloat16 *)narrow.rows + at, x);
    float y[8];
    if (narrow.column_multiplier && !narrow.row_scale) {
        load8(y, narrow.column_multiplier + column);
        for (int i = 0; i < 8; i++) y[i] *= x[i];
    } else {
        for (int i = 0; i < 8; i++) y[i] = x[i] * multiplier;
    }
    if (narrow.cell == WB_CELL_FP8)
        store8_fp8((uint8_t *)narrow.rows + at, y);
    else
        store8_i8((uint8_t *)narrow.rows + at, y);
}

// One cell of a row, not quantized or by a static multiplier.
__device__ inline void store_cell(const wb_narrow &narrow, size_t row, int column, float x) {
    const size_t at = row * narrow.ld + column;
    const float multiplier =
        narrow.column_multiplier ? narrow.column_multiplier[column] : narrow.multiplier;
    switch (narrow.cell) {
        case WB_CELL_F32: ((float *)narrow.rows)[at] = x; break;
        case WB_CELL_F16: ((__half *)narrow.rows)[at] = __float2half_rn(x); break;
        case WB_CELL_BF16: ((__nv_bfloat16 *)narrow.rows)[at] = __float2bfloat16_rn(x); break;
        case WB_CELL_FP8:
            ((__nv_fp8_storage_t *)narrow.rows)[at] =
                __nv_cvt_float_to_fp8(x * multiplier, __NV_SATFINITE, __NV_E4M3);
            break;
        default:
            ((int8_t *)narrow.rows)[at] =
                (int8_t)__float2int_rn(fminf(fmaxf(x * multiplier, -127.0f), 127.0f));
    }
}

// The queries of an item: rows [row, row + n) of query and context.
struct query_rows {
    int row, n;
};

__device__ inline query_rows queries_of(const wb_attention_args &args, const wb_item &item) {
    if (args.is_first_only) return {item.text, item.first_query == 0 ? 1 : 0};
    return {item.first_row + item.first_query, min(64, item.n_rows - item.first_query)};
}

// To pinned memory that the host watches meanwhile.
__device__ inline void store_for_host(float *p, float x) {
    asm volatile("st.relaxed.sys.global.f32 [%0], %1;" ::"l"(p), "f"(x) : "memory");
}

__device__ inline float warp_sum(float x) {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
    return x;
}

__device__ inline float warp_max(float x) {
    for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
    return x;
}

// Under this a row counts as zeros, as on the CPU: its scale is 0.
#define WB_LEAST_ABSMAX 0x1p-100f

#endif
