// SPDX-License-Identifier: Apache-2.0
// Loading cuBLASLt. Only the major version that this object was compiled against is taken: its
// opaque structures are of that version.
#include "cuda/cublaslt.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

// A function of the library and where its address goes in wb_cublaslt.
typedef struct symbol {
    const char *name;
    size_t offset;
} symbol;

static const symbol symbols[] = {
    {"cublasLtCreate", offsetof(wb_cublaslt, create)},
    {"cublasLtDestroy", offsetof(wb_cublaslt, destroy)},
    {"cublasLtGetStatusString", offsetof(wb_cublaslt, status_string)},
    {"cublasLtMatmul", offsetof(wb_cublaslt, matmul)},
    {"cublasLtMatmulAlgoGetHeuristic", offsetof(wb_cublaslt, heuristic)},
    {"cublasLtMatmulDescInit_internal", offsetof(wb_cublaslt, desc_init)},
    {"cublasLtMatmulDescSetAttribute", offsetof(wb_cublaslt, desc_set)},
    {"cublasLtMatrixLayoutInit_internal", offsetof(wb_cublaslt, layout_init)},
    {"cublasLtMatmulPreferenceInit_internal", offsetof(wb_cublaslt, preference_init)},
    {"cublasLtMatmulPreferenceSetAttribute", offsetof(wb_cublaslt, preference_set)},
};

// Fills the table. POSIX promises that an address fits a function pointer; ISO C has no cast for
// it, so it is copied.
static wb_status find_symbols(wb_cublaslt *lt, const char *file, wb_error *err) {
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(lt->library, symbols[i].name);
        if (!address)
            return wb_fail(err, WB_ERR_UNSUPPORTED, 0, "%s has no %s, install CUDA %d's", file,
                           symbols[i].name, CUBLAS_VER_MAJOR);
        memcpy((char *)lt + symbols[i].offset, &address, sizeof address);
    }
    return WB_OK;
}

wb_status wb_cublaslt_open(wb_cublaslt *lt, wb_error *err) {
    *lt = (wb_cublaslt){0};
    char file[32];
    snprintf(file, sizeof file, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    lt->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!lt->library)
        return wb_fail(err, WB_ERR_UNSUPPORTED, 0,
                       "cannot load %s, which the GPU's matrix products come from: install CUDA "
                       "%d's libcublas, or name its folder in LD_LIBRARY_PATH",
                       file, CUBLAS_VER_MAJOR);
    wb_status status = find_symbols(lt, file, err);
    if (!status) {
        const cublasStatus_t code = lt->create(&lt->handle);
        if (code)
            status = wb_fail(err, WB_ERR_UNSUPPORTED, 0, "%s does not start: \"%s\"", file,
                             lt->status_string(code));
    }
    if (status) wb_cublaslt_close(lt);
    return status;
}

void wb_cublaslt_close(wb_cublaslt *lt) {
    if (lt->handle) (void)lt->destroy(lt->handle);
    if (lt->library) (void)dlclose(lt->library);
    *lt = (wb_cublaslt){0};
}
