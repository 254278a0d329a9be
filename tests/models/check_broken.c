// SPDX-License-Identifier: Apache-2.0
// What must be true of every broken folder: one clear error that names the file, nothing left
// allocated, open or written, and never more memory than a small multiple of the folder's bytes.
// The linker puts the counting functions below in the place of malloc's family for everything
// that is linked statically (-Wl,--wrap), so that it works under sanitizers too.
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"

static size_t n_now, n_peak, n_until_failure;

void *__real_aligned_alloc(size_t alignment, size_t n_bytes);
void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t n, size_t n_bytes);
void *__real_realloc(void *block, size_t n_bytes);
void __real_free(void *block);
void *__wrap_aligned_alloc(size_t alignment, size_t n_bytes);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t n, size_t n_bytes);
void *__wrap_realloc(void *block, size_t n_bytes);
void __wrap_free(void *block);

// Whether the allocation that is asked for is the one to fail.
static bool fails_now(void) {
    return n_until_failure > 0 && --n_until_failure == 0;
}

void fail_allocation(size_t n) {
    n_until_failure = n;
}

static void *count(void *block) {
    n_now += block ? malloc_usable_size(block) : 0;
    if (n_now > n_peak) n_peak = n_now;
    return block;
}

static void uncount(void *block) {
    n_now -= block ? malloc_usable_size(block) : 0;
}

void *__wrap_aligned_alloc(size_t alignment, size_t n_bytes) {
    return fails_now() ? NULL : count(__real_aligned_alloc(alignment, n_bytes));
}

void *__wrap_malloc(size_t n_bytes) {
    return fails_now() ? NULL : count(__real_malloc(n_bytes));
}

void *__wrap_calloc(size_t n, size_t n_bytes) {
    return fails_now() ? NULL : count(__real_calloc(n, n_bytes));
}

void *__wrap_realloc(void *block, size_t n_bytes) {
    if (fails_now()) return NULL;
    uncount(block);
    return count(__real_realloc(block, n_bytes));
}

void __wrap_free(void *block) {
    uncount(block);
    __real_free(block);
}

size_t heap_bytes(void) {
    return n_now;
}

size_t heap_peak(void) {
    return n_peak;
}

void reset_peak(void) {
    n_peak = n_now;
}

// ---- One folder ---------------------------------------------------------------------

// Heap that any open may take for itself: the checkpoint's fixed parts, a few kilobytes of path.
enum { FIXED_BYTES = 64 << 10 };

static int count_open_files(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) != -1;
    return n;
}

int count_mappings(const char *dir) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;
    while (maps && fgets(line, sizeof line, maps)) n += strstr(line, dir) != NULL;
    if (maps) fclose(maps);
    return n;
}

static void report(broken_test *t, const mutation *m, int variant, const char *what,
                   const wb_error *err) {
    t->n_failed++;
    printf("broken folder \"%s\" (%d): %s: %s\n", m->name, variant, what, err->message);
}

// One line, not empty, that begins with the folder and says what the table wants.
static const char *fault_of_message(const broken_test *t, const mutation *m, wb_status status,
                                    const wb_error *err) {
    if (status == WB_OK) return "no error at all";
    if (status != err->status) return "two statuses";
    if (status == WB_ERR_MEMORY || status > WB_ERR_MODEL) return "the wrong status";
    if (strncmp(err->message, t->dir, strlen(t->dir)) != 0) return "does not name the file";
    if (strpbrk(err->message, "\r\n\t")) return "more than one line";
    if (strlen(err->message) < strlen(t->dir) + 20) return "hardly a sentence";
    if (m->expect && !strstr(err->message + strlen(t->dir), m->expect)) return m->expect;
    return NULL;
}

void check_broken(void *context, const folder *f, const mutation *m, int variant) {
    broken_test *t = context;
    wb_error err;
    memset(&err, 0xaa, sizeof err);
    folder_write(f, t->dir);
    const int n_files = count_open_files();
    const size_t before = heap_bytes();
    reset_peak();
    const wb_status status = t->open(t->dir, &err);
    const size_t peak = heap_peak() - before, size = folder_bytes(f);
    if (status == WB_OK) err.message[0] = 0;
    if (t->is_verbose) printf("%-40s %s\n", m->name, err.message);
    const char *fault = fault_of_message(t, m, status, &err);
    if (fault) report(t, m, variant, fault, &err);
    if (heap_bytes() != before) report(t, m, variant, "memory leaked", &err);
    if (count_open_files() != n_files) report(t, m, variant, "a file left open", &err);
    if (count_mappings(t->dir) != 0) report(t, m, variant, "a file left mapped", &err);
    if (peak > FIXED_BYTES + (size_t)t->most_ratio * size) {
        printf("%zu bytes for a folder of %zu\n", peak, size);
        report(t, m, variant, "too much memory", &err);
    }
    const double ratio =
        peak > FIXED_BYTES ? (double)(peak - FIXED_BYTES) / (double)(size + 1) : 0.0;
    if (ratio > t->worst_ratio) t->worst_ratio = ratio;
    char executed[128];
    if (!wb_path_join(executed, sizeof executed, t->dir, "executed") || wb_file_exists(executed) ||
        wb_file_exists("executed"))
        report(t, m, variant, "code was run", &err);
    folder_erase(f, t->dir);
    t->n_folders++;
}
