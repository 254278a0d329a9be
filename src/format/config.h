// SPDX-License-Identifier: Apache-2.0
// config.json: the dimensions of a DistilBERT classifier, each checked where it is read.
#ifndef WB_FORMAT_CONFIG_H
#define WB_FORMAT_CONFIG_H

#include "format/checkpoint.h"
#include "format/source.h"

// Bounds on what a file may state: far above any DistilBERT (30,522 words, 768 wide), low enough
// that rows x columns x 4 bytes stays below 2^42 and every dimension is an int.
enum {
    WB_MAX_D_MODEL = 1 << 16,
    WB_MAX_LAYERS = 1 << 10,
    WB_MAX_D_FF = 1 << 18,
    WB_MAX_VOCAB = 1 << 24,
    WB_MAX_POSITIONS = 1 << 20,
    WB_MAX_LABELS = 1 << 16,
};

// *config <- what the file states, DistilBERT's values as in transformers where it states
// nothing. n_labels is 0 and labels NULL where the file says nothing about labels; n_labels is
// stated but labels NULL where they have no names.
//   WB_ERR_FORMAT not JSON, WB_ERR_MODEL names the key, WB_ERR_MEMORY
wb_status wb_config_parse(wb_config *config, const wb_source *source, wb_error *err);

// Gives labels their default names, LABEL_0 .., where the file has none. n_labels is set.
wb_status wb_config_name_labels(wb_config *config, wb_error *err);

void wb_config_close(wb_config *config);

#endif
