// SPDX-License-Identifier: Apache-2.0
// What can go wrong, and how wattbert says it: a code for programs, a byte
// position for files, one sentence for people. Shared by wattbert.h and energy.h.
#ifndef WATTBERT_ERROR_H
#define WATTBERT_ERROR_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WB_API __attribute__((visibility("default")))
#define WB_CHECKED __attribute__((warn_unused_result))
#define WB_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define WB_API
#define WB_CHECKED
#define WB_PRINTF(string, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Whose fault it is. 0 is success and the only value that is not a failure.
typedef enum wb_status {
    WB_OK = 0,
    WB_ERR_MEMORY,  // the machine: an allocation failed
    WB_ERR_IO,  // the machine or the user: a file is missing or cannot be read; message has errno's
                // text
    WB_ERR_FORMAT,  // the user's file: its bytes break the rules of its format; offset says where
    WB_ERR_MODEL,  // the user's file: well formed, but not a DistilBERT classifier (tensor missing,
                   // wrong shape)
    WB_ERR_ARGUMENT,     // the caller: a value outside its legal range
    WB_ERR_UNSUPPORTED,  // the machine: it has no arithmetic for this technique; message is the
                         // reason for the table
    WB_ERR_ABSENT,       // the machine: no such counter or device here. Often no failure at all
    WB_ERR_DENIED,       // the machine: there, but this user may not read it
    WB_ERR_REFUSED,    // the machine: there and readable, but not to be believed (a dead counter, a
                       // shared GPU)
    WB_ERR_CANCELLED,  // the caller asked to stop
    WB_ERR_DEVICE,     // the machine: the GPU was lost or failed while it worked
} wb_status;

// One failure. The caller owns it; 0-initialise it or not, every failing
// function fills all of it and succeeding ones leave it alone.
typedef struct wb_error {
    wb_status status;
    uint64_t offset;    // byte position in the file that the message names; 0 where there is none
    char message[512];  // "what, where, what to do", one line, no full stop, never empty after a
                        // failure
} wb_error;

// The enumerator's name in words, "malformed file"; static, never NULL.
WB_API const char *wb_status_name(wb_status status);

#ifdef __cplusplus
}
#endif
#endif
