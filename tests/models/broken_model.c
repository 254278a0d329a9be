// SPDX-License-Identifier: Apache-2.0
// The same broken folders through the public API, and those that only the tokenizer can tell: what
// a program that opens a model sees. An argument "list" prints all messages.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "folder.h"
#include "wattbert/wattbert.h"

static wb_status open_model(const char *dir, wb_error *err) {
    wb_model *model;
    const wb_status status = wb_model_open(&model, dir, err);
    wb_model_close(model);
    return status;
}

// The folders are broken where they should be: the sound ones open and cut texts.
static bool check_sound(const char *dir, bool has_tokenizer) {
    folder f;
    wb_model *model;
    wb_error err;
    int32_t ids[TINY_POSITIONS];
    int n_ids = 0;
    folder_open(&f, SAFETENSORS);
    if (has_tokenizer) put_tokenizer(folder_add(&f, "tokenizer.json"));
    folder_write(&f, dir);
    const wb_text text = {.text = "a b c", .n_bytes = 5};
    wb_status status = wb_model_open(&model, dir, &err);
    if (!status) status = wb_tokenize(model, &text, 0, ids, TINY_POSITIONS, &n_ids, &err);
    if (status) printf("the sound folder: %s\n", err.message);
    wb_model_close(model);
    folder_erase(&f, dir);
    folder_close(&f);
    return status == WB_OK && n_ids == 5 && ids[0] == 2 && ids[1] == 5 && ids[4] == 3;
}

int main(int argc, char **argv) {
    (void)argv;
    // The tokenizer's JSON becomes a tree, whose empty objects cost most: measured 76.
    broken_test t = {.open = open_model,
                     .most_ratio = 96,
                     .dir = "/tmp/wattbert-broken-XXXXXX",
                     .is_verbose = argc > 1};
    // jansson is a shared library: without this its blocks would not be counted.
    json_set_alloc_funcs(malloc, free);
    if (!mkdtemp(t.dir)) {
        perror("mkdtemp");
        return 1;
    }
    if (!check_sound(t.dir, false) || !check_sound(t.dir, true)) t.n_failed++;
    each_mutation(checkpoint_mutations, check_broken, &t);
    const int n_checkpoint = t.n_folders;
    each_mutation(tokenizer_mutations, check_broken, &t);
    if (rmdir(t.dir) != 0) {
        perror(t.dir);
        t.n_failed++;
    }
    printf(
        "%d broken folders and %d broken tokenizers, %d failures, at most %.1f bytes of heap a "
        "byte\n",
        n_checkpoint, t.n_folders - n_checkpoint, t.n_failed, t.worst_ratio);
    return t.n_failed > 0;
}
