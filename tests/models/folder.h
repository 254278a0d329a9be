// SPDX-License-Identifier: Apache-2.0
// A model folder in memory: made valid, broken by a mutation, written to disk, opened, erased.
#ifndef WB_TEST_FOLDER_H
#define WB_TEST_FOLDER_H

#include <stdbool.h>

#include "tiny_model.h"

typedef enum folder_form {
    SAFETENSORS,
    SAFETENSORS_SHARDS,
    TORCH,
    TORCH_SHARDS,
    N_FORMS
} folder_form;

typedef struct folder_file {
    char name[64];
    bytes contents;
    bool is_directory, is_pipe;
} folder_file;

typedef struct folder {
    folder_form form;
    folder_file files[8];
    int n;
} folder;

// config.json, vocab.txt and the weights of a model; folder_open makes the tiny one in f32.
void folder_of(folder *f, folder_form form, const tiny_model *model);
void folder_open(folder *f, folder_form form);
void folder_close(folder *f);

// The contents of a file that must be there; its weights (first shard), its index.
bytes *folder_file_of(folder *f, const char *name);
bytes *folder_weights(folder *f);
bytes *folder_add(folder *f, const char *name);  // empty, and new if there is one already
void folder_remove(folder *f, const char *name);
size_t folder_bytes(const folder *f);

void folder_write(const folder *f, const char *dir);
void folder_erase(const folder *f, const char *dir);

// One way, or count ways numbered from 0, to break a folder.
typedef struct mutation mutation;
typedef void apply_mutation(folder *f, const mutation *m, int variant);
struct mutation {
    const char *name;
    folder_form form;
    apply_mutation *apply;
    const char *file, *find, *put;  // what apply makes of them
    const char *expect;             // part of the message; NULL: any
    long long number;
    int count;  // 0: one variant
};

// Ends in a row without name: every row of these is an error of the checkpoint ..
extern const mutation *const checkpoint_mutations[];
// .. and every row of these one of the tokenizer or of what joins the two.
extern const mutation *const tokenizer_mutations[];

// The mutations of a file's text that several tables use.
apply_mutation edit_text;  // find becomes put in file
apply_mutation set_text;   // the whole file becomes put
apply_mutation cut_file;   // the first (variant + 1/2) / count of the file is left
apply_mutation cut_at;     // number bytes are left, or all but -number
apply_mutation append_text;

// Calls visit for every variant of every row with the broken folder; returns how many there were.
typedef void visit_folder(void *context, const folder *f, const mutation *m, int variant);
int each_mutation(const mutation *const *tables, visit_folder *visit, void *context);

// What opens a folder and lets go of it again, and what must be true of that. Prints what is not.
typedef wb_status open_folder(const char *dir, wb_error *err);
typedef struct broken_test {
    open_folder *open;
    char dir[64];
    int n_folders, n_failed;
    int most_ratio;      // heap bytes that a byte of the folder may cost
    bool is_verbose;     // prints every message: are they clear?
    double worst_ratio;  // peak heap bytes over folder bytes
} broken_test;

visit_folder check_broken;

// Bytes that are allocated now, and the most there were since reset_peak.
size_t heap_bytes(void);
size_t heap_peak(void);
void reset_peak(void);
// How many mappings of files in dir this process has; 0 where /proc does not say.
int count_mappings(const char *dir);
// The nth allocation from now fails, once; 0: none does.
void fail_allocation(size_t n);

#endif
