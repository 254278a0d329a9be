// SPDX-License-Identifier: Apache-2.0
// A model folder in memory and on disk, and the walk over all broken ones.
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_shards(folder *f, const tiny_model *model, const char *stem, const char *ending) {
    // Three tensors in the first shard: the tables then break a folder whose shards differ.
    enum { N_FIRST = 3 };
    char name[64];
    for (int shard = 0; shard < 2; shard++) {
        const int first = shard ? N_FIRST : 0, n = shard ? model->n - N_FIRST : N_FIRST;
        snprintf(name, sizeof name, "%s-%05d-of-00002.%s", stem, shard + 1, ending);
        if (f->form == SAFETENSORS_SHARDS)
            put_safetensors(folder_add(f, name), model, first, n);
        else
            put_torch(folder_add(f, name), model, first, n);
    }
    snprintf(name, sizeof name, "%s.%s.index.json", stem, ending);
    put_index(folder_add(f, name), model, N_FIRST, stem, ending);
}

void folder_of(folder *f, folder_form form, const tiny_model *model) {
    *f = (folder){.form = form};
    put_config(folder_add(f, "config.json"));
    put_vocab(folder_add(f, "vocab.txt"));
    switch (form) {
        case SAFETENSORS:
            put_safetensors(folder_add(f, "model.safetensors"), model, 0, model->n);
            break;
        case TORCH: put_torch(folder_add(f, "pytorch_model.bin"), model, 0, model->n); break;
        case SAFETENSORS_SHARDS: add_shards(f, model, "model", "safetensors"); break;
        case TORCH_SHARDS: add_shards(f, model, "pytorch_model", "bin"); break;
        case N_FORMS: abort();
    }
}

void folder_open(folder *f, folder_form form) {
    tiny_model model;
    tiny_open(&model, WB_DTYPE_F32);
    folder_of(f, form, &model);
    tiny_close(&model);
}

void folder_close(folder *f) {
    for (int i = 0; i < f->n; i++) clear_bytes(&f->files[i].contents);
    *f = (folder){0};
}

static folder_file *find_file(folder *f, const char *name) {
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->files[i].name, name) == 0) return &f->files[i];
    return NULL;
}

bytes *folder_file_of(folder *f, const char *name) {
    folder_file *file = find_file(f, name);
    if (!file) {
        fprintf(stderr, "the test's folder has no %s\n", name);
        abort();
    }
    return &file->contents;
}

bytes *folder_weights(folder *f) {
    static const char *const names[N_FORMS] = {
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
    };
    return folder_file_of(f, names[f->form]);
}

bytes *folder_add(folder *f, const char *name) {
    if (find_file(f, name)) folder_remove(f, name);
    if (f->n == (int)(sizeof f->files / sizeof f->files[0])) abort();
    folder_file *file = &f->files[f->n++];
    *file = (folder_file){0};
    snprintf(file->name, sizeof file->name, "%s", name);
    return &file->contents;
}

void folder_remove(folder *f, const char *name) {
    folder_file *file = find_file(f, name);
    if (!file) abort();
    clear_bytes(&file->contents);
    f->n--;
    memmove(file, file + 1, (size_t)(f->files + f->n - file) * sizeof *file);
}

size_t folder_bytes(const folder *f) {
    size_t n = 0;
    for (int i = 0; i < f->n; i++) n += f->files[i].contents.n;
    return n;
}

static void path_of(char *path, size_t capacity, const char *dir, const char *name) {
    if (!wb_path_join(path, capacity, dir, name)) abort();
}

void folder_write(const folder *f, const char *dir) {
    for (int i = 0; i < f->n; i++) {
        char path[256];
        path_of(path, sizeof path, dir, f->files[i].name);
        if (f->files[i].is_pipe) {
            if (mkfifo(path, 0600) != 0) abort();
            continue;
        }
        if (f->files[i].is_directory) {
            if (mkdir(path, 0700) != 0) abort();
            continue;
        }
        FILE *out = fopen(path, "wb");
        const bytes *contents = &f->files[i].contents;
        if (!out || (contents->n && fwrite(contents->data, contents->n, 1, out) != 1) ||
            fclose(out) != 0) {
            fprintf(stderr, "cannot write %s\n", path);
            abort();
        }
    }
}

void folder_erase(const folder *f, const char *dir) {
    for (int i = 0; i < f->n; i++) {
        char path[256];
        path_of(path, sizeof path, dir, f->files[i].name);
        if (remove(path) != 0) abort();
    }
}

// ---- Mutations of a whole file ------------------------------------------------------

void edit_text(folder *f, const mutation *m, int variant) {
    (void)variant;
    replace_text(folder_file_of(f, m->file), 0, m->find, m->put);
}

void set_text(folder *f, const mutation *m, int variant) {
    (void)variant;
    put_text(folder_add(f, m->file), m->put);
}

void cut_file(folder *f, const mutation *m, int variant) {
    bytes *file = folder_file_of(f, m->file);
    file->n = file->n * (size_t)(2 * variant + 1) / (size_t)(2 * m->count);
}

void cut_at(folder *f, const mutation *m, int variant) {
    (void)variant;
    bytes *file = folder_file_of(f, m->file);
    file->n = m->number >= 0 ? (size_t)m->number : file->n - (size_t)-m->number;
}

void append_text(folder *f, const mutation *m, int variant) {
    (void)variant;
    put_text(folder_file_of(f, m->file), m->put);
}

int each_mutation(const mutation *const *tables, visit_folder *visit, void *context) {
    int n = 0;
    for (const mutation *const *table = tables; *table; table++) {
        for (const mutation *m = *table; m->name; m++) {
            const int count = m->count ? m->count : 1;
            for (int variant = 0; variant < count; variant++, n++) {
                folder f;
                folder_open(&f, m->form);
                m->apply(&f, m, variant);
                visit(context, &f, m, variant);
                folder_close(&f);
            }
        }
    }
    return n;
}
