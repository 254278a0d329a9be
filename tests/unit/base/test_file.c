// SPDX-License-Identifier: Apache-2.0
// Whole files: what is there is read completely, what is missing, forbidden, no file or too long
// fails with the path in the message and nothing left open.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

typedef wb_status opener(wb_file *file, const char *path, wb_error *err);

static wb_status read_1_mib(wb_file *file, const char *path, wb_error *err) {
    return wb_file_read(file, path, (size_t)1 << 20, err);
}

static opener *const openers[] = {wb_file_map, read_1_mib};
enum { N_OPENERS = 2 };

static char dir[] = "/tmp/wattbert-test-XXXXXX";

static const char *in_dir(const char *name) {
    static char path[256];
    assert_true(wb_path_join(path, sizeof path, dir, name));
    return path;
}

static void write_file(const char *path, size_t n_bytes) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    for (size_t i = 0; i < n_bytes; i++) fputc((int)(i * 31 % 251), out);
    assert_int_equal(fclose(out), 0);
}

static void test_contents(void **state) {
    (void)state;
    // Around the sizes at which the read buffer grows: 4096, one byte of it spare.
    static const size_t sizes[] = {1, 4094, 4095, 4096, 4097, 8190, 8191, 8192, 100000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const char *path = in_dir("contents");
        write_file(path, sizes[s]);
        for (int o = 0; o < N_OPENERS; o++) {
            wb_file file;
            assert_int_equal(openers[o](&file, path, NULL), WB_OK);
            assert_int_equal(file.n_bytes, sizes[s]);
            for (size_t i = 0; i < sizes[s]; i++) assert_int_equal(file.data[i], i * 31 % 251);
            if (openers[o] == read_1_mib) assert_int_equal(file.data[sizes[s]], 0);
            wb_file_close(&file);
            assert_null(file.data);
            wb_file_close(&file);  // a closed file is an empty one
        }
        unlink(path);
    }
}

static void test_empty(void **state) {
    (void)state;
    const char *path = in_dir("empty");
    write_file(path, 0);
    for (int o = 0; o < N_OPENERS; o++) {
        wb_file file;
        assert_int_equal(openers[o](&file, path, NULL), WB_OK);
        assert_int_equal(file.n_bytes, 0);
        wb_file_close(&file);
    }
    unlink(path);
}

static void expect_failure(opener *open, const char *path, wb_status status, const char *says) {
    wb_file file = {.n_bytes = 99};
    wb_error err;
    assert_int_equal(open(&file, path, &err), status);
    assert_null(file.data);
    assert_int_equal(file.n_bytes, 0);
    assert_int_equal(err.status, status);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, says));
}

static void test_missing(void **state) {
    (void)state;
    for (int o = 0; o < N_OPENERS; o++)
        expect_failure(openers[o], in_dir("missing"), WB_ERR_IO, "No such file");
}

static void test_directory(void **state) {
    (void)state;
    expect_failure(wb_file_map, dir, WB_ERR_IO, "not a regular file");
    expect_failure(read_1_mib, dir, WB_ERR_IO, "directory");
}

static void test_pipe_does_not_hang(void **state) {
    (void)state;
    const char *path = in_dir("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_failure(wb_file_map, path, WB_ERR_IO, "not a regular file");
    unlink(path);
}

static void test_denied(void **state) {
    (void)state;
    const char *path = in_dir("denied");
    write_file(path, 10);
    chmod(path, 0);
    const uid_t user = geteuid(), nobody = 65534;
    if (user == 0) assert_int_equal(seteuid(nobody), 0);  // root reads everything
    for (int o = 0; o < N_OPENERS; o++)
        expect_failure(openers[o], path, WB_ERR_DENIED, "Permission denied");
    if (user == 0) assert_int_equal(seteuid(user), 0);
    unlink(path);
}

static void test_too_long(void **state) {
    (void)state;
    const char *path = in_dir("long");
    write_file(path, 5000);
    wb_file file;
    wb_error err;
    assert_int_equal(wb_file_read(&file, path, 5000, &err), WB_OK);
    assert_int_equal(file.n_bytes, 5000);
    wb_file_close(&file);
    assert_int_equal(wb_file_read(&file, path, 4999, &err), WB_ERR_FORMAT);
    assert_int_equal(err.offset, 4999);
    assert_null(file.data);
    unlink(path);
    // Endless files must end too.
    assert_int_equal(wb_file_read(&file, "/dev/zero", 100000, &err), WB_ERR_FORMAT);
    assert_null(file.data);
}

static void test_proc(void **state) {
    (void)state;
    wb_file file;  // stat says 0 bytes
    assert_int_equal(read_1_mib(&file, "/proc/self/status", NULL), WB_OK);
    assert_true(file.n_bytes > 100);
    assert_int_equal(strlen((const char *)file.data), file.n_bytes);
    wb_file_close(&file);
}

static void test_paths(void **state) {
    (void)state;
    char out[8];
    assert_true(wb_path_join(out, sizeof out, "ab", "cde"));
    assert_string_equal(out, "ab/cde");
    assert_true(wb_path_join(out, sizeof out, "ab/", "cde"));
    assert_string_equal(out, "ab/cde");
    assert_true(wb_path_join(out, sizeof out, "abc", "def"));
    assert_false(wb_path_join(out, sizeof out, "abc", "defg"));
    assert_true(wb_file_exists(dir));
    assert_false(wb_file_exists(in_dir("missing")));
}

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static void test_write(void **state) {
    (void)state;
    const char *path = in_dir("written");
    static const char *const contents[] = {"first, and longer than the second", "second", ""};
    for (int i = 0; i < 3; i++) {
        wb_file file;
        assert_int_equal(wb_file_write(path, contents[i], strlen(contents[i]), NULL), WB_OK);
        assert_int_equal(wb_file_read(&file, path, 100, NULL), WB_OK);
        assert_string_equal((const char *)file.data, contents[i]);
        wb_file_close(&file);
    }
    unlink(path);
    wb_error err;
    assert_int_equal(wb_file_write("/nowhere/at/all", "x", 1, &err), WB_ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
    // A folder cannot be replaced, and no part of the file stays behind.
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(wb_file_write(path, "x", 1, &err), WB_ERR_IO);
    assert_int_equal(rmdir(path), 0);
}

static int remove_dir(void **state) {
    (void)state;
    return rmdir(dir);  // fails if a test left something behind
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_pipe_does_not_hang),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_proc),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
