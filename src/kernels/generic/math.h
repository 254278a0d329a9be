// SPDX-License-Identifier: Apache-2.0
// exp and the activations over 16 lanes, the same operations in the same order on every
// set. Written over lanes.h, which a set's file includes first.
//
// The coefficients are least-maximum fits in double, rounded to float (Lawson's iteration on
// 4000 Chebyshev nodes); the errors are those of the float code, over every argument that
// checkkernels -f exp, -f gelu tries.
#ifndef WB_KERNELS_MATH_H
#define WB_KERNELS_MATH_H

// e^x for x <= 88.7; 0 below -87.33, where floats end (denormals are not made). Relative error at
// most 7.6e-8 (0.64 ULP). n = round(x / ln 2) by adding 1.5 * 2^23, which leaves n in the low
// bits; e^r on |r| <= ln 2 / 2 of degree 6; n is added to the exponent.
KERNEL_INLINE lanes lanes_exp(lanes x) {
    const lanes shift = lanes_all(0x1.8p23f);
    const lanes t = lanes_fma(x, lanes_all(0x1.715476p+0f), shift);
    const lanes n = lanes_sub(t, shift);
    lanes r = lanes_fma(n, lanes_all(-0x1.62e4p-1f), x);  // ln 2 in two parts: the first times
    r = lanes_fma(n, lanes_all(-0x1.7f7d1cp-20f), r);     // n is exact

    lanes p = lanes_all(0x1.6a2352p-10f);
    p = lanes_fma(p, r, lanes_all(0x1.123a6cp-7f));
    p = lanes_fma(p, r, lanes_all(0x1.5558f4p-5f));
    p = lanes_fma(p, r, lanes_all(0x1.555490p-3f));
    p = lanes_fma(p, r, lanes_all(0x1.fffffcp-2f));
    p = lanes_fma(p, r, lanes_all(1.0f));
    p = lanes_fma(p, r, lanes_all(1.0f));
    return lanes_zero_where_less(x, lanes_all(-87.33f), lanes_add_exponent(p, t));
}

// x/2 (1 + erf(x / sqrt 2)) = x/2 + x E(x), E being the odd rational x P(x^2) / Q(x^2)
// of degrees 11 and 10 that fits erf(x / sqrt 2) / 2 on |x| <= 5.5 to 7e-9. Beyond, E is its value
// at 5.5: exactly 1/2, and the error there, 5.5 Phi(-5.5) = 1e-7, vanishes for larger |x|. Error at
// most 2.1e-7 |x| (every float from 0.5 to 12). A quotient needs 20 operations; erf in two ranges
// with an exp needs 35, and GELU is a tenth of an int8 product's time at k = 768.
KERNEL_INLINE lanes lanes_gelu(lanes x) {
    const lanes c = lanes_min(lanes_all(5.5f), lanes_max(lanes_all(-5.5f), x));
    const lanes t = lanes_mul(c, c);

    lanes p = lanes_all(0x1.86d4a4p-26f);
    p = lanes_fma(p, t, lanes_all(0x1.aa48ccp-18f));
    p = lanes_fma(p, t, lanes_all(0x1.620e52p-13f));
    p = lanes_fma(p, t, lanes_all(0x1.32878ep-8f));
    p = lanes_fma(p, t, lanes_all(0x1.15526ap-5f));
    p = lanes_fma(p, t, lanes_all(0x1.988450p-2f));

    lanes q = lanes_all(0x1.4173dcp-20f);
    q = lanes_fma(q, t, lanes_all(0x1.34e6e6p-14f));
    q = lanes_fma(q, t, lanes_all(0x1.edff76p-10f));
    q = lanes_fma(q, t, lanes_all(0x1.d555cep-6f));
    q = lanes_fma(q, t, lanes_all(0x1.018f0cp-2f));
    q = lanes_fma(q, t, lanes_all(1.0f));

    const lanes e = lanes_div(lanes_mul(c, p), q);
    return lanes_fma(x, e, lanes_mul(x, lanes_all(0.5f)));
}

// x / (1 + e^-x); 0 below -88, where it is under 1e-36.
KERNEL_INLINE lanes lanes_silu(lanes x) {
    const lanes lowest = lanes_all(-88.0f);
    const lanes e = lanes_exp(lanes_sub(lanes_all(0.0f), lanes_max(lowest, x)));
    return lanes_zero_where_less(x, lowest, lanes_div(x, lanes_add(lanes_all(1.0f), e)));
}

KERNEL_INLINE lanes lanes_relu(lanes x) {
    return lanes_max(lanes_all(0.0f), x);
}

#endif
