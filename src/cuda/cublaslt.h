// SPDX-License-Identifier: Apache-2.0
// NVIDIA's library of matrix products, opened by name: where it is missing, that is one clear
// sentence instead of a library that does not load. The one header here that needs the toolkit.
#ifndef WB_CUDA_CUBLASLT_H
#define WB_CUDA_CUBLASLT_H

#include <cublasLt.h>

#include "base/base.h"

// The functions that are used, under the library's own types.
typedef struct wb_cublaslt {
    void *library;  // dlopen's
    cublasLtHandle_t handle;
    cublasStatus_t (*create)(cublasLtHandle_t *handle);
    cublasStatus_t (*destroy)(cublasLtHandle_t handle);
    const char *(*status_string)(cublasStatus_t status);
    cublasStatus_t (*matmul)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                             const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                             cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                             cublasLtMatrixLayout_t c_layout, void *d,
                             cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                             void *workspace, size_t workspace_bytes, cudaStream_t stream);
    cublasStatus_t (*heuristic)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                cublasLtMatmulPreference_t preference, int n_wanted,
                                cublasLtMatmulHeuristicResult_t *results, int *n_found);
    // These fill the caller's memory, so that a product allocates nothing.
    cublasStatus_t (*desc_init)(cublasLtMatmulDesc_t desc, size_t size, cublasComputeType_t compute,
                                cudaDataType_t scale);
    cublasStatus_t (*desc_set)(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                               const void *value, size_t size);
    cublasStatus_t (*layout_init)(cublasLtMatrixLayout_t layout, size_t size, cudaDataType type,
                                  uint64_t rows, uint64_t columns, int64_t ld);
    cublasStatus_t (*preference_init)(cublasLtMatmulPreference_t preference, size_t size);
    cublasStatus_t (*preference_set)(cublasLtMatmulPreference_t preference,
                                     cublasLtMatmulPreferenceAttributes_t attribute,
                                     const void *value, size_t size);
} wb_cublaslt;

// WB_ERR_UNSUPPORTED where the library is missing or lacks a function; *lt is then zero.
wb_status wb_cublaslt_open(wb_cublaslt *lt, wb_error *err);
void wb_cublaslt_close(wb_cublaslt *lt);

#endif
