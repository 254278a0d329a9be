// SPDX-License-Identifier: Apache-2.0
// What every other folder may use and what would be at home in any C project:
// failure, memory, whole files, time, threads. Nothing here knows what a model is.
#ifndef WB_BASE_H
#define WB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wattbert/error.h"

// ---- error.c ----

// Fills *err (may be NULL) and returns status, so that failing is one statement:
// return wb_fail(err, WB_ERR_FORMAT, offset, "%s: header says %llu bytes", path, n).
WB_PRINTF(4, 5)
wb_status wb_fail(wb_error *err, wb_status status, uint64_t offset, const char *format, ...);

// From errno, "path: No such file or directory": WB_ERR_DENIED where only the permission is
// missing, else WB_ERR_IO.
wb_status wb_fail_errno(wb_error *err, const char *path);

// ---- alloc.c: the only place that calls malloc, so that tests can make it fail ----

// All return NULL on failure or when the size overflows; all blocks start on a
// 64-byte boundary, one cache line and one AVX-512 register.
void *wb_alloc(size_t n_bytes);
void *wb_alloc_zeroed(size_t n_bytes);
void *wb_alloc_array(size_t n, size_t element_bytes);  // zeroed
// block[n] <- block[old_n], grown or shrunk; the old block stays valid on failure.
void *wb_realloc_array(void *block, size_t old_n, size_t n, size_t element_bytes);
char *wb_string_copy(const char *text, size_t n_bytes);  // ends in 0
void wb_free(void *block);

// ---- file.c ----

typedef struct wb_file {
    const uint8_t *data;  // NULL when empty
    size_t n_bytes;
    bool is_mapped;       // else owned memory
    int descriptor;       // of a mapped file, open as long as it is
    int64_t modified_ns;  // of a mapped file, since 1970
} wb_file;

// Maps a regular file read-only. WB_ERR_IO, or WB_ERR_DENIED where only the permission is
// missing, names the path and errno's text; anything but a regular file is WB_ERR_IO.
wb_status wb_file_map(wb_file *file, const char *path, wb_error *err);
// Reads at most max_bytes of anything readable (sysfs and procfs report size 0); a
// longer file is WB_ERR_FORMAT. data ends in an extra 0 byte that n_bytes does not count.
wb_status wb_file_read(wb_file *file, const char *path, size_t max_bytes, wb_error *err);
void wb_file_close(wb_file *file);
// Takes the pages that lie wholly inside data[n_bytes] of a mapped file out of this process's
// memory; they stay in the system's cache, and come back when they are read again.
void wb_file_release(const void *data, size_t n_bytes);
// out <- n_bytes of a mapped file from offset on, without its mapping; false where that failed.
bool wb_file_read_at(const wb_file *file, size_t offset, void *out, size_t n_bytes);
bool wb_file_exists(const char *path);
// out <- "dir/name"; false if it does not fit.
bool wb_path_join(char *out, size_t capacity, const char *dir, const char *name);

// ---- replace.c ----

typedef struct wb_bytes {
    const void *data;
    size_t n_bytes;
} wb_bytes;

// path <- the pieces, one after the other; a file of this name is replaced only once the new one is
// complete, and on the disk where is_durable. Of several writers at once one succeeds, in whatever
// process or thread they are.
//   WB_ERR_IO (the disk is full, another is writing this file), WB_ERR_DENIED
wb_status wb_file_replace(const char *path, const wb_bytes *pieces, int n_pieces, bool is_durable,
                          wb_error *err);
// path <- data[n_bytes], durable.
wb_status wb_file_write(const char *path, const void *data, size_t n_bytes, wb_error *err);

// ---- sha256.c ----

enum { WB_SHA256_TEXT = 65 };  // 64 hexadecimal digits and a final 0

typedef struct wb_sha256 {
    uint32_t state[8];
    uint64_t n_bytes;  // added so far
    uint8_t block[64];
} wb_sha256;

void wb_sha256_init(wb_sha256 *hash);
void wb_sha256_add(wb_sha256 *hash, const void *data, size_t n_bytes);
// out <- the digest of all that was added; hash is used up.
void wb_sha256_text(wb_sha256 *hash, char out[WB_SHA256_TEXT]);

// A mark of data[n_bytes] after what `before` marks (0: nothing), at the speed of memory: tells
// files apart that were mixed up by mistake, not by intent.
uint64_t wb_fingerprint(uint64_t before, const void *data, size_t n_bytes);
// The same of a file's contents, which a mapping brings into memory a piece at a time.
uint64_t wb_fingerprint_file(uint64_t before, const wb_file *file);

// ---- clock.c ----

uint64_t wb_clock_ns(void);          // monotonic
uint64_t wb_clock_process_ns(void);  // CPU time of all threads of this process
void wb_sleep_ns(uint64_t ns);

// ---- pool.c: a fixed team of threads ----

typedef struct wb_pool wb_pool;

// Runs task (0 .. n_tasks-1) on worker (0 .. n_threads-1); must not fail.
typedef void wb_task(void *context, int task, int worker);

// n_threads counts the caller: 1 makes no thread at all.
wb_status wb_pool_open(wb_pool **out, int n_threads, wb_error *err);
void wb_pool_close(wb_pool *pool);
int wb_pool_threads(const wb_pool *pool);

// Wakes the threads that sleep, for a run that follows at once: they look for it for as long as a
// wake-up costs, which so passes while the caller prepares. Nothing depends on it.
void wb_pool_wake(wb_pool *pool);

// Returns when all tasks are done. Tasks are handed out in order, one at a time, the
// caller works too, and alone where there is one task. Waiting threads sleep: they spin no longer
// than a wake-up costs, which wb_pool_open measures (in about 1 ms).
void wb_pool_run(wb_pool *pool, wb_task *task, void *context, int n_tasks);
// The same where neighbouring tasks read neighbouring memory: worker i begins with the i-th of
// n_threads shares, in order, and takes from the others' when it is done.
void wb_pool_run_shares(wb_pool *pool, wb_task *task, void *context, int n_tasks);
// [begin, end) <- the tasks of the index-th of n_shares shares.
void wb_pool_cut(int *begin, int *end, int n_tasks, int index, int n_shares);

// Binds the pool's own threads, workers 1 .., to the hardware threads cpus[1 ..
// wb_pool_threads() - 1] by the system's numbers; the caller's thread stays as it is, see
// binding.c. After a failure none is bound.
//   WB_ERR_REFUSED  the system does not allow it, or has no such hardware thread
wb_status wb_pool_bind(wb_pool *pool, const int *cpus, wb_error *err);

// ---- binding.c: a thread that is on one hardware thread for a while ----

typedef struct wb_binding wb_binding;

wb_status wb_binding_open(wb_binding **out, int cpu, wb_error *err);
void wb_binding_close(wb_binding *binding);
// Moves the calling thread there; true where it has been moved and has to be let go again, which
// gives it back the mask that it had. NULL, a binding that holds already and a refusal: false.
bool wb_binding_hold(wb_binding *binding);
void wb_binding_release(wb_binding *binding);

// ---- random.c: reproducible everywhere, unlike rand() ----

typedef struct wb_random {
    uint64_t state;
} wb_random;

uint64_t wb_random_next(wb_random *random);  // SplitMix64, Steele et al. 2014
uint64_t wb_random_below(wb_random *random,
                         uint64_t bound);  // uniform in [0, bound), no modulo bias
double wb_random_unit(wb_random *random);  // uniform in [0, 1)

#endif
