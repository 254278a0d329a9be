// SPDX-License-Identifier: Apache-2.0
// Reading an artefact. The model is checked as soon as it is known, before any matrix: "made for
// another model" tells a user more than "layer 0 qkv has another shape".
#include "engine/artefact.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"

// A DistilBERT's takes 100 KB; the largest model that opens, some MB.
enum { MAX_BYTES = 64 << 20, SHOWN_BYTES = 200 };

typedef struct reader {
    wb_json json;
    const wb_source *source;
    const wb_plan *plan;
    const wb_origin *expected;
    wb_artefact *artefact;
    bool has_version, has_model, has_matrices;
} reader;

wb_status wb_artefact_create(wb_artefact **out, const wb_plan *plan, wb_error *err) {
    *out = NULL;
    wb_artefact *a = wb_alloc_zeroed(sizeof *a);
    wb_matrix_scales *matrices =
        a ? wb_alloc_array((size_t)plan->n_matrices, sizeof *matrices) : NULL;
    if (!matrices) {
        wb_free(a);
        return wb_fail(err, WB_ERR_MEMORY, 0, "scales of %d matrices", plan->n_matrices);
    }
    a->matrices = matrices;
    a->scales = (wb_scales){.n_matrices = plan->n_matrices, .matrices = matrices};
    *out = a;
    return WB_OK;
}

void wb_artefact_close(wb_artefact *artefact) {
    if (!artefact) return;
    for (int i = 0; i < artefact->scales.n_matrices; i++)
        wb_free((void *)(uintptr_t)artefact->matrices[i].smooth);
    wb_free(artefact->matrices);
    wb_free(artefact);
}

// ---- The model ----

// The folder's own name; "." and "/" tell nothing but are no worse than an empty one.
void wb_origin_of(wb_origin *origin, const wb_model *model) {
    *origin = (wb_origin){.fingerprint = wb_checkpoint_fingerprint(model->checkpoint)};
    const char *path = model->path, *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/') end--;
    const char *name = end;
    while (name > path && name[-1] != '/') name--;
    snprintf(origin->name, sizeof origin->name, "%.*s", (int)(end - name), name);
    snprintf(origin->weights_file, sizeof origin->weights_file, "%s",
             wb_checkpoint_weights_file(model->checkpoint));
    snprintf(origin->config_sha256, sizeof origin->config_sha256, "%s",
             wb_checkpoint_config_sha256(model->checkpoint));
}

static wb_status check_model(const reader *r, wb_error *err) {
    const wb_origin *made = &r->artefact->model, *expected = r->expected;
    if (!expected) return WB_OK;
    if (made->fingerprint != expected->fingerprint)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: made for the weights of %.60s (%.40s, SHA-256 %.12s..), those of %.60s "
                       "are others, make its scales with wattbert quantize",
                       r->source->name, made->name, made->weights_file, made->weights_sha256,
                       expected->name);
    if (strcmp(made->config_sha256, expected->config_sha256) != 0)
        return wb_fail(err, WB_ERR_MODEL, 0,
                       "%s: made for %.60s with another config.json (SHA-256 %.12s.., here "
                       "%.12s..), make the scales again with wattbert quantize",
                       r->source->name, made->name, made->config_sha256, expected->config_sha256);
    return WB_OK;
}

// ---- Values ----

static wb_status fail(const reader *r, const char *what, wb_error *err) {
    return wb_fail(err, WB_ERR_FORMAT, r->json.at,
                   "%s: byte %zu: %s, make the file again with wattbert quantize", r->source->name,
                   r->json.at, what);
}

static wb_status read_count(reader *r, int64_t *out, wb_error *err) {
    const wb_status status = wb_json_int(&r->json, out, err);
    if (!status && *out < 0) return fail(r, "a negative count", err);
    return status;
}

// An error or a range: none is negative, and all fit an f32.
static wb_status read_size(reader *r, double *out, wb_error *err) {
    const wb_status status = wb_json_double(&r->json, out, err);
    if (!status && !(*out >= 0.0 && *out <= (double)FLT_MAX))
        return fail(r, "a number out of range", err);
    return status;
}

static wb_status read_range(reader *r, float *out, wb_error *err) {
    double value = 0.0;
    const wb_status status = read_size(r, &value, err);
    // What would be a denormal has no reciprocal.
    *out = value < (double)FLT_MIN * 1024.0 ? 0.0f : (float)value;
    return status;
}

static wb_status read_fingerprint(reader *r, uint64_t *out, wb_error *err) {
    char text[32], *end;
    const wb_status status = wb_json_string(&r->json, text, sizeof text, err);
    if (status) return status;
    *out = strtoull(text, &end, 16);
    return strlen(text) == 16 && !*end ? WB_OK : fail(r, "no fingerprint of 16 digits", err);
}

// One of the precisions that a matrix of such a plan may have.
static wb_status read_precision(reader *r, wb_precision *out, const wb_precision *allowed, int n,
                                wb_error *err) {
    char name[32];
    const wb_status status = wb_json_string(&r->json, name, sizeof name, err);
    if (status) return status;
    for (int i = 0; i < n; i++) {
        *out = allowed[i];
        if (strcmp(name, wb_precision_name(allowed[i])) == 0) return WB_OK;
    }
    return fail(r, "a precision that this plan cannot have", err);
}

// *out <- [k] factors from their steps.
static wb_status read_smooth(reader *r, const float **out, int k, wb_error *err) {
    if (*out) return fail(r, "smooth_eighth_octaves twice", err);
    float *smooth = wb_alloc_array((size_t)k, sizeof *smooth);
    if (!smooth) return wb_fail(err, WB_ERR_MEMORY, 0, "%s: no memory", r->source->name);
    *out = smooth;
    wb_status status = wb_json_open(&r->json, '[', err);
    int n = 0;
    for (bool more = true; !status;) {
        int64_t step = 0;
        status = wb_json_next_element(&r->json, &more, err);
        if (status || !more) break;
        status = wb_json_int(&r->json, &step, err);
        if (status) break;
        if (n == k || step < -WB_MOST_SMOOTH || step > WB_MOST_SMOOTH)
            return fail(r, "smooth_eighth_octaves is too long or too large", err);
        smooth[n++] = wb_smooth_step((int)step);
    }
    if (!status && n < k) return fail(r, "smooth_eighth_octaves is too short", err);
    return status;
}

// ---- Objects ----

// Reads the member called key, or skips it; newer artefacts may say more.
typedef wb_status member_reader(reader *r, const char *key, void *target, wb_error *err);

static wb_status read_object(reader *r, member_reader *read, void *target, wb_error *err) {
    char key[64];
    bool more = true;
    wb_status status = wb_json_open(&r->json, '{', err);
    while (!status) {
        status = wb_json_next_member(&r->json, key, sizeof key, &more, err);
        if (status || !more) break;
        status = read(r, key, target, err);
    }
    return status;
}

static wb_status read_model(reader *r, const char *key, void *target, wb_error *err) {
    wb_origin *o = target;
    if (strcmp(key, "name") == 0) return wb_json_string(&r->json, o->name, sizeof o->name, err);
    if (strcmp(key, "weights_file") == 0)
        return wb_json_string(&r->json, o->weights_file, sizeof o->weights_file, err);
    if (strcmp(key, "weights_sha256") == 0)
        return wb_json_string(&r->json, o->weights_sha256, sizeof o->weights_sha256, err);
    if (strcmp(key, "config_sha256") == 0)
        return wb_json_string(&r->json, o->config_sha256, sizeof o->config_sha256, err);
    if (strcmp(key, "weights_fingerprint") == 0) return read_fingerprint(r, &o->fingerprint, err);
    return wb_json_skip(&r->json, err);
}

static wb_status read_calibration(reader *r, const char *key, void *target, wb_error *err) {
    wb_artefact *a = target;
    if (strcmp(key, "file") == 0)
        return wb_json_string(&r->json, a->texts_name, sizeof a->texts_name, err);
    if (strcmp(key, "sha256") == 0)
        return wb_json_string(&r->json, a->texts_sha256, sizeof a->texts_sha256, err);
    if (strcmp(key, "texts") == 0) return read_count(r, &a->n_texts, err);
    if (strcmp(key, "tokens") == 0) return read_count(r, &a->n_tokens, err);
    return wb_json_skip(&r->json, err);
}

static wb_status read_errors(reader *r, const char *key, void *target, wb_error *err) {
    wb_artefact *a = target;
    if (strcmp(key, "asked") == 0) return read_size(r, &a->max_error, err);
    if (strcmp(key, "i8") == 0) return read_size(r, &a->i8_error, err);
    if (strcmp(key, "fp8") == 0) return read_size(r, &a->fp8_error, err);
    return wb_json_skip(&r->json, err);
}

// ---- Matrices ----

// One on its way in; a plan needs its name and what its precision works with.
typedef struct matrix_reader {
    const wb_matrix *matrix;
    wb_matrix_scales *scales;
    bool has_name, has_i8, has_fp8, has_i8_range, has_fp8_range;
} matrix_reader;

static wb_status read_name(reader *r, matrix_reader *m, wb_error *err) {
    char name[sizeof m->matrix->name];
    const wb_status status = wb_json_string(&r->json, name, sizeof name, err);
    if (status) return status;
    m->has_name = true;
    return strcmp(name, m->matrix->name) == 0 ? WB_OK : fail(r, "another matrix's turn", err);
}

static wb_status read_dimension(reader *r, int expected, wb_error *err) {
    int64_t value = 0;
    const wb_status status = wb_json_int(&r->json, &value, err);
    if (!status && value != expected) return fail(r, "the matrix has another shape", err);
    return status;
}

static wb_status read_matrix(reader *r, const char *key, void *target, wb_error *err) {
    static const wb_precision of_i8[] = {WB_I8_STATIC, WB_I8_DYNAMIC, WB_F32};
    static const wb_precision of_fp8[] = {WB_FP8_STATIC, WB_F16};
    matrix_reader *m = target;
    wb_matrix_scales *s = m->scales;
    if (strcmp(key, "name") == 0) return read_name(r, m, err);
    if (strcmp(key, "n") == 0) return read_dimension(r, m->matrix->n, err);
    if (strcmp(key, "k") == 0) return read_dimension(r, m->matrix->k, err);
    if (strcmp(key, "i8") == 0) {
        m->has_i8 = true;
        return read_precision(r, &s->i8, of_i8, 3, err);
    }
    if (strcmp(key, "fp8") == 0) {
        m->has_fp8 = true;
        return read_precision(r, &s->fp8, of_fp8, 2, err);
    }
    if (strcmp(key, "i8_x_max") == 0) {
        m->has_i8_range = true;
        return read_range(r, &s->x_max, err);
    }
    if (strcmp(key, "fp8_x_max") == 0) {
        m->has_fp8_range = true;
        return read_range(r, &s->fp8_x_max, err);
    }
    if (strcmp(key, "i8_error") == 0) return read_size(r, &s->i8_error, err);
    if (strcmp(key, "i8_dynamic_error") == 0) return read_size(r, &s->i8_dynamic_error, err);
    if (strcmp(key, "fp8_error") == 0) return read_size(r, &s->fp8_error, err);
    if (strcmp(key, "smooth_eighth_octaves") == 0)
        return read_smooth(r, &s->smooth, m->matrix->k, err);
    return wb_json_skip(&r->json, err);
}

static wb_status read_matrices(reader *r, wb_error *err) {
    if (!r->has_model) return fail(r, "matrices before the model they belong to", err);
    if (r->has_matrices) return fail(r, "matrices twice", err);
    r->has_matrices = true;
    wb_status status = wb_json_open(&r->json, '[', err);
    int n = 0;
    for (bool more = true; !status; n++) {
        status = wb_json_next_element(&r->json, &more, err);
        if (status || !more) break;
        if (n == r->plan->n_matrices) return fail(r, "more matrices than the model has", err);
        matrix_reader m = {.matrix = &r->plan->matrices[n], .scales = &r->artefact->matrices[n]};
        status = read_object(r, read_matrix, &m, err);
        const bool is_complete =
            m.has_name && m.has_i8 && m.has_fp8 && m.has_i8_range && m.has_fp8_range;
        if (!status && !is_complete) status = fail(r, "a matrix lacks its name or its range", err);
    }
    if (!status && n < r->plan->n_matrices)
        return fail(r, "fewer matrices than the model has", err);
    return status;
}

// ---- The file ----

static wb_status read_version(reader *r, wb_error *err) {
    int64_t version = 0;
    const wb_status status = wb_json_int(&r->json, &version, err);
    r->has_version = true;
    if (status || version == WB_ARTEFACT_VERSION) return status;
    return wb_fail(err, WB_ERR_FORMAT, r->json.at,
                   "%s: scales of version %lld, this wattbert reads version %d, make them again "
                   "with wattbert quantize",
                   r->source->name, (long long)version, WB_ARTEFACT_VERSION);
}

static wb_status read_top(reader *r, const char *key, void *target, wb_error *err) {
    (void)target;
    wb_artefact *a = r->artefact;
    if (strcmp(key, "wattbert_scales") == 0) return read_version(r, err);
    if (!r->has_version)
        return wb_fail(err, WB_ERR_FORMAT, r->json.at,
                       "%s: no scales of wattbert quantize, give the file that it wrote",
                       r->source->name);
    if (strcmp(key, "made_by") == 0)
        return wb_json_string(&r->json, a->made_by, sizeof a->made_by, err);
    if (strcmp(key, "model") == 0) {
        r->has_model = true;
        const wb_status status = read_object(r, read_model, &a->model, err);
        return status ? status : check_model(r, err);
    }
    if (strcmp(key, "calibration") == 0) return read_object(r, read_calibration, a, err);
    if (strcmp(key, "error") == 0) return read_object(r, read_errors, a, err);
    if (strcmp(key, "matrices") == 0) return read_matrices(r, err);
    return wb_json_skip(&r->json, err);
}

wb_status wb_artefact_parse(wb_artefact **out, const wb_source *source, const wb_plan *plan,
                            const wb_origin *expected, wb_error *err) {
    *out = NULL;
    wb_artefact *artefact;
    wb_status status = wb_artefact_create(&artefact, plan, err);
    if (status) return status;
    reader r = {.json = wb_json_of(source, 0, source->n_bytes),
                .source = source,
                .plan = plan,
                .expected = expected,
                .artefact = artefact};
    status = read_object(&r, read_top, NULL, err);
    if (!status) status = wb_json_end(&r.json, err);
    if (!status && !r.has_matrices) status = fail(&r, "no matrices", err);
    if (status) {
        wb_artefact_close(artefact);
        return status;
    }
    *out = artefact;
    return WB_OK;
}

wb_status wb_artefact_open(wb_artefact **out, const char *path, const wb_model *model,
                           const wb_plan *plan, wb_error *err) {
    *out = NULL;
    char inside[4096];
    if (wb_path_join(inside, sizeof inside, path, WB_ARTEFACT_FILE) && wb_file_exists(inside))
        path = inside;
    wb_file file;
    wb_status status = wb_file_read(&file, path, MAX_BYTES, err);
    if (status) return status;
    const size_t length = strlen(path);
    const wb_source source = {.data = file.data,
                              .n_bytes = file.n_bytes,
                              .name = path + (length > SHOWN_BYTES ? length - SHOWN_BYTES : 0)};
    wb_origin expected;
    wb_origin_of(&expected, model);
    status = wb_artefact_parse(out, &source, plan, &expected, err);
    wb_file_close(&file);
    return status;
}
