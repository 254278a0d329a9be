// SPDX-License-Identifier: Apache-2.0
// A small /sys in a temporary folder, written and rewritten by a test.
#ifndef TREE_H
#define TREE_H

#include <errno.h>
#include <fcntl.h>
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
    if (access(full, F_OK) == 0) return;
    for (char *c = full + strlen(t->root) + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        if (mkdir(full, 0755) != 0 && errno != EEXIST) abort();
        *c = '/';
    }
}

// Writes over what was there: cutting a file to nothing first would make some file systems
// (ext4) flush it to the disk, a thousand times a test.
__attribute__((format(printf, 3, 4))) static inline void tree_write(const tree *t, const char *path,
                                                                    const char *format, ...) {
    char full[512], text[512];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tree_path(t, full, path);
    const int fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) != 0) abort();
    close(fd);
}

#endif
