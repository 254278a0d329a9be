// SPDX-License-Identifier: Apache-2.0
// Matrix products through cuBLASLt. Its algorithms for a product differ by tens of percent and its
// own guess is not always the fastest, so the first run of a shape times the dozen best
// guesses on the operands as they are, and where there is one our own kernel (product_fp8.cu), and
// the winner is kept.
#ifndef WB_CUDA_PRODUCT_H
#define WB_CUDA_PRODUCT_H

#include "cuda/device.h"

// y[m, n] <- activation(x_scale w_scale x[m, k] . w[n, k]^T + bias + residual) y_scale
typedef struct wb_gpu_product {
    int m, n, k;
    wb_cell cell;  // of x and w
    bool is_tf32;  // f32 rounded to 10 bits of mantissa on the way into the tensor cores
    const void *x, *w;
    void *y;
    wb_cell y_cell;
    int ld_y;
    wb_cell side_cell;         // of bias and residual
    const void *bias;          // [n], or NULL
    const void *residual;      // [m, ld_y], or NULL
    wb_activation activation;  // WB_LINEAR, WB_RELU, or WB_GELU: the library has only its tanh form
    // fp8 only: one number each, or one a row of w and one a row of x.
    const float *x_scale, *w_scale;
    bool is_scale_per_row;
    const float *y_scale;  // fp8 results only: one number
    bool is_library_only;  // never our own kernel: to test and to compare
} wb_gpu_product;

typedef struct wb_products wb_products;  // the library, its workspace and what was found out

// total as in wb_device_alloc.
wb_status wb_products_open(wb_products **out, size_t *total, wb_error *err);
void wb_products_close(wb_products *products);

// Whether our own kernel is among what a product's first call times.
bool wb_products_has_own(const wb_products *products, const wb_gpu_product *product);

// *is_possible <- whether anything here computes this product as a whole. The first call
// for a shape measures, which writes y and waits for the stream; it must not be capturing then.
//   WB_ERR_MEMORY, WB_ERR_DEVICE
wb_status wb_products_prepare(wb_products *products, const wb_gpu_product *product,
                              wb_stream stream, bool *is_possible, wb_error *err);

// Puts a product that is possible on the stream. WB_ERR_DEVICE
wb_status wb_products_run(wb_products *products, const wb_gpu_product *product, wb_stream stream,
                          wb_error *err);

#endif
