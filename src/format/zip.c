// SPDX-License-Identifier: Apache-2.0
// The zip directory, read from the file's end as every zip reader does, each statement of it
// checked against the local header it points to. By hand rather than with libzip: stored entries
// of a mapped file need no stream, and a library would copy what can be used where it lies.
//
//     | local header, name, extra, contents, descriptor | .. | directory | zip64 end | locator |
//     end |
//
// Checksums are not verified: torch can be told not to compute them, its reader ignores
// them, and the weights would have to be read once more only for that.
#include "format/zip.h"

#include <stdlib.h>

enum {
    LOCAL_SIGNATURE = 0x04034b50,
    DIRECTORY_SIGNATURE = 0x02014b50,
    END_SIGNATURE = 0x06054b50,
    END64_SIGNATURE = 0x06064b50,
    LOCATOR_SIGNATURE = 0x07064b50,
    LOCAL_BYTES = 30,
    DIRECTORY_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    MAX_COMMENT = 0xffff,
    EXTRA_ZIP64 = 0x0001,
    FLAG_ENCRYPTED = 1 << 0,
    FLAG_DESCRIPTOR = 1 << 3,  // sizes follow the contents; the local header may say 0
};

static const uint32_t in_zip64 = 0xffffffff;  // a 32-bit field whose value is in the zip64 extra

// Where the directory lies, [first, first + n_bytes), and how many entries it has.
typedef struct directory {
    uint64_t first, n_bytes, n_entries;
} directory;

// A zip archive says nothing in words: byte and reason are what one can compare with zipinfo -v.
static wb_status fail(const wb_source *source, uint64_t offset, const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, offset,
                   "%s: broken zip archive at byte %llu: %s, download it again", source->name,
                   (unsigned long long)offset, what);
}

// The end record: the last one whose comment reaches exactly to the end of the file.
static bool find_end(const wb_source *source, uint64_t *end) {
    if (source->n_bytes < END_BYTES) return false;
    // At most 64 KiB back, so a file of signatures costs no more than that.
    const size_t last = source->n_bytes - END_BYTES;
    const size_t first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t at = last + 1; at-- > first;) {
        const uint8_t *record = source->data + at;
        if (wb_read_u32(record) != END_SIGNATURE || wb_read_u16(record + 20) != last - at) continue;
        *end = at;
        return true;
    }
    return false;
}

// The zip64 end record, which the locator just before the end record points to. Where both state
// a value, they must agree.
static wb_status read_end64(const wb_source *source, uint64_t end, directory *d, wb_error *err) {
    if (end < LOCATOR_BYTES) return WB_OK;
    const uint64_t locator = end - LOCATOR_BYTES;
    if (wb_read_u32(source->data + locator) != LOCATOR_SIGNATURE) return WB_OK;
    const uint64_t at = wb_read_u64(source->data + locator + 8);
    if (at > locator || locator - at < END64_BYTES ||
        wb_read_u32(source->data + at) != END64_SIGNATURE)
        return fail(source, locator, "its zip64 locator points nowhere", err);
    const uint8_t *record = source->data + at;
    const directory wide = {.n_entries = wb_read_u64(record + 32),
                            .n_bytes = wb_read_u64(record + 40),
                            .first = wb_read_u64(record + 48)};
    if ((d->n_entries != 0xffff && d->n_entries != wide.n_entries) ||
        (d->n_bytes != in_zip64 && d->n_bytes != wide.n_bytes) ||
        (d->first != in_zip64 && d->first != wide.first))
        return fail(source, at, "its two end records disagree", err);
    *d = wide;
    return WB_OK;
}

// What the end records state is believed only as far as the file goes.
static wb_status find_directory(const wb_source *source, directory *d, wb_error *err) {
    uint64_t end = 0;
    *d = (directory){0};
    if (!find_end(source, &end))
        return wb_fail(err, WB_ERR_FORMAT, 0,
                       "%s: neither a zip archive of torch.save nor complete, download it again",
                       source->name);
    const uint8_t *record = source->data + end;
    *d = (directory){.n_entries = wb_read_u16(record + 10),
                     .n_bytes = wb_read_u32(record + 12),
                     .first = wb_read_u32(record + 16)};
    if (wb_read_u16(record + 4) != 0 || wb_read_u16(record + 6) != 0)
        return fail(source, end, "it has several disks", err);
    const wb_status status = read_end64(source, end, d, err);
    if (status) return status;
    if (d->first > end || d->n_bytes > end - d->first ||
        d->n_entries > d->n_bytes / DIRECTORY_BYTES)
        return fail(source, end, "its directory lies outside the file", err);
    return WB_OK;
}

// The 64-bit values that replace 0xffffffff fields: size, stored size and header, in this order.
static bool read_zip64_extra(const uint8_t *extra, size_t n_bytes, uint64_t *fields[3]) {
    size_t at = 0;
    bool needs = fields[0] || fields[1] || fields[2];
    while (needs && n_bytes - at >= 4) {
        const size_t n = wb_read_u16(extra + at + 2);
        const bool is_zip64 = wb_read_u16(extra + at) == EXTRA_ZIP64;
        at += 4;
        if (n > n_bytes - at) return false;
        for (size_t i = 0, from = at; is_zip64 && i < 3; i++) {
            if (!fields[i]) continue;
            if (at + n - from < 8) return false;
            *fields[i] = wb_read_u64(extra + from);
            from += 8;
        }
        needs = !is_zip64;
        at += n;
    }
    return !needs;
}

// The local header at entry->header must say what the directory says; *entry gets its contents'
// place, which ends before the directory.
static wb_status read_local(const wb_source *source, const directory *d, wb_zip_entry *entry,
                            wb_error *err) {
    const uint64_t at = entry->header;
    if (at > d->first || d->first - at < LOCAL_BYTES)
        return fail(source, at, "an entry lies outside the file", err);
    const uint8_t *header = source->data + at;
    const size_t name_bytes = wb_read_u16(header + 26), extra_bytes = wb_read_u16(header + 28);
    if (wb_read_u32(header) != LOCAL_SIGNATURE || wb_read_u16(header + 8) != 0 ||
        (wb_read_u16(header + 6) & FLAG_ENCRYPTED))
        return fail(source, at, "a local header disagrees with the directory", err);
    if (d->first - at - LOCAL_BYTES < name_bytes + extra_bytes)
        return fail(source, at, "an entry lies outside the file", err);
    if (name_bytes != entry->name_bytes ||
        memcmp(header + LOCAL_BYTES, entry->name, name_bytes) != 0)
        return fail(source, at, "a local header has another name than the directory", err);

    uint64_t stored = wb_read_u32(header + 18), size = wb_read_u32(header + 22);
    uint64_t *fields[3] = {size == in_zip64 ? &size : NULL, stored == in_zip64 ? &stored : NULL};
    if (!read_zip64_extra(header + LOCAL_BYTES + name_bytes, extra_bytes, fields))
        return fail(source, at, "a zip64 field is missing", err);
    // With a descriptor the writer did not know the sizes yet. The descriptor itself is not read:
    // the pickle states every size a third time, and torch.c compares.
    const bool is_later = (wb_read_u16(header + 6) & FLAG_DESCRIPTOR) && stored == 0 && size == 0;
    if (!is_later && (stored != entry->n_bytes || size != entry->n_bytes))
        return fail(source, at, "a local header has another size than the directory", err);
    entry->first = at + LOCAL_BYTES + name_bytes + extra_bytes;
    if (entry->n_bytes > d->first - entry->first)
        return fail(source, at, "an entry lies outside the file", err);
    return WB_OK;
}

// *entry <- the directory's record at *at, which moves to the next one.
static wb_status read_record(const wb_source *source, const directory *d, uint64_t *at,
                             wb_zip_entry *entry, wb_error *err) {
    const uint64_t left = d->first + d->n_bytes - *at;
    const uint8_t *record = source->data + *at;
    if (left < DIRECTORY_BYTES || wb_read_u32(record) != DIRECTORY_SIGNATURE)
        return fail(source, *at, "a directory record is missing", err);
    const size_t name_bytes = wb_read_u16(record + 28), extra_bytes = wb_read_u16(record + 30),
                 comment_bytes = wb_read_u16(record + 32);
    if (left - DIRECTORY_BYTES < name_bytes + extra_bytes + comment_bytes)
        return fail(source, *at, "a directory record is cut off", err);
    uint64_t stored = wb_read_u32(record + 20), size = wb_read_u32(record + 24),
             header = wb_read_u32(record + 42);
    uint64_t *fields[3] = {size == in_zip64 ? &size : NULL, stored == in_zip64 ? &stored : NULL,
                           header == in_zip64 ? &header : NULL};
    if (!read_zip64_extra(record + DIRECTORY_BYTES + name_bytes, extra_bytes, fields))
        return fail(source, *at, "a zip64 field is missing", err);
    if (wb_read_u16(record + 10) != 0)
        return wb_fail(err, WB_ERR_FORMAT, *at,
                       "%s: its entries are compressed, save the model again with torch.save",
                       source->name);
    if (wb_read_u16(record + 8) & FLAG_ENCRYPTED)
        return fail(source, *at, "an entry is encrypted", err);
    if (stored != size) return fail(source, *at, "a stored entry has two sizes", err);
    *entry = (wb_zip_entry){.name = (const char *)record + DIRECTORY_BYTES,
                            .name_bytes = name_bytes,
                            .header = header,
                            .n_bytes = size};
    *at += DIRECTORY_BYTES + name_bytes + extra_bytes + comment_bytes;
    return read_local(source, d, entry, err);
}

static int compare_places(const void *a, const void *b) {
    const wb_zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

// As memcmp, shorter first: names have no 0 at their end.
static int compare_names(const void *a, const void *b) {
    const wb_zip_entry *x = a, *y = b;
    const size_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    const int order = n ? memcmp(x->name, y->name, n) : 0;
    return order ? order : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

// Sorted by place, neighbours show every overlap; sorted by name, every name that occurs twice.
// The order by name stays, for wb_zip_find.
static wb_status check_entries(wb_zip *zip, const wb_source *source, wb_error *err) {
    qsort(zip->entries, zip->n, sizeof *zip->entries, compare_places);
    for (size_t i = 1; i < zip->n; i++) {
        const wb_zip_entry *before = &zip->entries[i - 1];
        if (zip->entries[i].header < before->first + before->n_bytes)
            return fail(source, zip->entries[i].header, "two entries overlap", err);
    }
    qsort(zip->entries, zip->n, sizeof *zip->entries, compare_names);
    for (size_t i = 1; i < zip->n; i++)
        if (compare_names(&zip->entries[i - 1], &zip->entries[i]) == 0)
            return fail(source, zip->entries[i].header, "two entries have one name", err);
    return WB_OK;
}

wb_status wb_zip_open(wb_zip *zip, const wb_source *source, wb_error *err) {
    *zip = (wb_zip){0};
    directory d;
    wb_status status = find_directory(source, &d, err);
    if (status) return status;
    // At most one entry per 46 bytes of the file: find_directory has checked the count.
    zip->entries = wb_alloc_array((size_t)d.n_entries, sizeof *zip->entries);
    if (!zip->entries)
        return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its directory", source->name);
    uint64_t at = d.first;
    while (!status && zip->n < d.n_entries)
        status = read_record(source, &d, &at, &zip->entries[zip->n++], err);
    if (!status && at != d.first + d.n_bytes)
        status = fail(source, at, "its directory has more entries than it states", err);
    if (!status) status = check_entries(zip, source, err);
    if (status) wb_zip_close(zip);
    return status;
}

void wb_zip_close(wb_zip *zip) {
    wb_free(zip->entries);
    *zip = (wb_zip){0};
}

const wb_zip_entry *wb_zip_find(const wb_zip *zip, const char *name, size_t name_bytes) {
    const wb_zip_entry key = {.name = name, .name_bytes = name_bytes};
    if (zip->n == 0) return NULL;
    return bsearch(&key, zip->entries, zip->n, sizeof *zip->entries, compare_names);
}
