// SPDX-License-Identifier: Apache-2.0
// Failures as values: the only place where a wb_error is written.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

wb_status wb_fail(wb_error *err, wb_status status, uint64_t offset, const char *format, ...) {
    if (!err) return status;
    err->status = status;
    err->offset = offset;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    // Names of tensors and files come from outside: a message stays one printable line.
    for (char *c = err->message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return status;
}

const char *wb_status_name(wb_status status) {
    switch (status) {
        case WB_OK: return "success";
        case WB_ERR_MEMORY: return "out of memory";
        case WB_ERR_IO: return "cannot read";
        case WB_ERR_FORMAT: return "malformed file";
        case WB_ERR_MODEL: return "unsuitable model";
        case WB_ERR_ARGUMENT: return "bad argument";
        case WB_ERR_UNSUPPORTED: return "not supported by this machine";
        case WB_ERR_ABSENT: return "absent";
        case WB_ERR_DENIED: return "permission denied";
        case WB_ERR_REFUSED: return "refused";
        case WB_ERR_CANCELLED: return "cancelled";
        case WB_ERR_DEVICE: return "device failed";
    }
    return "unknown status";
}

wb_status wb_fail_errno(wb_error *err, const char *path) {
    const int code = errno;
    const wb_status status = code == EACCES || code == EPERM ? WB_ERR_DENIED : WB_ERR_IO;
    return wb_fail(err, status, 0, "%.400s: %s", path, strerror(code));
}
