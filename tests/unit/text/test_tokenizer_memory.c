// SPDX-License-Identifier: Apache-2.0
// Every allocation of opening and encoding fails once, base's and jansson's: WB_ERR_MEMORY, nothing
// half-built, nothing leaked (the sanitizer build looks).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "text/tokenizer.h"

// Allocations that still succeed; -1: all do. The only mutable global, because malloc has no
// context.
static long n_left = -1;

static bool take_one(void) {
    if (n_left == 0) return false;
    if (n_left > 0) n_left--;
    return true;
}

// In place of libc's, which base's allocator calls.
void *aligned_alloc(size_t alignment, size_t n_bytes);
void *aligned_alloc(size_t alignment, size_t n_bytes) {
    void *block = NULL;
    if (!take_one() || posix_memalign(&block, alignment, n_bytes) != 0) return NULL;
    return block;
}

static void *allocate_json(size_t n_bytes) {
    return take_one() ? malloc(n_bytes) : NULL;
}

static const char tokenizer_json[] =
    "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"normalizer\":{\"type\":"
    "\"BertNormalizer\","
    "\"clean_text\":true,\"handle_chinese_chars\":true,\"lowercase\":true},\"added_tokens\":["
    "{\"content\":\"[SEP]\"},{\"content\":\"b c\",\"normalized\":true},"
    "{\"content\":\"B D\",\"normalized\":true}],\"model\":{\"type\":\"WordPiece\",\"vocab\":{"
    "\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##a\":4}}}";
static const char config_json[] = "{\"do_lower_case\":true,\"mask_token\":\"[SEP]\"}";

static void write_file(const char *dir, const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

// Fails encoding at every allocation it makes; there are some, the text being without spaces.
static void fail_encoding(const wb_tokenizer *tokenizer) {
    enum { N_BYTES = 3000 };
    char text[N_BYTES];
    int32_t ids[64];
    int n_ids = 0;
    memset(text, 'a', sizeof text);
    wb_status status = WB_ERR_MEMORY;
    long n_failed = 0;
    for (; status == WB_ERR_MEMORY; n_failed++) {
        n_left = n_failed;
        status = wb_tokenizer_encode(tokenizer, text, sizeof text, text, sizeof text, 64, ids,
                                     &n_ids, NULL);
        assert_true(status == WB_OK || n_ids == 0);
    }
    assert_int_equal(status, WB_OK);
    assert_true(n_failed > 2);
}

static void every_failure_is_clean(void **state) {
    (void)state;
    char dir[] = "/tmp/wattbert-memory-XXXXXX", path[128];
    assert_non_null(mkdtemp(dir));
    write_file(dir, "tokenizer.json", tokenizer_json);
    write_file(dir, "tokenizer_config.json", config_json);
    json_set_alloc_funcs(allocate_json, free);
    wb_tokenizer *tokenizer = NULL;
    wb_status status = WB_ERR_MEMORY;
    long n_failed = 0;
    for (; status; n_failed++) {
        wb_error err = {0};
        n_left = n_failed;
        status = wb_tokenizer_open(&tokenizer, dir, &err);
        // jansson reports some of its own as malformed input.
        assert_true(status == WB_OK || status == WB_ERR_MEMORY || status == WB_ERR_FORMAT);
        assert_true(status == WB_OK || (!tokenizer && err.status == status && err.message[0]));
    }
    assert_true(n_failed > 50);
    fail_encoding(tokenizer);
    n_left = -1;
    wb_tokenizer_close(tokenizer);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, i ? "tokenizer.json" : "tokenizer_config.json");
        unlink(path);
    }
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_failure_is_clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
