// SPDX-License-Identifier: Apache-2.0
// Small files that the kernel makes up, one value each, below a root that may stand for "/".
// Each read opens its file anew: a recorded tree may replace files, and an open costs 2 us.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "energy/source.h"

enum { PATH_BYTES = 1024 };

WB_PRINTF(3, 0)
static bool path_write(char path[PATH_BYTES], const char *root, const char *format,
                       va_list arguments) {
    const int start = snprintf(path, PATH_BYTES, "%s", root);
    if (start < 0 || start >= PATH_BYTES) return false;
    const int n = vsnprintf(path + start, PATH_BYTES - (size_t)start, format, arguments);
    return n >= 0 && start + n < PATH_BYTES;
}

// ENODEV and ENXIO: the file is there, its hardware is gone or asleep.
static wb_status fail_errno(const char *path, wb_error *err) {
    const int code = errno;
    const bool is_absent = code == ENOENT || code == ENOTDIR || code == ENODEV || code == ENXIO;
    const bool is_denied = code == EACCES || code == EPERM;
    const wb_status status = is_absent ? WB_ERR_ABSENT : is_denied ? WB_ERR_DENIED : WB_ERR_IO;
    return wb_fail(err, status, 0, "%s: %s", path, strerror(code));
}

// One read() is one value: the kernel formats it anew for each, and never in parts.
static wb_status read_text(char *text, size_t capacity, const char *path, wb_error *err) {
    text[0] = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(path, err);
    ssize_t n;
    do n = read(fd, text, capacity - 1);
    while (n < 0 && errno == EINTR);
    const wb_status status = n < 0 ? fail_errno(path, err) : WB_OK;
    close(fd);
    if (n < 0) n = 0;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) n--;
    text[n] = 0;
    return status;
}

wb_status wb_sysfs_text(char *text, size_t capacity, const char *root, wb_error *err,
                        const char *path_format, ...) {
    char path[PATH_BYTES];
    va_list arguments;
    va_start(arguments, path_format);
    const bool fits = path_write(path, root, path_format, arguments);
    va_end(arguments);
    text[0] = 0;
    if (!fits) return wb_fail(err, WB_ERR_IO, 0, "%s: path too long", root);
    return read_text(text, capacity, path, err);
}

// Digits only: strtoull would take signs, spaces and what follows.
static bool parse_u64(const char *text, uint64_t *value) {
    uint64_t sum = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        const uint64_t digit = (uint64_t)(*c - '0');
        if (sum > (UINT64_MAX - digit) / 10) return false;
        sum = 10 * sum + digit;
    }
    *value = sum;
    return c != text && *c == 0;
}

wb_status wb_sysfs_u64(uint64_t *value, const char *root, wb_error *err, const char *path_format,
                       ...) {
    char path[PATH_BYTES], text[64];
    va_list arguments;
    va_start(arguments, path_format);
    const bool fits = path_write(path, root, path_format, arguments);
    va_end(arguments);
    *value = 0;
    if (!fits) return wb_fail(err, WB_ERR_IO, 0, "%s: path too long", root);
    // A recorded tree's file is empty for the moment in which its player rewrites it.
    wb_status status = read_text(text, sizeof text, path, err);
    for (int i = 0; i < 20 && !status && text[0] == 0; i++) {
        wb_sleep_ns(100000);
        status = read_text(text, sizeof text, path, err);
    }
    if (status) return status;
    if (!parse_u64(text, value))
        return wb_fail(err, WB_ERR_IO, 0, "%s: \"%s\" is no whole number", path, text);
    return WB_OK;
}

bool wb_sysfs_exists(const char *root, const char *path_format, ...) {
    char path[PATH_BYTES];
    va_list arguments;
    va_start(arguments, path_format);
    const bool fits = path_write(path, root, path_format, arguments);
    va_end(arguments);
    struct stat info;
    return fits && stat(path, &info) == 0;
}
