// SPDX-License-Identifier: Apache-2.0
// SHA-256 by the vectors of FIPS 180-4 and NIST's long message, in pieces of every size; and that a
// fingerprint sees every byte, its place and the length.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

static const struct {
    const char *text, *digest;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnop"
     "qr"
     "smnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void check(const char *data, size_t n_bytes, size_t piece, const char *digest) {
    wb_sha256 hash;
    char text[WB_SHA256_TEXT];
    wb_sha256_init(&hash);
    for (size_t at = 0; at < n_bytes; at += piece)
        wb_sha256_add(&hash, data + at, n_bytes - at < piece ? n_bytes - at : piece);
    wb_sha256_text(&hash, text);
    assert_string_equal(text, digest);
}

static void test_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        for (size_t piece = 1; piece <= 120; piece++)
            check(vectors[i].text, strlen(vectors[i].text), piece, vectors[i].digest);
}

static void test_a_million(void **state) {
    (void)state;
    char *text = malloc(1000000);
    assert_non_null(text);
    memset(text, 'a', 1000000);
    check(text, 1000000, 4093, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(text);
}

static void test_fingerprint(void **state) {
    (void)state;
    enum { MOST = 100 };
    uint8_t data[MOST];
    for (size_t n = 0; n < MOST; n++) {
        for (size_t i = 0; i < MOST; i++) data[i] = (uint8_t)(7 * i);
        const uint64_t mark = wb_fingerprint(0, data, n);
        assert_true(mark == wb_fingerprint(0, data, n));
        assert_true(mark != wb_fingerprint(1, data, n));
        if (n > 0) assert_true(mark != wb_fingerprint(0, data, n - 1));
        for (size_t i = 0; i < n; i++) {
            data[i] ^= 0x10;
            assert_true(mark != wb_fingerprint(0, data, n));
            data[i] ^= 0x10;
        }
    }
    // Zeros are not nothing, and words may not change places.
    memset(data, 0, MOST);
    assert_true(wb_fingerprint(0, data, 32) != wb_fingerprint(0, data, 64));
    data[0] = 1;
    const uint64_t first = wb_fingerprint(0, data, 64);
    data[0] = 0, data[8] = 1;
    const uint64_t second = wb_fingerprint(0, data, 64);
    data[8] = 0, data[32] = 1;
    assert_true(first != second && second != wb_fingerprint(0, data, 64));
}

// Longer than the pieces in which a file is read, and no multiple of anything.
static void test_fingerprint_of_a_file(void **state) {
    (void)state;
    const size_t n = (9 << 20) + 77;
    char path[] = "/tmp/wattbert-test-XXXXXX";
    uint8_t *data = malloc(n);
    wb_random random = {.state = 2};
    wb_file file;
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)wb_random_next(&random);
    close(mkstemp(path));
    assert_int_equal(wb_file_write(path, data, n, NULL), WB_OK);
    assert_int_equal(wb_file_map(&file, path, NULL), WB_OK);
    assert_true(wb_fingerprint_file(3, &file) == wb_fingerprint(3, data, n));
    wb_file_close(&file);
    assert_true(wb_fingerprint_file(3, &file) == wb_fingerprint(3, NULL, 0));
    unlink(path);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_a_million),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_fingerprint_of_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
