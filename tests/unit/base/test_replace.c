// SPDX-License-Identifier: Apache-2.0
// Files that are replaced as a whole: by one writer of several, not at all where the disk is full,
// and over what a writer that died has left.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

static char dir[64] = "/tmp/wattbert-test-XXXXXX", path[96], part[112];

static int make_dir(void **state) {
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(part, sizeof part, "%s.part", path);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    unlink(path);
    return rmdir(dir);  // fails where a part has stayed behind
}

static void expect_contents(const char *contents) {
    wb_file file;
    assert_int_equal(wb_file_read(&file, path, 1 << 20, NULL), WB_OK);
    assert_string_equal((const char *)file.data, contents);
    wb_file_close(&file);
}

static void test_pieces(void **state) {
    (void)state;
    const wb_bytes pieces[] = {{"first, ", 7}, {NULL, 0}, {"second", 6}};
    assert_int_equal(wb_file_replace(path, pieces, 3, false, NULL), WB_OK);
    expect_contents("first, second");
    assert_int_equal(wb_file_replace(path, pieces + 2, 1, true, NULL), WB_OK);
    expect_contents("second");
}

// Longer than what replaces it, so that its end would show.
static void test_after_a_dead_writer(void **state) {
    (void)state;
    FILE *left = fopen(part, "w");
    assert_non_null(left);
    fputs("what somebody wrote before the power went", left);
    fclose(left);
    assert_int_equal(wb_file_write(path, "whole", 5, NULL), WB_OK);
    expect_contents("whole");
}

static void test_another_writes(void **state) {
    (void)state;
    assert_int_equal(wb_file_write(path, "old", 3, NULL), WB_OK);
    const int fd = open(part, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    wb_error err;
    assert_int_equal(wb_file_write(path, "mine", 4, &err), WB_ERR_IO);
    assert_non_null(strstr(err.message, "another process"));
    expect_contents("old");
    assert_int_equal(unlink(part), 0);  // nobody took it from under the other
    close(fd);
}

enum { N_WRITERS = 4, N_ROUNDS = 50, N_BYTES = 100000 };

static void *write_rounds(void *argument) {
    char *contents = malloc(N_BYTES);
    if (!contents) return NULL;
    memset(contents, 'a' + (int)(intptr_t)argument, N_BYTES);
    for (int i = 0; i < N_ROUNDS; i++)
        (void)!wb_file_replace(path, &(wb_bytes){contents, N_BYTES}, 1, false, NULL);
    free(contents);
    return NULL;
}

// Whoever wins, a reader sees one writer's bytes and all of them.
static void test_writers_at_once(void **state) {
    (void)state;
    write_rounds((void *)0);
    pthread_t threads[N_WRITERS];
    for (int i = 0; i < N_WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_rounds, (void *)(intptr_t)i), 0);
    for (int i = 0; i < 200; i++) {
        wb_file file;
        assert_int_equal(wb_file_read(&file, path, 1 << 20, NULL), WB_OK);
        assert_int_equal(file.n_bytes, N_BYTES);
        for (int j = 1; j < N_BYTES; j++) assert_true(file.data[j] == file.data[0]);
        wb_file_close(&file);
    }
    for (int i = 0; i < N_WRITERS; i++) pthread_join(threads[i], NULL);
}

// A limit on the size of files stands for the end of the disk.
static int write_limited(void) {
    static char contents[N_BYTES];
    const struct rlimit limit = {.rlim_cur = N_BYTES / 2, .rlim_max = N_BYTES / 2};
    wb_error err = {.message = ""};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit)) return 2;
    const wb_status status = wb_file_write(path, contents, N_BYTES, &err);
    return status == WB_ERR_IO && strstr(err.message, path) ? 0 : 1;
}

static void test_disk_full(void **state) {
    (void)state;
    assert_int_equal(wb_file_write(path, "old", 3, NULL), WB_OK);
    const pid_t child = fork();
    if (child == 0) _exit(write_limited());
    int code = -1;
    waitpid(child, &code, 0);
    assert_int_equal(code, 0);
    expect_contents("old");
    assert_false(wb_file_exists(part));
}

static void test_read_at(void **state) {
    (void)state;
    wb_file file;
    char got[8] = "";
    assert_int_equal(wb_file_write(path, "0123456789", 10, NULL), WB_OK);
    assert_int_equal(wb_file_map(&file, path, NULL), WB_OK);
    assert_true(file.modified_ns > (int64_t)1500000000 * 1000000000);
    assert_true(wb_file_read_at(&file, 3, got, 4));
    assert_string_equal(got, "3456");
    assert_false(wb_file_read_at(&file, 8, got, 4));  // past the end
    wb_file_release(file.data, file.n_bytes);
    assert_memory_equal(file.data, "0123456789", 10);
    wb_file_close(&file);
    assert_false(wb_file_read_at(&file, 0, got, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),         cmocka_unit_test(test_after_a_dead_writer),
        cmocka_unit_test(test_another_writes), cmocka_unit_test(test_writers_at_once),
        cmocka_unit_test(test_disk_full),      cmocka_unit_test(test_read_at),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
