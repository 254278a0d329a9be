// SPDX-License-Identifier: Apache-2.0
// pytorch_model.bin, broken: archives whose directory lies, storages that do not fit their
// tensors, and files that are no archive at all.
#include <string.h>

#include "mutations.h"

// ---- The archive ------------------------------------------------------------------

// Where a record of the sound archive lies: each mutation writes number at find_field + offset.
typedef enum record { LOCAL, DIRECTORY, END64, LOCATOR, END } record;

static size_t find_record(const bytes *file, record r, const char *entry) {
    const size_t end = file->n - 22;
    switch (r) {
        case LOCAL: return find_text(file, 0, entry) - 30;
        case DIRECTORY: return find_text(file, get_u32(file, end + 16), entry) - 46;
        case END64: return end - 20 - 56;
        case LOCATOR: return end - 20;
        case END: return end;
    }
    return 0;
}

// put names the field: the record's letter, its offset and the number's bytes, as in "D20:4".
static void set_field(folder *f, const mutation *m, int variant) {
    (void)variant;
    static const char letters[] = "LD6TE";
    bytes *file = folder_weights(f);
    const record r = (record)(strchr(letters, m->put[0]) - letters);
    size_t offset = 0;
    const char *c = m->put + 1;
    while (*c != ':') offset = offset * 10 + (size_t)(*c++ - '0');
    const size_t at = find_record(file, r, m->find) + offset;
    if (c[1] == '2')
        set_u16(file, at, (uint16_t)m->number);
    else if (c[1] == '4')
        set_u32(file, at, (uint32_t)m->number);
    else
        set_u64(file, at, (uint64_t)m->number);
}

// Without its zip64 records an archive is an ordinary one; then the end record alone counts.
static void drop_zip64(bytes *file) {
    replace_bytes(file, file->n - 22 - 20 - 56, 20 + 56, "", 0);
}

static void set_field_without_zip64(folder *f, const mutation *m, int variant) {
    drop_zip64(folder_weights(f));
    set_field(f, m, variant);
}

// A directory record's name becomes another entry's, so that two say the same.
static void overlap_entries(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    const size_t from = find_record(file, DIRECTORY, m->find),
                 to = find_record(file, DIRECTORY, m->put);
    set_u32(file, to + 42, get_u32(file, from + 42));
    memcpy(file->data + to + 46, m->find, strlen(m->find));
}

// The bomb of deflate: an entry of few bytes that says it holds many.
static void deflate_entry(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    const size_t local = find_record(file, LOCAL, m->find),
                 at = find_record(file, DIRECTORY, m->find);
    set_u16(file, local + 8, 8);
    set_u16(file, at + 10, 8);
    set_u32(file, at + 24, (uint32_t)m->number);
}

// Both sizes in the directory become number: the entry's contents grow into what follows.
static void grow_entry(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    const size_t at = find_record(file, DIRECTORY, m->find);
    set_u32(file, at + 20, (uint32_t)m->number);
    set_u32(file, at + 24, (uint32_t)m->number);
}

// The local header's sizes move to a zip64 field that is number bytes long and says so.
static void break_extra(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    const size_t local = find_record(file, LOCAL, m->find);
    const size_t extra = local + 30 + get_u16(file, local + 26);
    set_u32(file, local + 18, 0xffffffff);
    set_u32(file, local + 22, 0xffffffff);
    set_u16(file, extra, 1);
    set_u16(file, extra + 2, (uint16_t)m->number);
}

// The bomb of overlapping files: every entry is the whole rest of the archive.
static void swell_entry(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    const size_t at = find_record(file, DIRECTORY, m->find);
    const uint32_t header = get_u32(file, at + 42), end = get_u32(file, file->n - 22 + 16);
    const uint32_t first = header + 30u + get_u16(file, header + 26) + get_u16(file, header + 28);
    set_u32(file, at + 20, end - first);
    set_u32(file, at + 24, end - first);
}

// A directory of number records that all point to the first entry.
static void many_records(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f), one = {0};
    drop_zip64(file);
    const size_t end = file->n - 22, first = get_u32(file, end + 16);
    put(&one, file->data + first, 46u + get_u16(file, first + 28));
    bytes rest = {0};
    put(&rest, file->data + end, 22);
    file->n = first;
    for (long long i = 0; i < m->number; i++) put(file, one.data, one.n);
    set_u16(&rest, 8, (uint16_t)m->number);
    set_u16(&rest, 10, (uint16_t)m->number);
    set_u32(&rest, 12, (uint32_t)(one.n * (size_t)m->number));
    put(file, rest.data, rest.n);
    clear_bytes(&one);
    clear_bytes(&rest);
}

// Every place of a name changes: header, directory and all.
static void rename_entry(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_weights(f);
    for (size_t at = 0; at + strlen(m->find) <= file->n; at++)
        if (memcmp(file->data + at, m->find, strlen(m->find)) == 0)
            memcpy(file->data + at, m->put, strlen(m->put));
}

#define FIELD(name, entry, field, number, expect) \
    { name, TORCH, set_field, NULL, entry, field, expect, number, 0 }
#define PLAIN(name, entry, field, number, expect) \
    { name, TORCH, set_field_without_zip64, NULL, entry, field, expect, number, 0 }
#define RENAME(name, find, put, expect) \
    { name, TORCH, rename_entry, NULL, find, put, expect, 0, 0 }
#define FILE_OF(name, text, expect) \
    { name, TORCH, set_text, "pytorch_model.bin", NULL, text, expect, 0, 0 }
#define STORAGE "pytorch_model/data/1"
#define PICKLE "pytorch_model/data.pkl"

const mutation zip_mutations[] = {
    {"archive cut", TORCH, cut_file, "pytorch_model.bin", NULL, NULL, "download it again", 0, 16},
    {"archive less a byte", TORCH, cut_at, "pytorch_model.bin", NULL, NULL, "download it again", -1,
     0},
    {"archive and a byte", TORCH, append_text, "pytorch_model.bin", NULL, "x", "download it again",
     0, 0},
    FILE_OF("archive empty", "", "neither a zip archive"),
    FILE_OF("archive is a pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "Git LFS"),
    FILE_OF("archive is HTML", "<!DOCTYPE html>", "neither a zip archive"),
    FILE_OF("archive is the old format",
            "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.",
            "before 1.6"),
    FILE_OF("archive is a bare pickle",
            "\x80\x02"
            "cos\nsystem\n",
            "neither a zip archive"),
    FIELD("end on disk 1", NULL, "E4:2", 1, "several disks"),
    FIELD("directory on disk 1", NULL, "E6:2", 1, "several disks"),
    FIELD("count one less", NULL, "E10:2", TINY_TENSORS + 5, "disagree"),
    FIELD("directory elsewhere", NULL, "E16:4", 64, "disagree"),
    FIELD("directory of other size", NULL, "E12:4", 46, "disagree"),
    FIELD("comment that is not there", NULL, "E20:2", 1, "download it again"),
    FIELD("locator points at itself", NULL, "T8:8", 1 << 20, "points nowhere"),
    FIELD("locator points at 2^64", NULL, "T8:8", -1, "points nowhere"),
    FIELD("locator points at an entry", NULL, "T8:8", 0, "points nowhere"),
    FIELD("wide count lies", NULL, "632:8", 3, "disagree"),
    FIELD("wide count of 2^63", NULL, "632:8", INT64_MIN, "disagree"),
    FIELD("wide directory at 2^64", NULL, "648:8", -8, "disagree"),
    FIELD("wide size of 2^64", NULL, "640:8", -1, "disagree"),
    PLAIN("directory outside", NULL, "E16:4", 0x7fffffff, "outside the file"),
    PLAIN("directory huge", NULL, "E12:4", 0x7fffffff, "outside the file"),
    PLAIN("directory shifted", NULL, "E16:4", 65, "record is missing"),
    PLAIN("count one more", NULL, "E10:2", TINY_TENSORS + 7, "record is missing"),
    PLAIN("count one fewer", NULL, "E10:2", TINY_TENSORS + 5, "more entries than it states"),
    PLAIN("count of 0", NULL, "E10:2", 0, "more entries than it states"),
    PLAIN("count of 65535", NULL, "E10:2", 0xffff, "outside the file"),
    FIELD("record without signature", STORAGE, "D0:4", 0, "record is missing"),
    FIELD("record's name too long", STORAGE, "D28:2", 0xffff, "cut off"),
    FIELD("record's extra too long", STORAGE, "D30:2", 0xffff, "cut off"),
    FIELD("record's comment too long", STORAGE, "D32:2", 0xffff, "cut off"),
    FIELD("record compressed", STORAGE, "D10:2", 8, "compressed"),
    {"2 GB in a few deflated bytes", TORCH, deflate_entry, NULL, STORAGE, NULL, "compressed",
     0x7fffffff, 0},
    FIELD("record compressed with bzip2", PICKLE, "D10:2", 12, "compressed"),
    FIELD("record encrypted", STORAGE, "D8:2", 0x0809, "encrypted"),
    FIELD("stored size lies", STORAGE, "D20:4", 1, "two sizes"),
    FIELD("size lies", STORAGE, "D24:4", 0x7fffffff, "two sizes"),
    FIELD("size in a zip64 field that is not there", STORAGE, "D24:4", 0xffffffff,
          "zip64 field is missing"),
    FIELD("header in a zip64 field that is not there", STORAGE, "D42:4", 0xffffffff,
          "zip64 field is missing"),
    FIELD("header outside", STORAGE, "D42:4", 0x7fffffff, "outside the file"),
    FIELD("header shifted", STORAGE, "D42:4", 1, "disagrees with the directory"),
    FIELD("header of another entry", STORAGE, "D42:4", 0, "another name"),
    FIELD("local signature", STORAGE, "L0:4", 0, "disagrees with the directory"),
    FIELD("local encrypted", STORAGE, "L6:2", 1, "disagrees with the directory"),
    FIELD("local compressed", STORAGE, "L8:2", 8, "disagrees with the directory"),
    FIELD("local size lies", STORAGE, "L22:4", 7, "another size"),
    FIELD("local size in a zip64 field that is not there", STORAGE, "L18:4", 0xffffffff,
          "zip64 field"),
    FIELD("local name longer", STORAGE, "L26:2", 40, "another name"),
    FIELD("local name beyond the file", STORAGE, "L26:2", 0xffff, "outside the file"),
    FIELD("local extra beyond the file", STORAGE, "L28:2", 0xffff, "outside the file"),
    {"the last entry into the directory", TORCH, grow_entry, NULL,
     "pytorch_model/.data/serialization_id", NULL, "outside the file", 100, 0},
    {"an entry of 2 GB", TORCH, grow_entry, NULL, STORAGE, NULL, "outside the file", 0x7fffffff, 0},
    {"zip64 field empty", TORCH, break_extra, NULL, STORAGE, NULL, "zip64 field is missing", 0, 0},
    {"zip64 field of half a size", TORCH, break_extra, NULL, STORAGE, NULL,
     "zip64 field is missing", 12, 0},
    {"zip64 field beyond the header", TORCH, break_extra, NULL, STORAGE, NULL,
     "zip64 field is missing", 0xffff, 0},
    {"zip64 field lies", TORCH, break_extra, NULL, STORAGE, NULL, "another size", 16, 0},
    {"one entry twice", TORCH, overlap_entries, NULL, STORAGE, "pytorch_model/data/2", "overlap", 0,
     0},
    {"an entry over all others", TORCH, swell_entry, NULL, PICKLE, NULL, "overlap", 0, 0},
    {"65,000 overlapping entries", TORCH, many_records, NULL, NULL, NULL, "overlap", 65000, 0},
    RENAME("no pickle", "/data.pkl", "/data.pkx", "without data.pkl"),
    RENAME("pickle in another folder", PICKLE, "pytorch_modem/data.pkl",
           "storage that is not there"),
    RENAME("pickle deeper", PICKLE, "pytorch/model/data.pkl", "without data.pkl"),
    RENAME("pickle without folder", PICKLE, "pytorch_model_data.pkl", "without data.pkl"),
    RENAME("two pickles", "pytorch_model/.format_version", "pytorch_model_format/data.pkl",
           "two data.pkl"),
    RENAME("two storages of one name", "pytorch_model/data/10", "pytorch_model/data/11",
           "have one name"),
    RENAME("storage missing", STORAGE, "pytorch_model/dat0/1", "storage that is not there"),
    {0},
};

// ---- Storages and tensors -----------------------------------------------------------

static void rebuild(folder *f, const tiny_model *model) {
    const folder_form form = f->form;
    folder_close(f);
    folder_of(f, form, model);
}

// One number of one tensor's description becomes number; put says which.
static void describe(folder *f, const mutation *m, int variant) {
    (void)variant;
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    tiny_tensor *t = tiny_find(&model, "classifier.weight");
    bytes pickle = {0};
    switch (m->put[0]) {
        case 'r': t->shape[0] = m->number; break;
        case 'c': t->shape[1] = m->number; break;
        case 's': t->stride[0] = m->number; break;
        case 't': t->stride[1] = m->number; break;
        case 'f': t->first = m->number; break;
        case 'n': t->n_elements = (size_t)m->number; break;
        default: t->rank = (int)m->number; break;
    }
    put_pickle(&pickle, &model, 0, model.n);
    tiny_model sound;
    tiny_open(&sound, WB_DTYPE_F32);
    rebuild(f, &sound);
    bytes *file = folder_add(f, "pytorch_model.bin");
    put_archive(file, &pickle, &sound, 0, sound.n);
    clear_bytes(&pickle);
    tiny_close(&model);
    tiny_close(&sound);
}

// An archive of torch.save in all but its storages, with one other entry, find, that holds put; its
// folder has number letters.
static void other_archive(folder *f, const mutation *m, int variant) {
    (void)variant;
    tiny_model model;
    bytes pickle = {0};
    char name[1000] = "archive";
    memset(name, 'a', (size_t)m->number);
    tiny_open(&model, WB_DTYPE_F32);
    put_pickle(&pickle, &model, 0, model.n);
    archive_writer a = {.file = folder_add(f, "pytorch_model.bin"), .folder = name};
    put_entry(&a, "data.pkl", pickle.data, pickle.n);
    put_entry(&a, m->find, m->put, strlen(m->put));
    put_directory(&a);
    clear_bytes(&pickle);
    tiny_close(&model);
}

#define DESCRIBE(name, what, number, expect) \
    { name, TORCH, describe, NULL, NULL, what, expect, number, 0 }

const mutation storage_mutations[] = {
    DESCRIBE("rows beyond the storage", "rows", 3, "reaches beyond its storage"),
    DESCRIBE("rows of 2^31", "rows", 0x7fffffff, "reaches beyond its storage"),
    DESCRIBE("rows negative", "rows", -2, "reaches beyond its storage"),
    DESCRIBE("columns of 0", "columns", 0, "config.json wants"),
    DESCRIBE("turned round", "stride", 1, "strided view"),
    DESCRIBE("every second value", "t", 2, "strided view"),
    DESCRIBE("one value again and again", "t", 0, "strided view"),
    DESCRIBE("stride negative", "t", -1, "strided view"),
    DESCRIBE("starts beyond", "first", 1, "storage of another size"),
    DESCRIBE("starts before", "first", -1, "storage of another size"),
    DESCRIBE("starts at 2^31", "first", 0x7fffffff, "storage of another size"),
    DESCRIBE("storage longer", "n", 17, "storage of another size"),
    DESCRIBE("storage shorter", "n", 15, "storage of another size"),
    DESCRIBE("storage of -1", "n", -1, "storage of another size"),
    DESCRIBE("storage of 2^30", "n", 1 << 30, "storage of another size"),
    DESCRIBE("scalar", "k", 0, "config.json wants [2, 8]"),
    DESCRIBE("five dimensions", "k", 5, "up to four dimensions"),
    {"big-endian", TORCH, other_archive, NULL, "byteorder", "big", "not little-endian", 0, 0},
    {"byte order empty", TORCH, other_archive, NULL, "byteorder", "", "not little-endian", 0, 0},
    {"TorchScript", TORCH, other_archive, NULL, "constants.pkl", "\x80\x02).", "TorchScript", 0, 0},
    {"a folder of 600 letters", TORCH, other_archive, NULL, "byteorder", "big",
     "storage that is not there", 600, 0},
    {"a folder of 505 letters", TORCH, other_archive, NULL, "byteorder", "big",
     "storage that is not there", 505, 0},
    {"no storages", TORCH, other_archive, NULL, "byteorder", "little", "storage that is not there",
     0, 0},
    {0},
};
