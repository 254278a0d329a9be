// SPDX-License-Identifier: Apache-2.0
// Data, arrays on the GPU, cells on the host, comparison and reports.
#include "gpucheck.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"

enum { GUARD_BYTES = 1024, POISON = 0xff };

int check_below(check *c, int bound) {
    return (int)wb_random_below(&c->random, (uint64_t)bound);
}

float check_uniform(check *c, float low, float high) {
    return low + (high - low) * (float)wb_random_unit(&c->random);
}

int check_rounds(const check *c, int n) {
    const int rounds = n * c->rounds / 100;
    return rounds < 1 ? 1 : rounds;
}

void check_gpu(unsigned code, const char *what) {
    if (code == cudaSuccess) return;
    printf("FAILED: %s: %s\n", what, cudaGetErrorString((cudaError_t)code));
    exit(1);
}

void check_ok(wb_status status, const wb_error *err) {
    if (status == WB_OK) return;
    printf("FAILED: %s\n", err->message);
    exit(1);
}

void check_begin(check *c, const char *format, ...) {
    for (int i = 0; i < c->n_arrays; i++) check_gpu(cudaFree(c->arrays[i].base), "freeing");
    c->n_arrays = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->shape, sizeof c->shape, format, arguments);
    va_end(arguments);
}

void check_fail(check *c, const char *format, ...) {
    if (c->has_failed) return;  // one report a kernel
    c->has_failed = true;
    c->n_failures++;
    printf("FAILED %s: %s: ", c->kernel, c->shape);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n    repeat: checkcuda --seed %llu -f %s\n", (unsigned long long)c->seed, c->kernel);
}

// ---- Arrays ----

void *check_poisoned(check *c, size_t n_bytes) {
    if (c->n_arrays == MOST_ARRAYS) check_gpu(1, "too many arrays in a round");
    gpu_array *a = &c->arrays[c->n_arrays++];
    void *base = NULL;
    check_gpu(cudaMalloc(&base, n_bytes + 2 * GUARD_BYTES), "GPU memory");
    check_gpu(cudaMemset(base, POISON, n_bytes + 2 * GUARD_BYTES), "poisoning");
    check_gpu(cudaDeviceSynchronize(), "poisoning");
    *a = (gpu_array){.base = base, .n_bytes = n_bytes};
    return a->base + GUARD_BYTES;
}

void *check_upload(check *c, const void *bytes, size_t n_bytes) {
    void *there = check_poisoned(c, n_bytes);
    check_gpu(cudaMemcpy(there, bytes, n_bytes, cudaMemcpyHostToDevice), "copying there");
    check_gpu(cudaDeviceSynchronize(), "copying there");
    return there;
}

void *check_random(check *c, float *values, size_t n, wb_cell cell, float range) {
    uint8_t *cells = new_array(n, wb_cell_bytes(cell));
    for (size_t i = 0; i < n; i++) {
        cell_store(cell, cells, i, check_uniform(c, -range, range));
        values[i] = cell_value(cell, cells, i);
    }
    void *there = check_upload(c, cells, n * wb_cell_bytes(cell));
    wb_free(cells);
    return there;
}

static void check_guards(check *c) {
    uint8_t guard[GUARD_BYTES];
    for (int i = 0; i < c->n_arrays; i++) {
        const gpu_array *a = &c->arrays[i];
        for (int side = 0; side < 2; side++) {
            const uint8_t *at = a->base + (side ? GUARD_BYTES + a->n_bytes : 0);
            check_gpu(cudaMemcpy(guard, at, GUARD_BYTES, cudaMemcpyDeviceToHost), "copying back");
            for (int k = 0; k < GUARD_BYTES; k++)
                if (guard[k] != POISON) {
                    check_fail(c, "array %d was written %d bytes %s it", i,
                               side ? k + 1 : GUARD_BYTES - k, side ? "behind" : "before");
                    break;
                }
        }
    }
}

void check_read(check *c, void *bytes, const void *there, size_t n_bytes) {
    check_gpu(cudaStreamSynchronize(c->stream), c->kernel);
    check_gpu(cudaGetLastError(), c->kernel);
    check_gpu(cudaMemcpy(bytes, there, n_bytes, cudaMemcpyDeviceToHost), "copying back");
    check_guards(c);
}

// ---- Cells ----

// e4m3: 4 bits of exponent, bias 7, 3 of mantissa; no infinity, all ones is NaN.
static float fp8_value(uint8_t bits) {
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    const float sign = bits & 0x80 ? -1.0f : 1.0f;
    if ((bits & 0x7f) == 0x7f) return NAN;
    if (exponent == 0) return sign * ldexpf((float)mantissa, -9);
    return sign * ldexpf((float)(8 + mantissa), exponent - 10);
}

// The nearest of all 127, by looking at each: an oracle has time.
static uint8_t fp8_bits(float x) {
    uint8_t best = 0;
    for (int bits = 0; bits < 0x7f; bits++) {
        const float now = fabsf(fp8_value((uint8_t)bits) - fabsf(x));
        const float then = fabsf(fp8_value(best) - fabsf(x));
        if (now < then || (now == then && bits % 2 == 0)) best = (uint8_t)bits;
    }
    return (uint8_t)(best | (x < 0.0f ? 0x80 : 0));
}

float cell_value(wb_cell cell, const void *cells, size_t i) {
    switch (cell) {
        case WB_CELL_F32: return ((const float *)cells)[i];
        case WB_CELL_F16: return wb_f16_to_f32(((const uint16_t *)cells)[i]);
        case WB_CELL_BF16: return wb_bf16_to_f32(((const uint16_t *)cells)[i]);
        case WB_CELL_FP8: return fp8_value(((const uint8_t *)cells)[i]);
        case WB_CELL_I8: return (float)((const int8_t *)cells)[i];
        default: return (float)((const int32_t *)cells)[i];
    }
}

void cell_store(wb_cell cell, void *cells, size_t i, float x) {
    switch (cell) {
        case WB_CELL_F32: ((float *)cells)[i] = x; break;
        case WB_CELL_F16: ((uint16_t *)cells)[i] = wb_f16_from_f32(x); break;
        case WB_CELL_BF16: ((uint16_t *)cells)[i] = wb_bf16_from_f32(x); break;
        case WB_CELL_FP8: ((uint8_t *)cells)[i] = fp8_bits(x); break;
        case WB_CELL_I8: ((int8_t *)cells)[i] = (int8_t)lrintf(x); break;
        default: ((int32_t *)cells)[i] = (int32_t)lrintf(x); break;
    }
}

double cell_epsilon(wb_cell cell) {
    return cell == WB_CELL_F32    ? 0x1p-24
           : cell == WB_CELL_F16  ? 0x1p-11
           : cell == WB_CELL_BF16 ? 0x1p-8
                                  : 0x1p-4;
}

const char *cell_name(wb_cell cell) {
    static const char *const names[] = {"f32", "f16", "bf16", "fp8", "i8", "i32"};
    return names[cell];
}

// ---- Comparing ----

bool check_near(check *c, size_t row, size_t column, double want, double got, double allowed) {
    c->n_compared++;
    const double error = fabs(got - want);
    if (error <= allowed) {
        if (allowed > 0.0 && error / allowed > c->worst) c->worst = error / allowed;
        return true;
    }
    check_fail(c, "[%zu, %zu] want %.9g, got %.9g, allowed %.3g", row, column, want, got, allowed);
    return false;
}

// Half a step of the cell at q, in units of q.
static double half_step(wb_cell cell, double q) {
    if (cell == WB_CELL_I8) return 0.5;
    const double size = fabs(q) < 0x1p-6 ? 0x1p-6 : fabs(q);
    return ldexp(1.0, (int)floor(log2(size)) - 4);
}

// One quantized row: want is what it stands for, multiplier what it was multiplied by.
static bool check_quantized(check *c, const wb_narrow *narrow, const uint8_t *cells, size_t row,
                            const double *want, int width, double slack, double multiplier,
                            const float *column_multiplier) {
    const double most = narrow->cell == WB_CELL_FP8 ? 448.0 : 127.0;
    for (int j = 0; j < width; j++) {
        const double by = column_multiplier ? (double)column_multiplier[j] : multiplier;
        const double q = fmax(-most, fmin(most, want[j] * by));
        const double got = (double)cell_value(narrow->cell, cells, (size_t)j);
        const double allowed = half_step(narrow->cell, q) * 1.01 + slack * by + 1e-5 * fabs(q);
        if (!check_near(c, row, (size_t)j, q, got, allowed)) return false;
    }
    return true;
}

bool check_narrow(check *c, const wb_narrow *narrow, const double *want, int m, int width,
                  double slack, const float *column_multiplier) {
    const size_t row_bytes = (size_t)narrow->ld * wb_cell_bytes(narrow->cell);
    uint8_t *cells = new_array((size_t)m, row_bytes);
    float *scales = new_array((size_t)m, sizeof *scales);
    check_read(c, cells, narrow->rows, (size_t)m * row_bytes);
    if (narrow->row_scale) check_read(c, scales, narrow->row_scale, (size_t)m * sizeof *scales);
    const bool is_quantized = narrow->cell == WB_CELL_FP8 || narrow->cell == WB_CELL_I8;
    const double most = narrow->cell == WB_CELL_FP8 ? 448.0 : 127.0;
    bool is_good = true;
    for (int i = 0; i < m && is_good; i++) {
        const double *row = want + (size_t)i * (size_t)width;
        const uint8_t *of_row = cells + (size_t)i * row_bytes;
        double absmax = 0.0;
        for (int j = 0; j < width; j++) absmax = fmax(absmax, fabs(row[j]));
        for (int j = 0; j < width && !is_quantized && is_good; j++)
            is_good = check_near(c, (size_t)i, (size_t)j, row[j],
                                 (double)cell_value(narrow->cell, of_row, (size_t)j),
                                 cell_epsilon(narrow->cell) * fabs(row[j]) * 1.01 + slack + 1e-7);
        if (!is_quantized || !is_good) continue;
        double multiplier = (double)narrow->multiplier;
        if (narrow->row_scale) {
            is_good = check_near(c, (size_t)i, 0, absmax / most, (double)scales[i],
                                 absmax / most * 1e-5 + slack / most);
            multiplier = scales[i] > 0.0f ? 1.0 / (double)scales[i] : 0.0;
        }
        is_good = is_good && check_quantized(c, narrow, of_row, (size_t)i, row, width, slack,
                                             multiplier, column_multiplier);
    }
    wb_free(cells);
    wb_free(scales);
    return is_good;
}
