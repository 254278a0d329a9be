// SPDX-License-Identifier: Apache-2.0
// The harness of checkkernels: seeded data, buffers between walls, comparison, and the report of
// a failure with the command that repeats it. A check is a function of one kernel that names no
// instruction set; its reference is an oracle in double precision (oracle.h).
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "kernels/kernels.h"

// One inaccessible page on either side of a buffer that touches one of them.
enum { MAX_BUFFERS = 24 };

typedef struct check_buffer {
    uint8_t *pages;         // readable and writable, between two walls
    size_t capacity;        // bytes, a multiple of the page
    uint8_t *data;          // what the check was given
    size_t n_bytes;         // of data
    size_t before, behind;  // bytes of the pattern around data
} check_buffer;

typedef struct check {
    const char *isa;
    const wb_kernels *now;     // the set being checked
    const wb_kernels *scalar;  // whose bits f32 results must have
    const wb_kernels *twin;    // whose bits bf16 results must have; NULL: nobody's
    wb_random random;
    uint64_t seed;
    int rounds;      // percent of each check's own number of rounds
    bool is_scalar;  // now is the scalar set itself

    const char *kernel;  // being checked
    char shape[160];     // of this round, for the report
    bool has_failed;     // this kernel
    int n_failures;

    check_buffer buffers[MAX_BUFFERS];
    int n_buffers;
} check;

// ---- Data ----

typedef enum check_data {
    DATA_UNIFORM,      // [-1, 1)
    DATA_MIXED,        // signs and exponents of 2^-20 .. 2^20
    DATA_EQUAL,        // one number
    DATA_ALTERNATING,  // x, -x, ...
    DATA_ZERO,
    DATA_DENORMAL,
    DATA_HUGE,  // 2^40 .. 2^50: squares and their sums stay finite
    N_DATA,
} check_data;

// Uniform data mostly, so that most rounds look like a model's.
check_data check_draw_data(check *c);
const char *check_data_name(check_data data);
// Whether roundings are independent enough to add up like a random walk.
bool check_is_random(check_data data);
void check_fill(check *c, float *x, size_t n, check_data data);
int check_below(check *c, int bound);     // 0 .. bound - 1
int check_dimension(check *c, int most);  // 1, most, 2^i and 2^i +- 1, or uniform
float check_uniform(check *c, float low, float high);

// ---- Buffers, until the next check_begin_round ----

// n_bytes with this alignment, touching an inaccessible page at its end or, every third time, at
// its start; filled with a pattern that is NaN as f32 and as f64.
void *check_bytes(check *c, size_t n_bytes, size_t alignment);
float *check_floats(check *c, size_t n);
// check_floats filled with data.
float *check_random_floats(check *c, size_t n, check_data data);

// ---- A round ----

// Frees the round's buffers and describes the next one.
void check_begin_round(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Number of rounds for a check that asks for n.
int check_rounds(const check *c, int n);

// Whether the bytes around every buffer still hold the pattern. Fails the kernel if not.
bool check_guards(check *c);
// Whether the columns [n, ld) of y's m rows still hold it.
bool check_gaps(check *c, const void *y, size_t element_bytes, int m, int n, int ld);

// |got - want| <= allowed, or both the same infinity or NaN. index is printed with the failure.
bool check_near(check *c, size_t index, double want, float got, double allowed);
// The same bits of m x n cells; -0 equals 0.
bool check_same(check *c, const char *than, const float *want, int ld_want, const float *got,
                int ld_got, int m, int n);
// y[m, n] is x[m, n] rounded to bf16 or f16, and nothing else was written.
bool check_rounded(check *c, const uint16_t *y, int ld_y, const float *x, int ld_x, int m, int n,
                   bool is_bf16);
bool check_integer(check *c, size_t index, long long want, long long got);
void check_fail(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- The checks; each names the slots it covers in the table of main.c ----

void check_pack_f32(check *c);
void check_pack_bf16(check *c);
void check_pack_f16(check *c);
void check_pack_i8(check *c);
void check_cast_panels(check *c);
void check_gemm_f32(check *c);
void check_gemm_bf16(check *c);
void check_gemm_f16(check *c);
void check_gemm_i8(check *c);
void check_activation(check *c);

void check_quantize_i8(check *c);
void check_quantize_i8_static(check *c);
void check_cast_bf16(check *c);
void check_cast_f16(check *c);
void check_add_norm(check *c);
void check_softmax(check *c);

void check_attention_flash(check *c);
void check_attention_scores(check *c);
void check_attention_context(check *c);

// ---- digest.c ----

// Whether every set (isa: this one) computes the bits whose digests the file at path has, one line
// "kernel digest" each; prints the digests that differ or are missing. A process's exit code.
int digest_run(const char *path, const char *isa, uint32_t cpu_flags);

// ---- bench.c ----

typedef struct bench_options {
    const char *pattern;  // NULL: all
    const char *isa;      // NULL: all this machine has
    bool is_csv;
    bool is_cold;  // weights from memory at each call
    int repeat;
} bench_options;

int bench_run(const bench_options *options, uint32_t cpu_flags);

#endif
