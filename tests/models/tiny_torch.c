// SPDX-License-Identifier: Apache-2.0
// torch.save's file of the tiny model, byte for byte in form: the pickle as CPython's protocol 2
// writes it with its memo, the archive with data descriptors, 64-byte alignment by an extra field
// and zip64 end records, as PyTorch 2 does.
#include <stdio.h>
#include <string.h>

#include "tiny_model.h"

// ---- The pickle -------------------------------------------------------------------

// The memo numbers of what a state dict mentions again and again; 0: not mentioned yet (the
// OrderedDict is number 0 and always first).
typedef struct pickler {
    bytes *out;
    uint32_t n_memo;
    uint32_t rebuild, storage, cpu, storage_types[5];
} pickler;

static uint32_t memoize(pickler *p) {
    const uint32_t index = p->n_memo++;
    if (index < 256) {
        put_u8(p->out, 'q');
        put_u8(p->out, (uint8_t)index);
    } else {
        put_u8(p->out, 'r');
        put_u32(p->out, index);
    }
    return index;
}

static void get_memo(pickler *p, uint32_t index) {
    put_u8(p->out, index < 256 ? 'h' : 'j');
    if (index < 256)
        put_u8(p->out, (uint8_t)index);
    else
        put_u32(p->out, index);
}

static void pickle_text(pickler *p, const char *text) {
    put_u8(p->out, 'X');
    put_u32(p->out, (uint32_t)strlen(text));
    put_text(p->out, text);
}

static void pickle_text_once(pickler *p, const char *text, uint32_t *index) {
    if (*index) {
        get_memo(p, *index);
        return;
    }
    pickle_text(p, text);
    *index = memoize(p);
}

static void pickle_global_once(pickler *p, const char *module, const char *name, uint32_t *index) {
    if (*index) {
        get_memo(p, *index);
        return;
    }
    put_format(p->out, "c%s\n%s\n", module, name);
    *index = memoize(p);
}

static void pickle_int(pickler *p, int64_t number) {
    if (number >= 0 && number < 256) {
        put_u8(p->out, 'K');
        put_u8(p->out, (uint8_t)number);
    } else if (number >= 0 && number < 65536) {
        put_u8(p->out, 'M');
        put_u16(p->out, (uint16_t)number);
    } else {
        put_u8(p->out, 'J');
        put_u32(p->out, (uint32_t)number);
    }
}

// A tuple of up to four numbers.
static void pickle_dimensions(pickler *p, const int64_t *numbers, int n) {
    if (n == 0) {
        put_u8(p->out, ')');
        return;
    }
    if (n > 3) put_u8(p->out, '(');
    for (int i = 0; i < n; i++) pickle_int(p, numbers[i]);
    put_u8(p->out, n > 3 ? 't' : (uint8_t)(0x84 + n));
    memoize(p);
}

static void pickle_empty_dict(pickler *p) {
    get_memo(p, 0);
    put_text(p->out, ")R");
    memoize(p);
}

static void pickle_tensor(pickler *p, const tiny_tensor *t, int key) {
    static const char *const types[] = {"FloatStorage", "HalfStorage", "BFloat16Storage",
                                        "LongStorage", "DoubleStorage"};
    char text[16];
    snprintf(text, sizeof text, "%d", key);
    pickle_global_once(p, "torch._utils", "_rebuild_tensor_v2", &p->rebuild);
    put_text(p->out, "((");
    pickle_text_once(p, "storage", &p->storage);
    pickle_global_once(p, "torch", types[t->dtype], &p->storage_types[t->dtype]);
    pickle_text(p, text);
    memoize(p);
    pickle_text_once(p, "cpu", &p->cpu);
    pickle_int(p, t->first + (int64_t)t->n_elements);
    put_u8(p->out, 't');
    memoize(p);
    put_u8(p->out, 'Q');
    pickle_int(p, t->first);
    pickle_dimensions(p, t->shape, t->rank);
    pickle_dimensions(p, t->stride, t->rank);
    put_u8(p->out, 0x89);
    pickle_empty_dict(p);
    put_u8(p->out, 't');
    memoize(p);
    put_u8(p->out, 'R');
    memoize(p);
}

void put_pickle(bytes *pickle, const tiny_model *model, int first, int n) {
    pickler p = {.out = pickle};
    put_text(pickle, "\x80\x02");
    put_text(pickle, "ccollections\nOrderedDict\n");
    memoize(&p);
    put_text(pickle, ")R");
    memoize(&p);
    put_u8(pickle, '(');
    for (int i = first; i < first + n; i++) {
        pickle_text(&p, model->tensors[i].name);
        memoize(&p);
        pickle_tensor(&p, &model->tensors[i], i - first);
    }
    put_text(pickle, "u}");
    memoize(&p);
    pickle_text(&p, "_metadata");
    memoize(&p);
    pickle_empty_dict(&p);
    pickle_text(&p, "");
    memoize(&p);
    put_u8(pickle, '}');
    memoize(&p);
    pickle_text(&p, "version");
    memoize(&p);
    put_text(pickle, "K\x01sssb.");
}

// ---- The archive ------------------------------------------------------------------

void put_entry(archive_writer *a, const char *name, const void *data, size_t n) {
    enum { ALIGNMENT = 64 };
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", a->folder, name);
    const size_t header = a->file->n, name_bytes = strlen(path);
    const size_t start = header + 30 + name_bytes + 4;
    const uint16_t padding = (uint16_t)((ALIGNMENT - start % ALIGNMENT) % ALIGNMENT);
    const uint32_t crc = crc32_of(data, n);

    put_text(a->file, "PK\x03\x04");
    put_u16(a->file, 0);
    put_u16(a->file, 0x0808);  // descriptor, UTF-8 names
    put_fill(a->file, 0, 18);  // stored; time, checksum and sizes follow later
    put_u16(a->file, (uint16_t)name_bytes);
    put_u16(a->file, (uint16_t)(padding + 4));
    put_text(a->file, path);
    put_text(a->file, "FB");
    put_u16(a->file, padding);
    put_fill(a->file, 'Z', padding);
    put(a->file, data, n);
    put_text(a->file, "PK\x07\x08");
    put_u32(a->file, crc);
    put_u32(a->file, (uint32_t)n);
    put_u32(a->file, (uint32_t)n);

    put_text(&a->directory, "PK\x01\x02");
    put_u32(&a->directory, 0);
    put_u16(&a->directory, 0x0808);
    put_fill(&a->directory, 0, 6);
    put_u32(&a->directory, crc);
    put_u32(&a->directory, (uint32_t)n);
    put_u32(&a->directory, (uint32_t)n);
    put_u16(&a->directory, (uint16_t)name_bytes);
    put_fill(&a->directory, 0, 12);
    put_u32(&a->directory, (uint32_t)header);
    put_text(&a->directory, path);
    a->n++;
}

void put_directory(archive_writer *a) {
    const size_t first = a->file->n, n_bytes = a->directory.n;
    put(a->file, a->directory.data, n_bytes);
    const size_t end64 = a->file->n;
    put_text(a->file, "PK\x06\x06");
    put_u64(a->file, 44);
    put_u16(a->file, 0x031e);
    put_u16(a->file, 45);
    put_u64(a->file, 0);
    put_u64(a->file, (uint64_t)a->n);
    put_u64(a->file, (uint64_t)a->n);
    put_u64(a->file, n_bytes);
    put_u64(a->file, first);
    put_text(a->file, "PK\x06\x07");
    put_u32(a->file, 0);
    put_u64(a->file, end64);
    put_u32(a->file, 1);
    put_text(a->file, "PK\x05\x06");
    put_u32(a->file, 0);
    put_u16(a->file, (uint16_t)a->n);
    put_u16(a->file, (uint16_t)a->n);
    put_u32(a->file, (uint32_t)n_bytes);
    put_u32(a->file, (uint32_t)first);
    put_u16(a->file, 0);
    clear_bytes(&a->directory);
}

void put_archive(bytes *file, const bytes *pickle, const tiny_model *model, int first, int n) {
    archive_writer a = {.file = file, .folder = "pytorch_model"};
    put_entry(&a, "data.pkl", pickle->data, pickle->n);
    put_entry(&a, ".format_version", "1", 1);
    put_entry(&a, ".storage_alignment", "64", 2);
    put_entry(&a, "byteorder", "little", 6);
    for (int i = first; i < first + n; i++) {
        bytes storage = {0};
        char name[32];
        const tiny_tensor *tensor = &model->tensors[i];
        put_fill(&storage, 0xff, (size_t)tensor->first * tiny_element_bytes(tensor->dtype));
        put_values(&storage, tensor);
        snprintf(name, sizeof name, "data/%d", i - first);
        put_entry(&a, name, storage.data, storage.n);
        clear_bytes(&storage);
    }
    put_entry(&a, "version", "3\n", 2);
    put_entry(&a, ".data/serialization_id", "0000000000000000000000000000000000000000", 40);
    put_directory(&a);
}

void put_torch(bytes *file, const tiny_model *model, int first, int n) {
    bytes pickle = {0};
    put_pickle(&pickle, model, first, n);
    put_archive(file, &pickle, model, first, n);
    clear_bytes(&pickle);
}
