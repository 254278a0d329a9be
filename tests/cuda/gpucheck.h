// SPDX-License-Identifier: Apache-2.0
// The harness of checkcuda: seeded data, arrays on the GPU between guards, comparison with an
// oracle in double precision, and the report of a failure with the command that repeats it.
#ifndef GPUCHECK_H
#define GPUCHECK_H

#include "cuda/launch.h"
#include "cuda/product.h"

enum { MOST_ARRAYS = 32 };

typedef struct gpu_array {
    uint8_t *base;  // on the GPU, guards included
    size_t n_bytes;
} gpu_array;

typedef struct check {
    wb_random random;
    uint64_t seed;
    int rounds;  // percent of each check's own number
    const char *kernel;
    char shape[200];  // of this round, for the report
    bool has_failed;  // this kernel
    int n_failures, n_compared;
    double worst;  // of this kernel: the largest error as a share of what is allowed
    wb_stream stream;
    wb_cuda_device device;
    int n_multiprocessors;
    wb_products *products;
    gpu_array arrays[MOST_ARRAYS];
    int n_arrays;
} check;

int check_below(check *c, int bound);  // 0 .. bound - 1
float check_uniform(check *c, float low, float high);
int check_rounds(const check *c, int n);
// Ends the program where the GPU itself fails: nothing after that can be trusted.
void check_gpu(unsigned code, const char *what);
void check_ok(wb_status status, const wb_error *err);

// A round: frees its arrays and describes the next.
void check_begin(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_fail(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

// n_bytes on the GPU, all bits 1 (NaN in every cell type), guards around them.
void *check_poisoned(check *c, size_t n_bytes);
// values[n], uniform in [-range, range) and rounded to the cell; an array of them on the GPU.
void *check_random(check *c, float *values, size_t n, wb_cell cell, float range);
void *check_upload(check *c, const void *bytes, size_t n_bytes);
// bytes <- what lies there, after waiting for the stream; fails if a guard has changed.
void check_read(check *c, void *bytes, const void *there, size_t n_bytes);

// Cells on the host.
float cell_value(wb_cell cell, const void *cells, size_t i);
void cell_store(wb_cell cell, void *cells, size_t i, float x);
// The relative rounding of a floating cell.
double cell_epsilon(wb_cell cell);
const char *cell_name(wb_cell cell);

// |got - want| <= allowed; false, and a report, otherwise.
bool check_near(check *c, size_t row, size_t column, double want, double got, double allowed);

// Compares got[m, width] as narrow says with want: a dynamic scale, if any, must be that of the
// row, and each cell the nearest to the quotient. slack is the error of want itself.
bool check_narrow(check *c, const wb_narrow *narrow, const double *want, int m, int width,
                  double slack, const float *column_multiplier);

static inline void *new_array(size_t n, size_t size) {
    void *p = wb_alloc_array(n ? n : 1, size);
    check_gpu(p ? 0u : 2u, "host memory");
    return p;
}

// The checks.
void check_embed(check *c);
void check_norm(check *c);
void check_finish(check *c);
void check_gather(check *c);
void check_cast(check *c);
void check_classify(check *c);
void check_fold(check *c);
void check_flash(check *c);
void check_standard(check *c);
void check_pruned(check *c);
void check_product(check *c);
void check_product_fp8(check *c);
void check_skinny(check *c);
void check_forward(check *c);
void check_whole(check *c);
void check_door(check *c);

typedef struct bench_options {
    const char *pattern;  // NULL: all
    int tokens;           // of a batch
    double seconds;       // each forward is measured for
    bool is_mnli;         // lengths; else SST-2's
} bench_options;

int bench_run(check *c, const bench_options *options);

#endif
