// SPDX-License-Identifier: Apache-2.0
// A zip archive whose entries are stored, as torch.save writes them: a sorted list of names and
// ranges of the file. Nothing is ever unpacked, so there is no bomb to defuse.
#ifndef WB_FORMAT_ZIP_H
#define WB_FORMAT_ZIP_H

#include "format/source.h"

typedef struct wb_zip_entry {
    const char *name;  // [name_bytes] in the source, no 0 at its end
    size_t name_bytes;
    uint64_t header, first, n_bytes;  // the local header; the contents [first, first + n_bytes)
} wb_zip_entry;

typedef struct wb_zip {
    wb_zip_entry *entries;  // [n], sorted by name
    size_t n;
} wb_zip;

// Every entry is stored, lies inside the file before the directory, agrees with its local header
// and overlaps no other; names are unique.
//   WB_ERR_FORMAT, WB_ERR_MEMORY
wb_status wb_zip_open(wb_zip *zip, const wb_source *source, wb_error *err);
void wb_zip_close(wb_zip *zip);

// NULL where there is none.
const wb_zip_entry *wb_zip_find(const wb_zip *zip, const char *name, size_t name_bytes);

#endif
