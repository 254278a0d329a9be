// SPDX-License-Identifier: Apache-2.0
// The pickle of torch.save, read by a machine that can build tensors' descriptions and nothing
// else. There is no code behind its names: torch._utils._rebuild_tensor_v2 is a number in a table,
// and whatever is not in the table is refused by name.
#ifndef WB_FORMAT_PICKLE_H
#define WB_FORMAT_PICKLE_H

#include "format/checkpoint.h"
#include "format/source.h"
#include "format/tensors.h"

// A text inside the pickle: bytes [first, first + n_bytes) of the source.
typedef struct wb_span {
    uint64_t first;
    uint32_t n_bytes;
} wb_span;

// A tensor as the pickle describes it: nothing of it is checked against any storage yet.
typedef struct wb_pickle_tensor {
    const wb_dtype_info *dtype;  // of its storage; name is torch's, "FloatStorage"
    wb_span storage;             // the storage's key, "17"
    int64_t storage_elements;
    int64_t first;  // element of the storage
    int rank;
    int64_t shape[WB_MAX_RANK], stride[WB_MAX_RANK];
} wb_pickle_tensor;

typedef struct wb_pickle_item {
    wb_span name;
    uint32_t tensor;  // index
} wb_pickle_item;

// A state dict: names and what they stand for, in the order of the file.
typedef struct wb_pickle {
    wb_pickle_tensor *tensors;
    size_t n_tensors;
    wb_pickle_item *items;
    size_t n_items;
} wb_pickle;

// *out <- the state dict pickled in bytes [first, first + n_bytes) of source, protocols 2 to 5.
// Takes at most 32 bytes a byte of the pickle and 16 MB in all, and time linear in it.
//   WB_ERR_FORMAT no pickle, WB_ERR_MODEL a pickle of something else, WB_ERR_MEMORY
wb_status wb_pickle_open(wb_pickle *out, const wb_source *source, uint64_t first, uint64_t n_bytes,
                         wb_error *err);
void wb_pickle_close(wb_pickle *pickle);

#endif
