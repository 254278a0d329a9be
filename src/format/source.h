// SPDX-License-Identifier: Apache-2.0
// The bytes of one untrusted file and the name its errors give it. Every reader of this folder
// takes one of these and a range inside it, so that an error's offset is always a position in
// the file and no reader has a second idea of where the file ends.
#ifndef WB_FORMAT_SOURCE_H
#define WB_FORMAT_SOURCE_H

#include <string.h>

#include "base/base.h"

typedef struct wb_source {
    const uint8_t *data;  // [n_bytes], may be NULL when n_bytes is 0
    size_t n_bytes;
    const char *name;  // what errors call it: the path, or its last part where it is long
} wb_source;

// Whether [offset, offset + n_bytes) lies in the file; no sum that could wrap.
static inline bool wb_source_holds(const wb_source *source, uint64_t offset, uint64_t n_bytes) {
    return offset <= source->n_bytes && n_bytes <= source->n_bytes - offset;
}

// Little-endian numbers from any alignment.
static inline uint16_t wb_read_u16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline uint32_t wb_read_u32(const uint8_t *bytes) {
    return wb_read_u16(bytes) | (uint32_t)wb_read_u16(bytes + 2) << 16;
}

static inline uint64_t wb_read_u64(const uint8_t *bytes) {
    return wb_read_u32(bytes) | (uint64_t)wb_read_u32(bytes + 4) << 32;
}

// Whether the file is the few lines that Git LFS leaves where it did not fetch the real file:
// the commonest broken download of a model.
static inline bool wb_source_is_lfs_pointer(const wb_source *source) {
    static const char start[] = "version https://git-lfs";
    return source->n_bytes >= sizeof start - 1 &&
           memcmp(source->data, start, sizeof start - 1) == 0;
}

#endif
