// SPDX-License-Identifier: Apache-2.0
// A small /sys in a temporary folder, written and rewritten by a test.
#ifndef TREE_H
#define TREE_H

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct tree {
    char root[256];
} tree;

static inline void tree_open(tree *t) {
    const char *base = getenv("TMPDIR");
    snprintf(t->root, sizeof t->root, "%s/wattbert-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(t->root)) abort();
    chmod(t->root, 0755);  // for the tests that give up root's rights
}

static inline int tree_remove(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void tree_close(tree *t) {
    nftw(t->root, tree_remove, 16, FTW_DEPTH | FTW_PHYS);
}

// full <- root/path, its folders made.
static inline void tree_path(const tree *t, char full[512], const char *path) {
    snprintf(full, 512, "%s/%s", t->root, path);
    for (char *c = full + strlen(t->root) + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        if (mkdir(full, 0755) != 0 && errno != EEXIST) abort();
        *c = '/';
    }
}

__attribute__((format(printf, 3, 4))) static inline void tree_write(const tree *t, const char *path,
                                                                    const char *format, ...) {
    char full[512];
    tree_path(t, full, path);
    FILE *file = fopen(full, "w");
    if (!file) abort();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fclose(file);
}

#endif
