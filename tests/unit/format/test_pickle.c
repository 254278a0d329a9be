// SPDX-License-Identifier: Apache-2.0
// The pickle machine on pickles that are sound, in every protocol: what torch.save writes with
// protocols 2 to 5 (tests/fuzz/corpus/pickle, made by PyTorch 2.15), and by hand what older
// writers did. What it refuses is the matter of tests/models.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "format/pickle.h"

static wb_status parse(wb_pickle *pickle, const void *data, size_t n_bytes) {
    const wb_source source = {.data = data, .n_bytes = n_bytes, .name = "pickle"};
    wb_error err = {0};
    const wb_status status = wb_pickle_open(pickle, &source, 0, n_bytes, &err);
    if (status) print_message("%s\n", err.message);
    return status;
}

static bool span_is(const void *data, wb_span span, const char *text) {
    return span.n_bytes == strlen(text) &&
           memcmp((const char *)data + span.first, text, span.n_bytes) == 0;
}

static void check_tensor(const wb_pickle_tensor *t, const char *dtype, int rank, int64_t rows,
                         int64_t columns) {
    assert_string_equal(t->dtype->name, dtype);
    assert_int_equal(t->rank, rank);
    if (rank > 0) assert_int_equal(t->shape[0], rows);
    if (rank > 1) assert_int_equal(t->shape[1], columns);
    if (rank > 1) assert_int_equal(t->stride[0], columns);
}

static void test_protocols(void **state) {
    (void)state;
    for (char protocol = '2'; protocol <= '5'; protocol++) {
        char path[] = WB_SOURCE_DIR "/tests/fuzz/corpus/pickle/linear-protocol2";
        path[sizeof path - 2] = protocol;
        wb_file file;
        wb_pickle pickle;
        assert_int_equal(wb_file_read(&file, path, 1 << 16, NULL), WB_OK);
        assert_int_equal(parse(&pickle, file.data, file.n_bytes), WB_OK);
        assert_int_equal(pickle.n_items, 2);
        assert_true(span_is(file.data, pickle.items[0].name, "weight"));
        assert_true(span_is(file.data, pickle.items[1].name, "bias"));
        check_tensor(&pickle.tensors[pickle.items[0].tensor], "FloatStorage", 2, 3, 4);
        check_tensor(&pickle.tensors[pickle.items[1].tensor], "FloatStorage", 1, 3, 0);
        assert_true(span_is(file.data, pickle.tensors[1].storage, "1"));
        assert_int_equal(pickle.tensors[1].storage_elements, 3);
        wb_pickle_close(&pickle);
        wb_file_close(&file);
    }
}

static void test_views(void **state) {
    (void)state;
    wb_file file;
    wb_pickle pickle;
    assert_int_equal(
        wb_file_read(&file, WB_SOURCE_DIR "/tests/fuzz/corpus/pickle/views", 1 << 16, NULL), WB_OK);
    assert_int_equal(parse(&pickle, file.data, file.n_bytes), WB_OK);
    assert_int_equal(pickle.n_items, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(span_is(file.data, pickle.tensors[i].storage, "0"));
        assert_int_equal(pickle.tensors[i].storage_elements, 12);
    }
    assert_int_equal(pickle.tensors[1].first, 4);
    assert_int_equal(pickle.tensors[2].stride[0], 1);
    assert_int_equal(pickle.tensors[2].stride[1], 4);
    wb_pickle_close(&pickle);
    wb_file_close(&file);
}

static void test_parameters(void **state) {
    (void)state;
    wb_file file;
    wb_pickle pickle;
    assert_int_equal(
        wb_file_read(&file, WB_SOURCE_DIR "/tests/fuzz/corpus/pickle/parameter", 1 << 16, NULL),
        WB_OK);
    assert_int_equal(parse(&pickle, file.data, file.n_bytes), WB_OK);
    assert_int_equal(pickle.n_items, 2);
    check_tensor(&pickle.tensors[pickle.items[0].tensor], "FloatStorage", 2, 3, 4);
    wb_pickle_close(&pickle);
    wb_file_close(&file);
}

// Texts of Python 2, long numbers of both widths, the older call without hooks, one item at a time.
static void test_older_writers(void **state) {
    (void)state;
    static const char bytes[] =
        "\x80\x02}q\x00U\x04name"
        "ctorch._utils\n_rebuild_tensor\n("
        "(U\x07storage"
        "ctorch\nHalfStorage\n"
        "U\x01"
        "7U\x03"
        "cpuK\x06tQ"
        "\x8a\x01\x02"                      // first: 2
        "M\x02\x00J\x02\x00\x00\x00\x86"    // shape: 2, 2
        "\x8b\x01\x00\x00\x00\x02\x8a\x00"  // stride: 2, 0
        "\x86tRs."
        "what follows the end is never read";
    wb_pickle pickle;
    assert_int_equal(parse(&pickle, bytes, sizeof bytes - 1), WB_OK);
    assert_int_equal(pickle.n_items, 1);
    assert_true(span_is(bytes, pickle.items[0].name, "name"));
    const wb_pickle_tensor *t = &pickle.tensors[0];
    check_tensor(t, "HalfStorage", 2, 2, 2);
    assert_int_equal(t->first, 2);
    assert_int_equal(t->stride[1], 0);
    assert_int_equal(t->storage_elements, 6);
    assert_true(span_is(bytes, t->storage, "7"));
    wb_pickle_close(&pickle);
}

// Numbers of every width and sign come out as they went in, as the first element of a tensor.
static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int64_t value;
    } cases[] = {
        {"K\xff", 2, 255},
        {"M\xff\xff", 3, 65535},
        {"J\xff\xff\xff\xff", 5, -1},
        {"J\xff\xff\xff\x7f", 5, 0x7fffffff},
        {"\x8a\x00", 2, 0},
        {"\x8a\x01\xff", 3, -1},
        {"\x8a\x02\xff\x00", 4, 255},
        {"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80", 10, INT64_MIN},
        {"\x8b\x08\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f", 13, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const char start[] =
            "\x80\x02}X\x00\x00\x00\x00"
            "ctorch._utils\n_rebuild_tensor_v2\n(("
            "X\x07\x00\x00\x00storage"
            "ctorch\nFloatStorage\nX\x00\x00\x00\x00X\x00\x00\x00\x00K\x01tQ",
                          end[] = "))\x89}tRs.";
        char bytes[256];
        size_t n = sizeof start - 1;
        memcpy(bytes, start, n);
        memcpy(bytes + n, cases[i].bytes, cases[i].n);
        n += cases[i].n;
        memcpy(bytes + n, end, sizeof end - 1);
        n += sizeof end - 1;
        wb_pickle pickle;
        assert_int_equal(parse(&pickle, bytes, n), WB_OK);
        assert_true(pickle.tensors[0].first == cases[i].value);
        wb_pickle_close(&pickle);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols),  cmocka_unit_test(test_views),
        cmocka_unit_test(test_parameters), cmocka_unit_test(test_older_writers),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
