// SPDX-License-Identifier: Apache-2.0
// A file that holds an engine's packed weights as they lie in memory, so that the next engine maps
// them: a page that says what they were packed from and by whom, then the weights. It is used only
// where every word of that page is what this process would write; nothing in it is an offset, and
// its numbers are read by nobody but the kernels.
#ifndef WB_ENGINE_CACHE_H
#define WB_ENGINE_CACHE_H

#include "engine/engine.h"

enum { WB_CACHE_PAGE = 4096 };

// What the page states, in this order after the magic; 64 bits each.
typedef enum wb_cache_field {
    WB_PAGE_FORMAT,    // of the page
    WB_PAGE_LIBRARY,   // version of wattbert
    WB_PAGE_KERNELS,   // instruction set, CPU flags, tile
    WB_PAGE_PLAN,      // shape, and each matrix's precision
    WB_PAGE_PACKING,   // what the packers make of a known matrix here, in every precision used
    WB_PAGE_SCALES,    // of static precisions
    WB_PAGE_MODEL,     // wb_checkpoint_identity()
    WB_PAGE_N_BYTES,   // of the weights
    WB_PAGE_CONTENTS,  // a mark of them all
    WB_PAGE_HEADER,    // a mark of the page but for this word
    WB_PAGE_N_FIELDS
} wb_cache_field;

typedef struct wb_cache_page {
    char magic[32];
    uint64_t fields[WB_PAGE_N_FIELDS];
    uint8_t zeros[WB_CACHE_PAGE - 32 - 8 * WB_PAGE_N_FIELDS];
} wb_cache_page;

// page <- what a file of this engine's weights has to say, but for CONTENTS and HEADER.
wb_status wb_cache_expect(wb_cache_page *page, const wb_engine *engine, size_t n_bytes,
                          wb_error *err);
// page <- CONTENTS of weights[N_BYTES], by all threads of pool, and HEADER.
wb_status wb_cache_seal(wb_cache_page *page, const void *weights, wb_pool *pool, wb_error *err);
// Whether data[n_bytes] is a whole file of the expected weights, which begin after its first page.
// WB_ERR_FORMAT (no such file, or damaged), WB_ERR_MODEL (of other weights), WB_ERR_MEMORY
wb_status wb_cache_check(const void *data, size_t n_bytes, const wb_cache_page *expected,
                         wb_pool *pool, wb_error *err);

// engine->weights <- from the file in folder, "distilbert-sst2.i8-dynamic.avx512.wattbert", else
// packed and written to it. That it is missing, useless or cannot be written is no failure:
// engine->cache says so. WB_ERR_MEMORY
wb_status wb_cache_open(wb_engine *engine, const wb_tensor_source *source, const char *folder,
                        wb_error *err);

#endif
