// SPDX-License-Identifier: Apache-2.0
// A main() for fuzz targets where there is no libFuzzer: runs every file of a corpus, in order of
// name, then a number of seeded mutations of each, so that every test run fuzzes a little and
// two runs do the same. Usage: fuzz_x N_MUTATIONS FILE_OR_FOLDER [SEED]
//
// Each input is a block of its own of exactly its size: a sanitizer sees the first byte read
// beyond.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { MOST_BYTES = 1 << 20 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

// One to four changes: a byte, a bit, a run cut out, doubled or set, a length made extreme.
static size_t mutate(uint8_t *data, size_t n, size_t capacity, wb_random *random) {
    static const uint8_t extremes[] = {0, 1, 0x7f, 0x80, 0xff, '[', '{', '"', '(', '.'};
    const uint64_t n_changes = 1 + wb_random_below(random, 4);
    for (uint64_t i = 0; i < n_changes && n > 0; i++) {
        const size_t at = wb_random_below(random, n);
        const size_t run = 1 + wb_random_below(random, n - at < 64 ? n - at : 64);
        switch (wb_random_below(random, 6)) {
            case 0: data[at] = (uint8_t)wb_random_next(random); break;
            case 1: data[at] ^= (uint8_t)(1u << wb_random_below(random, 8)); break;
            case 2:
                memmove(data + at, data + at + run, n - at - run);
                n -= run;
                break;
            case 3:
                if (n + run > capacity) break;
                memmove(data + at + run, data + at, n - at);
                n += run;
                break;
            case 4:
                memset(data + at, extremes[wb_random_below(random, sizeof extremes)], run);
                break;
            default: n = at; break;
        }
    }
    return n;
}

static void run_copy(const uint8_t *data, size_t n) {
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) die("malloc");
    if (n) memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

// Returns how many inputs were run.
static long run_file(const char *path, long n_mutations, uint64_t seed) {
    wb_file file;
    wb_error err;
    if (wb_file_read(&file, path, MOST_BYTES, &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    run_copy(file.data, file.n_bytes);
    const size_t capacity = file.n_bytes + 256;
    uint8_t *changed = malloc(capacity);
    if (!changed) die("malloc");
    wb_random random = {.state = seed};
    for (long i = 0; i < n_mutations; i++) {
        if (file.n_bytes) memcpy(changed, file.data, file.n_bytes);
        run_copy(changed, mutate(changed, file.n_bytes, capacity, &random));
    }
    free(changed);
    wb_file_close(&file);
    return 1 + n_mutations;
}

static long run_folder(const char *path, long n_mutations, uint64_t seed) {
    struct dirent **entries;
    const int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) die(path);
    long n_run = 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        const bool is_hidden = entries[i]->d_name[0] == '.';
        if (!is_hidden && wb_path_join(file, sizeof file, path, entries[i]->d_name))
            n_run += run_file(file, n_mutations, seed + (uint64_t)i);
        free(entries[i]);
    }
    free(entries);
    return n_run;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s N_MUTATIONS FILE_OR_FOLDER [SEED]\n", argv[0]);
        return 2;
    }
    const long n_mutations = strtol(argv[1], NULL, 10);
    const uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
    DIR *folder = opendir(argv[2]);
    if (folder) closedir(folder);
    const long n_run =
        folder ? run_folder(argv[2], n_mutations, seed) : run_file(argv[2], n_mutations, seed);
    printf("%s: %ld inputs\n", argv[2], n_run);
    return n_run == 0;
}
