// SPDX-License-Identifier: Apache-2.0
// Sound model folders open, in every form and type that people have, and give the values that
// were written. Real checkpoints are tried too where they are: those in the folders that
// WATTBERT_MODELS names (separated by colons) and the demo model.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"

static char dir[] = "/tmp/wattbert-sound-XXXXXX";

static wb_checkpoint *open_folder_of(const folder *f) {
    wb_checkpoint *checkpoint;
    wb_error err;
    folder_write(f, dir);
    const wb_status status = wb_checkpoint_open(&checkpoint, dir, &err);
    if (status) print_error("%s\n", err.message);
    assert_int_equal(status, WB_OK);
    return checkpoint;
}

static void close_folder(wb_checkpoint *checkpoint, folder *f) {
    assert_int_not_equal(count_mappings(dir), 0);
    wb_checkpoint_close(checkpoint);
    assert_int_equal(count_mappings(dir), 0);
    folder_erase(f, dir);
    folder_close(f);
}

// Every tensor of the model is in the checkpoint with its shape, type and values.
static void check_tensors(const wb_checkpoint *checkpoint, const tiny_model *model) {
    for (int i = 0; i < model->n; i++) {
        const tiny_tensor *want = &model->tensors[i];
        const wb_tensor *got = wb_checkpoint_tensor(checkpoint, want->name);
        assert_non_null(got);
        assert_int_equal(got->dtype, want->dtype);
        assert_int_equal(got->rank, want->rank);
        assert_memory_equal(got->shape, want->shape, (size_t)want->rank * sizeof *got->shape);
        assert_int_equal(got->n_bytes, want->n_elements * tiny_element_bytes(want->dtype));
        float values[TINY_VOCAB * TINY_D_MODEL];
        wb_tensor_widen(values, got, 0, want->n_elements);
        assert_memory_equal(values, want->values, want->n_elements * sizeof *values);
    }
}

static void check_config(const wb_config *config) {
    assert_int_equal(config->n_layers, TINY_LAYERS);
    assert_int_equal(config->d_model, TINY_D_MODEL);
    assert_int_equal(config->n_heads, TINY_HEADS);
    assert_int_equal(config->d_head, TINY_D_MODEL / TINY_HEADS);
    assert_int_equal(config->d_ff, TINY_D_FF);
    assert_int_equal(config->vocab_size, TINY_VOCAB);
    assert_int_equal(config->max_positions, TINY_POSITIONS);
    assert_int_equal(config->n_labels, TINY_LABELS);
    assert_int_equal(config->activation, WB_CONFIG_GELU);
    assert_false(config->is_regression);
    assert_false(config->is_multi_label);
    assert_false(config->has_sinusoidal);
    assert_true(config->has_label_names);
    assert_string_equal(config->labels[0], "NEGATIVE");
    assert_string_equal(config->labels[1], "POSITIVE");
}

static void test_forms(void **state) {
    (void)state;
    static const char *const files[N_FORMS] = {"model.safetensors", "model.safetensors.index.json",
                                               "pytorch_model.bin", "pytorch_model.bin.index.json"};
    static const wb_dtype dtypes[] = {WB_DTYPE_F32, WB_DTYPE_F16, WB_DTYPE_BF16};
    for (int form = 0; form < N_FORMS; form++) {
        for (int d = 0; d < 3; d++) {
            tiny_model model;
            folder f;
            tiny_open(&model, dtypes[d]);
            folder_of(&f, (folder_form)form, &model);
            wb_checkpoint *checkpoint = open_folder_of(&f);
            assert_string_equal(wb_checkpoint_weights_file(checkpoint), files[form]);
            check_config(wb_checkpoint_config(checkpoint));
            check_tensors(checkpoint, &model);
            assert_null(wb_checkpoint_tensor(checkpoint, "classifier"));
            assert_null(wb_checkpoint_tensor(checkpoint, ""));
            close_folder(checkpoint, &f);
            tiny_close(&model);
        }
    }
}

// Safetensors before torch, a single file before an index: as transformers prefers.
static void test_preference(void **state) {
    (void)state;
    tiny_model model;
    folder f;
    tiny_open(&model, WB_DTYPE_F16);
    folder_of(&f, SAFETENSORS, &model);
    put_text(folder_add(&f, "pytorch_model.bin"), "broken");
    put_text(folder_add(&f, "model.safetensors.index.json"), "broken");
    wb_checkpoint *checkpoint = open_folder_of(&f);
    assert_string_equal(wb_checkpoint_weights_file(checkpoint), "model.safetensors");
    close_folder(checkpoint, &f);
    tiny_close(&model);
}

// Mixed types, old names of layer norms, buffers and heads that nothing uses; with every form.
static void test_liberties(void **state) {
    (void)state;
    for (int form = 0; form < N_FORMS; form++) {
        tiny_model model, renamed;
        folder f;
        tiny_open(&model, WB_DTYPE_F32);
        tiny_find(&model, "pre_classifier.weight")->dtype = WB_DTYPE_BF16;
        tiny_find(&model, "distilbert.embeddings.word_embeddings.weight")->dtype = WB_DTYPE_F16;
        tiny_open(&renamed, WB_DTYPE_F32);
        tiny_find(&renamed, "pre_classifier.weight")->dtype = WB_DTYPE_BF16;
        tiny_find(&renamed, "distilbert.embeddings.word_embeddings.weight")->dtype = WB_DTYPE_F16;
        strcpy(tiny_find(&renamed, "distilbert.embeddings.LayerNorm.weight")->name,
               "distilbert.embeddings.LayerNorm.gamma");
        strcpy(tiny_find(&renamed, "distilbert.transformer.layer.1.sa_layer_norm.bias")->name,
               "distilbert.transformer.layer.1.sa_layer_norm.beta");
        tiny_add(&renamed, "distilbert.embeddings.position_ids", WB_DTYPE_I64, 2, 1,
                 TINY_POSITIONS);
        tiny_add(&renamed, "vocab_projector.weight", WB_DTYPE_F32, 2, TINY_VOCAB, TINY_D_MODEL);
        folder_of(&f, (folder_form)form, &renamed);
        wb_checkpoint *checkpoint = open_folder_of(&f);
        check_tensors(checkpoint, &model);
        assert_null(wb_checkpoint_tensor(checkpoint, "distilbert.embeddings.LayerNorm.gamma"));
        assert_int_equal(
            wb_checkpoint_tensor(checkpoint, "distilbert.embeddings.position_ids")->dtype,
            WB_DTYPE_I64);
        close_folder(checkpoint, &f);
        tiny_close(&model);
        tiny_close(&renamed);
    }
}

// A tensor that starts inside its storage, one whose dimension of 1 has an odd stride.
static void test_views(void **state) {
    (void)state;
    tiny_model model;
    folder f;
    tiny_open(&model, WB_DTYPE_F16);
    tiny_find(&model, "classifier.weight")->first = 5;
    tiny_find(&model, "pre_classifier.weight")->first = 300;
    tiny_reshape(tiny_find(&model, "classifier.weight"), 2, 1, TINY_D_MODEL);
    tiny_reshape(tiny_find(&model, "classifier.bias"), 1, 1, 0);
    tiny_find(&model, "classifier.weight")->stride[0] = 1234;
    folder_of(&f, TORCH, &model);
    bytes *config = folder_file_of(&f, "config.json");
    replace_text(config, 0, ",\n    \"1\": \"POSITIVE\"", "");
    wb_checkpoint *checkpoint = open_folder_of(&f);
    check_tensors(checkpoint, &model);
    assert_int_equal(wb_checkpoint_config(checkpoint)->n_labels, 1);
    assert_true(wb_checkpoint_config(checkpoint)->is_regression);
    close_folder(checkpoint, &f);
    tiny_close(&model);
}

// The directory's record of one entry says all it can in a zip64 field.
static void widen_record(bytes *file) {
    const size_t end = file->n - 22, first = get_u32(file, end + 16);
    const size_t record = find_text(file, first, "pytorch_model/data/3") - 46;
    bytes extra = {0};
    put_u16(&extra, 0x4142);  // some other writer's field
    put_u16(&extra, 2);
    put_u16(&extra, 0);
    put_u16(&extra, 1);
    put_u16(&extra, 24);
    put_u64(&extra, get_u32(file, record + 24));
    put_u64(&extra, get_u32(file, record + 20));
    put_u64(&extra, get_u32(file, record + 42));
    set_u32(file, record + 20, 0xffffffff);
    set_u32(file, record + 24, 0xffffffff);
    set_u32(file, record + 42, 0xffffffff);
    set_u16(file, record + 30, (uint16_t)extra.n);
    set_u32(file, end + 12, get_u32(file, end + 12) + (uint32_t)extra.n);
    set_u64(file, end - 76 + 40, get_u32(file, end + 12));
    set_u64(file, end - 20 + 8, end - 76 + extra.n);
    replace_bytes(file, record + 46 + get_u16(file, record + 28), 0, extra.data, extra.n);
    clear_bytes(&extra);
}

// An archive without zip64 records, one after other bytes' worth of comment, one with its sizes in
// the local header, one with zip64 fields: what other writers than torch make.
static void test_other_archives(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        tiny_model model;
        folder f;
        tiny_open(&model, WB_DTYPE_F32);
        folder_of(&f, TORCH, &model);
        bytes *file = folder_weights(&f);
        if (kind == 0) replace_bytes(file, file->n - 22 - 76, 76, "", 0);
        if (kind == 1) {
            put_text(file, "a comment");
            set_u16(file, file->n - 9 - 2, 9);
        }
        if (kind == 2) {
            const size_t header = find_text(file, 0, "pytorch_model/data/3") - 30;
            set_u16(file, header + 6, 0);
            set_u32(file, header + 18, TINY_D_MODEL * 4);
            set_u32(file, header + 22, TINY_D_MODEL * 4);
        }
        if (kind == 3) widen_record(file);
        wb_checkpoint *checkpoint = open_folder_of(&f);
        check_tensors(checkpoint, &model);
        close_folder(checkpoint, &f);
        tiny_close(&model);
    }
}

// Tensors at odd addresses: a safetensors header that is not padded.
static void test_alignment(void **state) {
    (void)state;
    for (size_t pad = 0; pad < 4; pad++) {
        tiny_model model;
        folder f;
        tiny_open(&model, WB_DTYPE_F32);
        folder_of(&f, SAFETENSORS, &model);
        bytes *file = folder_weights(&f);
        const size_t n = get_u64(file, 0);
        replace_bytes(file, 8 + n, 0, "   ", pad);
        set_u64(file, 0, n + pad);
        wb_checkpoint *checkpoint = open_folder_of(&f);
        check_tensors(checkpoint, &model);
        close_folder(checkpoint, &f);
        tiny_close(&model);
    }
}

// What config.json may leave out or say in another way.
static void test_configs(void **state) {
    (void)state;
    static const struct {
        const char *find, *put;
        bool is_regression, is_multi_label, has_names;
        const char *first_label;
    } cases[] = {
        {"\"id2label\": {\n    \"0\": \"NEGATIVE\",\n    \"1\": \"POSITIVE\"\n  },", "", false,
         false, false, "LABEL_0"},
        {"\"id2label\": {\n    \"0\": \"NEGATIVE\",\n    \"1\": \"POSITIVE\"\n  },",
         "\"num_labels\": 2, \"id2label\": null,", false, false, false, "LABEL_0"},
        {"\"NEGATIVE\",\n    \"1\": \"POSITIVE\"", "\"LABEL_0\",\"1\":\"LABEL_1\"", false, false,
         false, "LABEL_0"},
        {"\"NEGATIVE\",\n    \"1\": \"POSITIVE\"", "\"LABEL_1\",\"1\":\"LABEL_0\"", false, false,
         true, "LABEL_1"},
        {"\"0\": \"NEGATIVE\",\n    \"1\": \"POSITIVE\"",
         "\"1\":\"x\",\"0\":\"\\u00e9\\ud83d\\ude00\\n\"", false, false, true,
         "\xc3\xa9\xf0\x9f\x98\x80\n"},
        {"\"single_label_classification\"", "null", false, false, true, "NEGATIVE"},
        {"\"single_label_classification\"", "\"regression\"", true, false, true, "NEGATIVE"},
        {"\"single_label_classification\"", "\"multi_label_classification\"", false, true, true,
         "NEGATIVE"},
        {"\"model_type\": \"distilbert\",", "", false, false, true, "NEGATIVE"},
        {"\"dim\": 8", "\"dim\": 8, \"hidden_size\": 8, \"num_labels\": 2", false, false, true,
         "NEGATIVE"},
        {"\"dim\": 8", "\"hidden_size\": 8", false, false, true, "NEGATIVE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        folder f;
        folder_open(&f, SAFETENSORS);
        replace_text(folder_file_of(&f, "config.json"), 0, cases[i].find, cases[i].put);
        wb_checkpoint *checkpoint = open_folder_of(&f);
        const wb_config *config = wb_checkpoint_config(checkpoint);
        assert_int_equal(config->is_regression, cases[i].is_regression);
        assert_int_equal(config->is_multi_label, cases[i].is_multi_label);
        assert_int_equal(config->has_label_names, cases[i].has_names);
        assert_int_equal(config->n_labels, 2);
        assert_string_equal(config->labels[0], cases[i].first_label);
        close_folder(checkpoint, &f);
    }
}

static void test_words(void **state) {
    (void)state;
    static const struct {
        const char *word;
        wb_config_activation activation;
    } words[] = {{"gelu", WB_CONFIG_GELU},
                 {"gelu_python", WB_CONFIG_GELU},
                 {"relu", WB_CONFIG_RELU},
                 {"silu", WB_CONFIG_SILU},
                 {"swish", WB_CONFIG_SILU}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        folder f;
        folder_open(&f, SAFETENSORS);
        replace_text(folder_file_of(&f, "config.json"), 0, "gelu", words[i].word);
        replace_text(folder_file_of(&f, "config.json"), 0, "\"sinusoidal_pos_embds\": false",
                     "\"sinusoidal_pos_embds\": true");
        wb_checkpoint *checkpoint = open_folder_of(&f);
        assert_int_equal(wb_checkpoint_config(checkpoint)->activation, words[i].activation);
        assert_true(wb_checkpoint_config(checkpoint)->has_sinusoidal);
        close_folder(checkpoint, &f);
    }
}

// Every single allocation of an open fails once: WB_ERR_MEMORY and nothing left.
static void test_failing_memory(void **state) {
    (void)state;
    for (int form = 0; form < N_FORMS; form++) {
        folder f;
        folder_open(&f, (folder_form)form);
        folder_write(&f, dir);
        wb_status status = WB_ERR_MEMORY;
        size_t n = 0;
        while (status) {
            wb_checkpoint *checkpoint;
            wb_error err = {0};
            const size_t before = heap_bytes();
            fail_allocation(++n);
            status = wb_checkpoint_open(&checkpoint, dir, &err);
            fail_allocation(0);
            if (status) {
                assert_int_equal(status, WB_ERR_MEMORY);
                assert_int_equal(err.status, WB_ERR_MEMORY);
                assert_null(checkpoint);
            }
            wb_checkpoint_close(checkpoint);
            assert_int_equal(heap_bytes(), before);
        }
        assert_true(n > TINY_TENSORS);
        folder_erase(&f, dir);
        folder_close(&f);
    }
}

static void test_no_error_wanted(void **state) {
    (void)state;
    wb_checkpoint *checkpoint = (wb_checkpoint *)dir;
    assert_int_equal(wb_checkpoint_open(&checkpoint, "/nowhere", NULL), WB_ERR_IO);
    assert_null(checkpoint);
    wb_checkpoint_close(NULL);
}

// A path that leaves no room in a message: its end is shown, and what is wrong.
static void test_long_path(void **state) {
    (void)state;
    char path[2048] = "/tmp/";
    wb_checkpoint *checkpoint;
    wb_error err;
    while (strlen(path) < 1900) strcat(path, "../tmp/");
    strcat(path, dir + strlen("/tmp/"));
    folder f;
    folder_open(&f, SAFETENSORS);
    replace_text(folder_file_of(&f, "config.json"), 0, "\"dim\": 8", "\"dim\": -8");
    folder_write(&f, dir);
    assert_int_equal(wb_checkpoint_open(&checkpoint, path, &err), WB_ERR_MODEL);
    assert_non_null(strstr(err.message, "config.json: dim is -8"));
    folder_erase(&f, dir);
    folder_close(&f);
}

static void try_real(const char *path) {
    wb_checkpoint *checkpoint;
    wb_error err;
    const wb_status status = wb_checkpoint_open(&checkpoint, path, &err);
    if (status) print_error("%s\n", err.message);
    assert_int_equal(status, WB_OK);
    const wb_config *config = wb_checkpoint_config(checkpoint);
    print_message("%s: %s, %d layers of %d, %s ..\n", path, wb_checkpoint_weights_file(checkpoint),
                  config->n_layers, config->d_model, config->labels[0]);
    wb_checkpoint_close(checkpoint);
}

static void test_real(void **state) {
    (void)state;
    const char *models = getenv("WATTBERT_MODELS");
    if (wb_file_exists(WB_SOURCE_DIR "/demo/model/config.json"))
        try_real(WB_SOURCE_DIR "/demo/model");
    if (!models) {
        print_message("skipped: WATTBERT_MODELS names no model folders\n");
        return;
    }
    char *paths = strdup(models), *rest = paths;
    assert_non_null(paths);
    for (const char *path; (path = strsep(&rest, ":"));) try_real(path);
    free(paths);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),          cmocka_unit_test(test_preference),
        cmocka_unit_test(test_liberties),      cmocka_unit_test(test_views),
        cmocka_unit_test(test_other_archives), cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_configs),        cmocka_unit_test(test_words),
        cmocka_unit_test(test_failing_memory), cmocka_unit_test(test_no_error_wanted),
        cmocka_unit_test(test_long_path),      cmocka_unit_test(test_real),
    };
    if (!mkdtemp(dir)) return 1;
    const int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    return n_failed || rmdir(dir) != 0;
}
