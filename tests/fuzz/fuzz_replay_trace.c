// SPDX-License-Identifier: Apache-2.0
// Fuzz target: recorded energy traces. Any bytes give rows in which neither time nor joules go
// back, or one error that names a byte of the input.
#include <math.h>
#include <stdlib.h>

#include "energy/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    wb_trace trace;
    wb_error err = {.message = ""};
    if (wb_trace_parse(&trace, "fuzz", data, n_bytes, &err)) {
        if (trace.rows || !err.message[0] || err.offset > n_bytes + 1) abort();
        return 0;
    }
    if (trace.n_rows < 2 || trace.n_domains < 1 || trace.n_domains > WB_MAX_DOMAINS) abort();
    const int width = 1 + trace.n_domains;
    for (int i = 0; i < trace.n_rows * width; i++) {
        if (!isfinite(trace.rows[i]) || trace.rows[i] < 0.0) abort();
        if (i >= width && trace.rows[i] < trace.rows[i - width]) abort();
    }
    wb_trace_free(&trace);
    return 0;
}
