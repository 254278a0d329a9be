// SPDX-License-Identifier: Apache-2.0
// Hundreds of broken model folders, each of which must give one clear error and nothing else; then
// sound ones with random bits flipped, which may open or not but must do either cleanly. Arguments:
// the number of random folders (1000), their seed (1), and "list" to print all messages.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "folder.h"

enum { LEAST_FOLDERS = 200 };

static wb_status open_checkpoint(const char *dir, wb_error *err) {
    wb_checkpoint *checkpoint;
    const wb_status status = wb_checkpoint_open(&checkpoint, dir, err);
    wb_checkpoint_close(checkpoint);
    return status;
}

// Flips one to four bits, half of the time in the first or last 4 kB, where the structure is.
static void flip_bits(folder *f, wb_random *random) {
    bytes *file = &f->files[wb_random_below(random, (uint64_t)f->n)].contents;
    const uint64_t n_flips = 1 + wb_random_below(random, 4);
    for (uint64_t i = 0; i < n_flips; i++) {
        const size_t near = file->n < 4096 ? file->n : 4096;
        size_t at = wb_random_below(random, file->n);
        if (wb_random_below(random, 2)) at = wb_random_below(random, near);
        if (wb_random_below(random, 4) == 0) at = file->n - 1 - wb_random_below(random, near);
        file->data[at] ^= (uint8_t)(1u << wb_random_below(random, 8));
    }
}

// Returns how many of n folders opened all the same.
static int check_flipped(broken_test *t, int n, uint64_t seed) {
    int n_opened = 0;
    wb_random random = {.state = seed};
    for (int i = 0; i < n; i++) {
        folder f;
        folder_open(&f, (folder_form)(i % N_FORMS));
        flip_bits(&f, &random);
        folder_write(&f, t->dir);
        const size_t before = heap_bytes();
        wb_error err = {0};
        const wb_status status = open_checkpoint(t->dir, &err);
        const bool is_clean = status == WB_OK || (err.status == status && err.message[0]);
        if (!is_clean || heap_bytes() != before) {
            printf("random folder %d of seed %llu: unclean\n", i, (unsigned long long)seed);
            t->n_failed++;
        }
        n_opened += status == WB_OK;
        folder_erase(&f, t->dir);
        folder_close(&f);
    }
    return n_opened;
}

int main(int argc, char **argv) {
    const int n_random = argc > 1 ? atoi(argv[1]) : 1000;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    // pickle.h promises 32; measured 27.5.
    broken_test t = {.most_ratio = 32,
                     .open = open_checkpoint,
                     .dir = "/tmp/wattbert-broken-XXXXXX",
                     .is_verbose = argc > 3};
    if (!mkdtemp(t.dir)) {
        perror("mkdtemp");
        return 1;
    }
    each_mutation(checkpoint_mutations, check_broken, &t);
    const int n_opened = check_flipped(&t, n_random, seed);
    if (rmdir(t.dir) != 0) {
        perror(t.dir);
        t.n_failed++;
    }
    printf(
        "%d broken folders, %d failures, at most %.1f bytes of heap a byte; %d of %d folders with "
        "random flips opened\n",
        t.n_folders, t.n_failed, t.worst_ratio, n_opened, n_random);
    return t.n_failed > 0 || t.n_folders < LEAST_FOLDERS;
}
