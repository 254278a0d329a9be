// SPDX-License-Identifier: Apache-2.0
// Which tensors a DistilBERT classifier has, by name and shape.
#ifndef WB_FORMAT_INVENTORY_H
#define WB_FORMAT_INVENTORY_H

#include "format/tensors.h"

// Every tensor of a classifier of these dimensions is in the sorted table, in the right shape and a
// type that wb_tensor_widen knows, and nothing else is but buffers and heads that no
// classifier uses. Where config states no labels, n_labels becomes the classifier's rows.
//   WB_ERR_MODEL names the tensor, WB_ERR_MEMORY
wb_status wb_inventory_check(const wb_tensors *table, wb_config *config, const char *file,
                             wb_error *err);

#endif
