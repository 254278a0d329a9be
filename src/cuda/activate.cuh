// SPDX-License-Identifier: Apache-2.0
// Activation functions in f32.
#ifndef WB_CUDA_ACTIVATE_CUH
#define WB_CUDA_ACTIVATE_CUH

#include "cuda/cell.cuh"

// erf to 1.5e-7 (Abramowitz and Stegun 7.1.26), about half the instructions of erff, which sits a
// few ulp closer; what is multiplied by x / 2 and rounded does not show it.
__device__ inline float erf_short(float x) {
    const float size = fabsf(x), t = __fdividef(1.0f, fmaf(0.3275911f, size, 1.0f));
    float sum = fmaf(t, 1.061405429f, -1.453152027f);
    sum = fmaf(t, sum, 1.421413741f);
    sum = fmaf(t, sum, -0.284496736f);
    sum = fmaf(t, sum, 0.254829592f);
    return copysignf(1.0f - t * sum * __expf(-size * size), x);
}

// In the erf form, as DistilBERT has it.
__device__ inline float gelu(float x) {
    return 0.5f * x * (1.0f + erf_short(x * 0.70710678f));
}

// The same to 3e-6, for what is rounded to 16 bits: the odds of a standard normal below x are
// nearly 2^(x q(x^2)), q fitted to the least largest error of the product; fewer instructions.
__device__ inline float gelu_short(float x) {
    const float square = x * x;
    float q = fmaf(square, 3.21037915e-6f, -8.79097972e-5f), odds, inverse;
    q = fmaf(square, q, -3.62047562e-4f);
    q = fmaf(square, q, 1.05229976e-1f);
    q = fmaf(square, q, 2.30204378f);
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(odds) : "f"(-x * q));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(1.0f + odds));
    return x * inverse;
}

__device__ inline float activate(float x, wb_activation activation) {
    switch (activation) {
        case WB_GELU: return gelu(x);
        case WB_RELU: return fmaxf(x, 0.0f);
        case WB_SILU: return x / (1.0f + __expf(-x));
        default: return x;
    }
}

// Of what is rounded to 16 bits.
__device__ inline float4 activate4(const float4 &x, wb_activation activation) {
    if (activation == WB_GELU)
        return make_float4(gelu_short(x.x), gelu_short(x.y), gelu_short(x.z), gelu_short(x.w));
    return make_float4(activate(x.x, activation), activate(x.y, activation),
                       activate(x.z, activation), activate(x.w, activation));
}

#endif
