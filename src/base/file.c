// SPDX-License-Identifier: Apache-2.0
// Whole files: mapped where they are large and stay, read where the kernel makes
// them up (sysfs, procfs report size 0 and cannot be mapped).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

wb_status wb_file_map(wb_file *file, const char *path, wb_error *err) {
    *file = (wb_file){0};
    // O_NONBLOCK: a pipe that a hostile folder calls model.safetensors must not hang the open.
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return wb_fail_errno(err, path);
    struct stat info = {0};
    wb_status status = WB_OK;
    if (fstat(fd, &info) != 0) {
        status = wb_fail_errno(err, path);
    } else if (!S_ISREG(info.st_mode)) {
        status = wb_fail(err, WB_ERR_IO, 0, "%s: not a regular file", path);
    } else if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = wb_fail_errno(err, path);
        else
            *file = (wb_file){
                .data = data,
                .n_bytes = (size_t)info.st_size,
                .is_mapped = true,
                .descriptor = fd,
                .modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec};
    }
    if (!file->is_mapped) close(fd);
    return status;
}

// Doubles the block when it is full; n_bytes of *data are kept, one byte is spare for the final 0.
static wb_status grow(uint8_t **data, size_t *capacity, size_t n_bytes, const char *path,
                      wb_error *err) {
    if (n_bytes + 1 < *capacity) return WB_OK;
    const size_t doubled = *capacity ? 2 * *capacity : 4096;
    uint8_t *grown = wb_realloc_array(*data, n_bytes, doubled, 1);
    if (!grown) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its contents", path);
    *data = grown;
    *capacity = doubled;
    return WB_OK;
}

wb_status wb_file_read(wb_file *file, const char *path, size_t max_bytes, wb_error *err) {
    *file = (wb_file){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return wb_fail_errno(err, path);
    uint8_t *data = NULL;
    size_t capacity = 0, n_bytes = 0;
    wb_status status = WB_OK;
    for (;;) {
        status = grow(&data, &capacity, n_bytes, path, err);
        if (status) break;
        const ssize_t got = read(fd, data + n_bytes, capacity - n_bytes - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) status = wb_fail_errno(err, path);
        if (got <= 0) break;
        n_bytes += (size_t)got;
        if (n_bytes > max_bytes) {
            status = wb_fail(err, WB_ERR_FORMAT, max_bytes, "%s: longer than %zu bytes", path,
                             max_bytes);
            break;
        }
    }
    close(fd);
    if (status) {
        wb_free(data);
        return status;
    }
    data[n_bytes] = 0;
    *file = (wb_file){.data = data, .n_bytes = n_bytes};
    return WB_OK;
}

void wb_file_close(wb_file *file) {
    if (file->is_mapped) {
        munmap((void *)(uintptr_t)file->data, file->n_bytes);
        close(file->descriptor);
    } else {
        wb_free((void *)(uintptr_t)file->data);
    }
    *file = (wb_file){0};
}

void wb_file_release(const void *data, size_t n_bytes) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)data + n_bytes) / page * page;
    // Advice only: where it is refused, the pages stay.
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

bool wb_file_read_at(const wb_file *file, size_t offset, void *out, size_t n_bytes) {
    for (size_t done = 0; file->is_mapped && done < n_bytes;) {
        const ssize_t n =
            pread(file->descriptor, (char *)out + done, n_bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return file->is_mapped;
}

bool wb_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool wb_path_join(char *out, size_t capacity, const char *dir, const char *name) {
    const size_t length = strlen(dir);
    const char *separator = length > 0 && dir[length - 1] == '/' ? "" : "/";
    const int n = snprintf(out, capacity, "%s%s%s", dir, separator, name);
    return n >= 0 && (size_t)n < capacity;
}
