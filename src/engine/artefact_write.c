// SPDX-License-Identifier: Apache-2.0
// An artefact as JSON, one line a matrix: `grep qkv scales.json` is a table. Smoothing vectors
// stand there as whole steps.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/artefact.h"

// Text that grows. After a failed allocation it takes nothing more, which is told at the end.
typedef struct growing {
    char *text;
    size_t n_bytes, capacity;
    bool has_failed;
} growing;

static void put_bytes(growing *g, const char *bytes, size_t n_bytes) {
    if (g->has_failed) return;
    if (g->capacity - g->n_bytes < n_bytes) {
        size_t capacity = g->capacity ? g->capacity : 4096;
        while (capacity - g->n_bytes < n_bytes) capacity *= 2;
        char *text = wb_realloc_array(g->text, g->n_bytes, capacity, 1);
        g->has_failed = !text;
        if (!text) return;
        g->text = text;
        g->capacity = capacity;
    }
    memcpy(g->text + g->n_bytes, bytes, n_bytes);
    g->n_bytes += n_bytes;
}

WB_PRINTF(2, 3) static void put(growing *g, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_bytes(g, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

// In quotes. A file's name may be any bytes; what is no ASCII becomes a question mark, since the
// name is for people and the hash beside it for programs.
static void put_string(growing *g, const char *text) {
    put_bytes(g, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\') put_bytes(g, "\\", 1);
        const bool is_printable = *c >= 0x20 && *c < 0x7f;
        put_bytes(g, is_printable ? c : "?", 1);
    }
    put_bytes(g, "\"", 1);
}

// With a point, whatever the user's language writes there; a number that is none becomes the
// largest there is.
static void put_number(growing *g, double value) {
    char text[64], out[64];
    snprintf(text, sizeof text, "%.9g", isfinite(value) ? value : 1e30);
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        const bool is_plain = (*c >= '0' && *c <= '9') || strchr("+-e", *c);
        if (is_plain)
            out[n++] = *c;
        else if (n == 0 || out[n - 1] != '.')
            out[n++] = '.';
    }
    put_bytes(g, out, n);
}

static void put_named(growing *g, const char *name, double value) {
    put(g, ", \"%s\": ", name);
    put_number(g, value);
}

static void put_matrix(growing *g, const wb_matrix_scales *scales, const wb_matrix *matrix) {
    put(g, "    {\"name\": \"%s\", \"n\": %d, \"k\": %d", matrix->name, matrix->n, matrix->k);
    put(g, ", \"i8\": \"%s\", \"fp8\": \"%s\"", wb_precision_name(scales->i8),
        wb_precision_name(scales->fp8));
    put_named(g, "i8_error", scales->i8_error);
    put_named(g, "i8_dynamic_error", scales->i8_dynamic_error);
    put_named(g, "fp8_error", scales->fp8_error);
    put_named(g, "i8_x_max", (double)scales->x_max);
    put_named(g, "fp8_x_max", (double)scales->fp8_x_max);
    if (scales->smooth) {
        put(g, ", \"smooth_eighth_octaves\": [");
        for (int i = 0; i < matrix->k; i++)
            put(g, i ? ",%d" : "%d", wb_smooth_step_of(scales->smooth[i]));
        put(g, "]");
    }
    put(g, "}");
}

static void put_head(growing *g, const wb_artefact *a) {
    put(g, "{\n  \"wattbert_scales\": %d,\n  \"made_by\": ", WB_ARTEFACT_VERSION);
    put_string(g, a->made_by);
    put(g, ",\n  \"model\": {\"name\": ");
    put_string(g, a->model.name);
    put(g, ", \"weights_file\": ");
    put_string(g, a->model.weights_file);
    put(g, ",\n    \"weights_sha256\": \"%s\",\n    \"config_sha256\": \"%s\",\n",
        a->model.weights_sha256, a->model.config_sha256);
    put(g, "    \"weights_fingerprint\": \"%016llx\"},\n",
        (unsigned long long)a->model.fingerprint);
    put(g, "  \"calibration\": {\"file\": ");
    put_string(g, a->texts_name);
    put(g, ", \"sha256\": \"%s\",\n    \"texts\": %lld, \"tokens\": %lld},\n", a->texts_sha256,
        (long long)a->n_texts, (long long)a->n_tokens);
    put(g, "  \"error\": {\"asked\": ");
    put_number(g, a->max_error);
    put_named(g, "i8", a->i8_error);
    put_named(g, "fp8", a->fp8_error);
    put(g, "},\n  \"matrices\": [\n");
}

wb_status wb_artefact_write(const wb_artefact *a, const wb_plan *plan, const char *path,
                            wb_error *err) {
    growing g = {0};
    put_head(&g, a);
    for (int i = 0; i < plan->n_matrices; i++) {
        put_matrix(&g, &a->matrices[i], &plan->matrices[i]);
        put(&g, i + 1 < plan->n_matrices ? ",\n" : "\n");
    }
    put(&g, "  ]\n}\n");
    const wb_status status = g.has_failed
                                 ? wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory to write it", path)
                                 : wb_file_write(path, g.text, g.n_bytes, err);
    wb_free(g.text);
    return status;
}
