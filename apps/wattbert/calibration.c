// SPDX-License-Identifier: Apache-2.0
// A file is read to its end before texts are chosen, so that one sorted by label or length does no
// harm. Its hash is taken from the same bytes that sha256sum would read.
#include "calibration.h"

#include <stdio.h>
#include <string.h>

#include "app.h"

static wb_status hash_file(char out[WB_SHA256_TEXT], const char *path, wb_error *err) {
    wb_file file;
    const wb_status status = wb_file_map(&file, path, err);
    if (status) return app_advise_file(status, err);
    wb_sha256 hash;
    wb_sha256_init(&hash);
    wb_sha256_add(&hash, file.data, file.n_bytes);
    wb_sha256_text(&hash, out);
    wb_file_close(&file);
    return WB_OK;
}

static wb_status fail_memory(const char *path, wb_error *err) {
    return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory for its texts", path);
}

// ---- Copies of a stream's texts ----

static void free_copy(const wb_text *text) {
    wb_free((void *)(uintptr_t)text->text);
    wb_free((void *)(uintptr_t)text->pair);
}

static bool copy_text(wb_text *out, const wb_text *text) {
    *out = *text;
    out->text = wb_string_copy(text->text, text->n_bytes);
    out->pair = text->pair ? wb_string_copy(text->pair, text->pair_bytes) : NULL;
    if (out->text && (out->pair || !text->pair)) return true;
    free_copy(out);
    return false;
}

// Room for one chunk more; n_texts of them are there.
static bool grow(calibration_texts *c, size_t *capacity) {
    const size_t n = (size_t)c->n_texts;
    if (*capacity - n >= CHUNK_TEXTS) return true;
    const size_t grown = 2 * *capacity + CHUNK_TEXTS;
    wb_text *texts = wb_realloc_array(c->texts, n, grown, sizeof *texts);
    if (!texts) return false;
    c->texts = texts;
    *capacity = grown;
    return true;
}

static wb_status read_lines(calibration_texts *c, const char *path, text_form form, wb_error *err) {
    text_stream *stream;
    const text_chunk *chunk;
    size_t capacity = 0;
    wb_status status = texts_open(&stream, path, form, err);
    while (!status) {
        status = texts_next(stream, &chunk, err);
        if (status || chunk->n_texts == 0) break;
        if (!grow(c, &capacity)) status = fail_memory(path, err);
        for (int i = 0; !status && i < chunk->n_texts; i++) {
            if (copy_text(&c->texts[c->n_texts], &chunk->texts[i]))
                c->n_texts++;
            else
                status = fail_memory(path, err);
        }
    }
    texts_close(stream);
    return status;
}

static wb_status read_glue(calibration_texts *c, const char *path, const glue_task *task,
                           wb_error *err) {
    const wb_status status = glue_data_open(&c->data, task, path, err);
    if (status) return status;
    c->n_texts = c->data->n_examples;
    c->texts = wb_alloc_array((size_t)c->n_texts, sizeof *c->texts);
    if (!c->texts) return fail_memory(path, err);
    memcpy(c->texts, c->data->texts, (size_t)c->n_texts * sizeof *c->texts);
    return WB_OK;
}

// Keeps n of the texts in their order.
static wb_status thin_out(calibration_texts *c, const char *path, int n, uint64_t seed,
                          wb_error *err) {
    c->n_all = c->n_texts;
    if (n >= c->n_all) return WB_OK;
    int *chosen = wb_alloc_array((size_t)n, sizeof *chosen);
    if (!chosen) return fail_memory(path, err);
    glue_sample(chosen, n, c->n_all, seed);
    int kept = 0;
    for (int i = 0; i < c->n_all; i++) {
        if (kept < n && chosen[kept] == i)
            c->texts[kept++] = c->texts[i];
        else if (!c->data)
            free_copy(&c->texts[i]);
    }
    c->n_texts = n;
    wb_free(chosen);
    return WB_OK;
}

wb_status calibration_open(calibration_texts *out, const char *path, const glue_task *task,
                           text_form form, int n_texts, uint64_t seed, wb_error *err) {
    *out = (calibration_texts){.n_texts = 0};
    wb_status status = hash_file(out->sha256, path, err);
    if (!status) status = task ? read_glue(out, path, task, err) : read_lines(out, path, form, err);
    if (!status && out->n_texts < 2)
        status = wb_fail(err, WB_ERR_ARGUMENT, 0,
                         "%s: %d texts, calibration needs 2 and is good with a few hundred", path,
                         out->n_texts);
    if (!status) status = thin_out(out, path, n_texts, seed, err);
    if (status) calibration_close(out);
    return status;
}

void calibration_close(calibration_texts *c) {
    for (int i = 0; !c->data && i < c->n_texts; i++) free_copy(&c->texts[i]);
    wb_free(c->texts);
    glue_data_close(c->data);
    *c = (calibration_texts){.n_texts = 0};
}

wb_status calibration_run(const calibration_texts *c, const wb_model *model, const char *path,
                          wb_quantize_options options, const char *file, wb_quantize_result *result,
                          wb_error *err) {
    const char *slash = strrchr(path, '/');
    options.texts_name = slash ? slash + 1 : path;
    options.texts_sha256 = c->sha256;
    wb_inputs *inputs;
    wb_status status = wb_inputs_open(&inputs, model, c->texts, c->n_texts, 0, err);
    if (!status) status = wb_quantize(model, inputs, &options, file, result, err);
    wb_inputs_close(inputs);
    return status;
}
