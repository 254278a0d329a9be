// SPDX-License-Identifier: Apache-2.0
// The tables of broken folders, one a kind of file. Each ends in a row without name.
#ifndef WB_TEST_MUTATIONS_H
#define WB_TEST_MUTATIONS_H

#include "folder.h"

extern const mutation config_mutations[];
extern const mutation safetensors_mutations[];
extern const mutation tensor_mutations[];
extern const mutation index_mutations[];
extern const mutation zip_mutations[];
extern const mutation storage_mutations[];
extern const mutation pickle_mutations[];
extern const mutation file_mutations[];
extern const mutation vocab_mutations[];

#endif
