// SPDX-License-Identifier: Apache-2.0
// A file that others see whole or not at all: written beside its name and renamed. The file beside
// has one name, so that nothing piles up where a writer dies; a lock on it keeps writers apart.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

// Everything of data, however many calls that takes.
static bool write_all(int fd, const uint8_t *data, size_t n_bytes) {
    while (n_bytes > 0) {
        const ssize_t n = write(fd, data, n_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        n_bytes -= (size_t)n;
    }
    return true;
}

static bool write_pieces(int fd, const wb_bytes *pieces, int n_pieces) {
    for (int i = 0; i < n_pieces; i++)
        if (!write_all(fd, pieces[i].data, pieces[i].n_bytes)) return false;
    return true;
}

// Whether fd is locked for this writer and still what part names: between opening and locking,
// another may have finished and renamed it. Where a file system has no locks, writers take their
// chance, and what they write is checked by its readers.
static bool is_alone(int fd, const char *part) {
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(part, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

wb_status wb_file_replace(const char *path, const wb_bytes *pieces, int n_pieces, bool is_durable,
                          wb_error *err) {
    char part[4096];
    const int length = snprintf(part, sizeof part, "%s.part", path);
    if (length < 0 || (size_t)length >= sizeof part)
        return wb_fail(err, WB_ERR_IO, 0, "%.64s..: the path is too long", path);
    const int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return wb_fail_errno(err, path);
    if (!is_alone(fd, part)) {
        close(fd);
        return wb_fail(err, WB_ERR_IO, 0, "%.400s: another process is writing it", path);
    }
    // Renamed before it is closed, because closing gives up the lock.
    const bool is_written = ftruncate(fd, 0) == 0 && write_pieces(fd, pieces, n_pieces) &&
                            (!is_durable || fsync(fd) == 0) && rename(part, path) == 0;
    const wb_status status = is_written ? WB_OK : wb_fail_errno(err, path);
    if (!is_written) unlink(part);
    close(fd);
    return status;
}

wb_status wb_file_write(const char *path, const void *data, size_t n_bytes, wb_error *err) {
    return wb_file_replace(path, &(wb_bytes){.data = data, .n_bytes = n_bytes}, 1, true, err);
}
