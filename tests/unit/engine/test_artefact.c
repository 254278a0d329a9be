// SPDX-License-Identifier: Apache-2.0
// The file of static scales: what is written comes back, and every broken, cut or foreign file
// gives one clear error and nothing half-read. (Mutations of such files: fuzz_scales.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/artefact.h"

static const wb_shape shape = {.n_layers = 1,
                               .d_model = 4,
                               .n_heads = 2,
                               .d_head = 2,
                               .d_ff = 6,
                               .vocab_size = 60,
                               .max_positions = 12,
                               .n_labels = 2,
                               .max_length = 12};

typedef struct fixture {
    wb_kernels kernels;
    wb_plan plan;
    char *text;  // a sound artefact
    size_t n_bytes;
    wb_origin origin;
} fixture;

static float *smooth_of(int k) {
    float *smooth = wb_alloc_array((size_t)k, sizeof *smooth);
    assert_non_null(smooth);
    for (int i = 0; i < k; i++) smooth[i] = wb_smooth_step(7 * i - 9);
    return smooth;
}

// Numbers that are no round ones in binary or decimal, and names that need care in JSON.
static void fill(wb_artefact *a) {
    snprintf(a->made_by, sizeof a->made_by, "wattbert 0.1.0");
    snprintf(a->model.name, sizeof a->model.name, "my \"model\"\\");
    snprintf(a->model.weights_file, sizeof a->model.weights_file, "model.safetensors");
    memset(a->model.weights_sha256, 'a', 64);
    memset(a->model.config_sha256, 'b', 64);
    a->model.fingerprint = 0x0123456789abcdef;
    snprintf(a->texts_name, sizeof a->texts_name, "tr\xc3\xa4in\n.tsv");
    memset(a->texts_sha256, 'c', 64);
    a->n_texts = 256;
    a->n_tokens = 3664;
    a->max_error = 0.05;
    a->i8_error = 0.0175181005;
    a->fp8_error = 1e-9;
    for (int i = 0; i < a->scales.n_matrices; i++) {
        wb_matrix_scales *m = &a->matrices[i];
        *m = (wb_matrix_scales){.x_max = 1.58335197f + (float)i,
                                .i8_error = 0.1 / (i + 1),
                                .fp8_error = 1.0 / 3.0,
                                .fp8_x_max = 28.5939941f,
                                .i8_dynamic_error = 0.0,
                                .i8 = i == 1  ? WB_I8_DYNAMIC
                                      : i > 3 ? WB_F32
                                              : WB_I8_STATIC,
                                .fp8 = i > 2 ? WB_F16 : WB_FP8_STATIC};
    }
    a->matrices[0].smooth = smooth_of(4);
    a->matrices[3].smooth = smooth_of(6);
}

static char *read_all(const char *path, size_t *n_bytes) {
    wb_file file;
    assert_int_equal(wb_file_read(&file, path, 1 << 20, NULL), WB_OK);
    char *text = malloc(file.n_bytes + 1);
    assert_non_null(text);
    memcpy(text, file.data, file.n_bytes + 1);
    *n_bytes = file.n_bytes;
    wb_file_close(&file);
    return text;
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    wb_options options = wb_default_options();
    wb_cpu cpu = {.n_cores = 1};
    wb_kernels_select(&f->kernels, 0);
    assert_int_equal(wb_plan_init(&f->plan, &shape, &options, &f->kernels, &cpu, NULL), WB_OK);
    wb_artefact *a;
    assert_int_equal(wb_artefact_create(&a, &f->plan, NULL), WB_OK);
    fill(a);
    f->origin = a->model;
    char path[] = "/tmp/wattbert-test-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(wb_artefact_write(a, &f->plan, path, NULL), WB_OK);
    f->text = read_all(path, &f->n_bytes);
    unlink(path);
    wb_artefact_close(a);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    wb_plan_free(&f->plan);
    free(f->text);
    free(f);
    return 0;
}

static wb_status parse(wb_artefact **out, const fixture *f, const char *text, size_t n_bytes,
                       const wb_origin *expected, wb_error *err) {
    // A copy without a byte behind its end, for the sanitizer to see.
    uint8_t *copy = malloc(n_bytes ? n_bytes : 1);
    assert_non_null(copy);
    memcpy(copy, text, n_bytes);
    const wb_source source = {.data = copy, .n_bytes = n_bytes, .name = "scales.json"};
    *out = (wb_artefact *)copy;
    *err = (wb_error){.status = WB_OK};
    const wb_status status = wb_artefact_parse(out, &source, &f->plan, expected, err);
    free(copy);
    return status;
}

static void test_comes_back(void **state) {
    const fixture *f = *state;
    wb_artefact *a, *want;
    wb_error err;
    assert_int_equal(wb_artefact_create(&want, &f->plan, NULL), WB_OK);
    fill(want);
    assert_int_equal(parse(&a, f, f->text, f->n_bytes, &f->origin, &err), WB_OK);
    assert_string_equal(a->made_by, "wattbert 0.1.0");
    assert_string_equal(a->model.name, want->model.name);
    assert_string_equal(a->texts_name, "tr??in?.tsv");
    assert_true(a->n_texts == 256 && a->n_tokens == 3664);
    assert_true(a->max_error == 0.05 && a->i8_error == 0.0175181005 && a->fp8_error == 1e-9);
    assert_int_equal(a->scales.n_matrices, f->plan.n_matrices);
    assert_ptr_equal(a->scales.matrices, a->matrices);
    for (int i = 0; i < f->plan.n_matrices; i++) {
        const wb_matrix_scales *got = &a->matrices[i], *m = &want->matrices[i];
        assert_true(got->x_max == m->x_max && got->fp8_x_max == m->fp8_x_max);
        assert_true(fabs(got->i8_error - m->i8_error) <= 1e-8 * m->i8_error);
        assert_true(fabs(got->fp8_error - m->fp8_error) <= 1e-8 * m->fp8_error);
        assert_true(got->i8 == m->i8 && got->fp8 == m->fp8);
        assert_int_equal(got->smooth != NULL, m->smooth != NULL);
        if (m->smooth)
            assert_memory_equal(got->smooth, m->smooth,
                                (size_t)f->plan.matrices[i].k * sizeof *m->smooth);
    }
    wb_artefact_close(a);
    wb_artefact_close(want);
}

// text with the first `find` made `put`; the caller frees it.
static char *edit(const fixture *f, const char *find, const char *put) {
    char *at = strstr(f->text, find);
    assert_non_null(at);
    const size_t before = (size_t)(at - f->text), left = strlen(at) - strlen(find);
    char *edited = malloc(before + strlen(put) + left + 1);
    assert_non_null(edited);
    memcpy(edited, f->text, before);
    memcpy(edited + before, put, strlen(put));
    memcpy(edited + before + strlen(put), at + strlen(find), left + 1);
    return edited;
}

static void refuse(const fixture *f, const char *text, size_t n_bytes, wb_status want,
                   const char *expect) {
    wb_artefact *a;
    wb_error err;
    const wb_status status = parse(&a, f, text, n_bytes, &f->origin, &err);
    if (status != want || a || !strstr(err.message, expect) || !strstr(err.message, "scales.json"))
        fail_msg("status %d, not %d with \"%s\": %s", (int)status, (int)want, expect, err.message);
}

static const struct {
    const char *find, *put;
    wb_status status;
    const char *expect;
} edits[] = {
    {"\"wattbert_scales\": 1", "\"wattbert_scales\": 2", WB_ERR_FORMAT, "version 2"},
    {"\"wattbert_scales\": 1", "\"wattbert_scales\": 1.5", WB_ERR_FORMAT, "whole number"},
    {"\"wattbert_scales\": 1,", "", WB_ERR_FORMAT, "no scales of wattbert quantize"},
    {"\"weights_fingerprint\": \"0", "\"weights_fingerprint\": \"1", WB_ERR_MODEL, "made for"},
    {"\"weights_fingerprint\": \"0123", "\"weights_fingerprint\": \"", WB_ERR_FORMAT, "16 digits"},
    {"\"weights_fingerprint\": \"0", "\"weights_fingerprint\": \"x", WB_ERR_FORMAT, "16 digits"},
    {"\"config_sha256\": \"b", "\"config_sha256\": \"d", WB_ERR_MODEL, "another config.json"},
    {"\"model\"", "\"muddle\"", WB_ERR_FORMAT, "before the model"},
    {"\"texts\": 256", "\"texts\": -1", WB_ERR_FORMAT, "negative"},
    {"\"asked\": 0.05", "\"asked\": -0.05", WB_ERR_FORMAT, "out of range"},
    {"\"matrices\"", "\"mattresses\"", WB_ERR_FORMAT, "no matrices"},
    {"\"name\": \"layer 0 qkv\"", "\"name\": \"layer 1 qkv\"", WB_ERR_FORMAT, "another matrix"},
    {"\"name\": \"layer 0 qkv\", ", "", WB_ERR_FORMAT, "lacks"},
    {"\"n\": 12", "\"n\": 13", WB_ERR_FORMAT, "another shape"},
    {"\"k\": 4", "\"k\": 99999999999", WB_ERR_FORMAT, "another shape"},
    {"\"i8\": \"i8-static\"", "\"i8\": \"fp8-static\"", WB_ERR_FORMAT, "cannot have"},
    {"\"i8\": \"i8-static\"", "\"i8\": \"i9\"", WB_ERR_FORMAT, "cannot have"},
    {"\"fp8\": \"fp8-static\"", "\"fp8\": \"f32\"", WB_ERR_FORMAT, "cannot have"},
    {"\"i8_x_max\": 1.58335197", "\"i8_x_max\": -1", WB_ERR_FORMAT, "out of range"},
    {"\"i8_x_max\": 1.58335197", "\"i8_x_max\": 1e39", WB_ERR_FORMAT, "out of range"},
    {"\"i8_x_max\": 1.58335197", "\"i8_x_max\": 1e999", WB_ERR_FORMAT, "too large"},
    {"\"i8_x_max\": 1.58335197", "\"i8_x_max\": null", WB_ERR_FORMAT, "expected a number"},
    {"\"i8_x_max\": 1.58335197, ", "", WB_ERR_FORMAT, "lacks"},
    {"\"fp8_x_max\"", "\"fp9_x_max\"", WB_ERR_FORMAT, "lacks"},
    {"octaves\": [-9", "octaves\": [-900", WB_ERR_FORMAT, "too large"},
    {"octaves\": [-9", "octaves\": [0,-9", WB_ERR_FORMAT, "too long"},
    {"octaves\": [-9,", "octaves\": [", WB_ERR_FORMAT, "too short"},
    {"octaves\": [-9", "octaves\": [0.5", WB_ERR_FORMAT, "whole number"},
    {"octaves\": [", "octaves\": [1,1,1,1], \"smooth_eighth_octaves\": [", WB_ERR_FORMAT, "twice"},
    {"    {\"name\": \"classifier\"", "    {}, {\"name\": \"classifier\"", WB_ERR_FORMAT, "lacks"},
    {"\n  ]\n}", ", {}\n  ]\n}", WB_ERR_FORMAT, "more matrices"},
    {"\n  ]\n}", "\n  ], \"matrices\": []\n}", WB_ERR_FORMAT, "matrices twice"},
    {"\n  ]\n}", "\n  ]\n}}", WB_ERR_FORMAT, "follows the end"},
};

static void test_broken(void **state) {
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char *text = edit(f, edits[i].find, edits[i].put);
        refuse(f, text, strlen(text), edits[i].status, edits[i].expect);
        free(text);
    }
}

static void test_cut(void **state) {
    const fixture *f = *state;
    for (size_t n = 0; n + 2 < f->n_bytes; n++) refuse(f, f->text, n, WB_ERR_FORMAT, "scales.json");
}

// What a later version might add is no error, and neither is a range of nothing.
static void test_tolerance(void **state) {
    const fixture *f = *state;
    static const char *const puts[][2] = {
        {"\"made_by\"", "\"why\": [{\"a\": null}], \"made_by\""},
        {"\"n\": 12", "\"n\": 12, \"spread\": 1e5"},
        {"\"i8_x_max\": 1.58335197", "\"i8_x_max\": 0"},
        {"\"i8_x_max\": 1.58335197", "\"i8_x_max\": 1e-44"},
    };
    for (size_t i = 0; i < 4; i++) {
        char *text = edit(f, puts[i][0], puts[i][1]);
        wb_artefact *a;
        wb_error err;
        assert_int_equal(parse(&a, f, text, strlen(text), NULL, &err), WB_OK);
        if (i >= 2) assert_true(a->matrices[0].x_max == 0.0f);
        wb_artefact_close(a);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_tolerance),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
