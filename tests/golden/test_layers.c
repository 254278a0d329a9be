// SPDX-License-Identifier: Apache-2.0
// The demo model's forward beside transformers': ids, embeddings, every layer's output and
// logits of the texts in demo.golden (tools/export_golden.py), with the first values of the
// first text printed, in every precision this CPU has.
//
//     test_layers MODEL_DIR GOLDEN_FILE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

enum { MAX_GOLDEN_TEXTS = 64, MAX_FLOWS = 16, MAX_TEXT_IDS = 512 };

typedef struct golden_text {
    char *text;
    int n_bytes, n_ids;
    const int32_t *ids;   // [n_ids]
    const float *flows;   // [1 + n_layers, n_ids, d_model]
    const float *logits;  // [n_labels]
} golden_text;

typedef struct golden {
    wb_file file;
    char versions[128];
    int n_texts, n_layers, d_model, n_labels;
    golden_text texts[MAX_GOLDEN_TEXTS];
} golden;

// Allowed difference as a share of the wanted values' size. Each is about twice the largest seen
// over these texts (AVX-512 with VNNI and BF16, and AVX2): f32 4.7e-7 in a layer and 1.8e-6 in
// the logits, bf16 0.005 and 0.021, int8 0.013 and 0.027. f16 has three bits more than bf16.
static const struct tolerance {
    const char *technique;
    double flows, logits;
} tolerances[] = {
    {"baseline", 1e-6, 4e-6},
    {"f32-flash", 1e-6, 4e-6},
    {"baseline+packed", 1e-6, 4e-6},
    {"f32-flash+packed", 1e-6, 4e-6},
    {"bf16", 0.01, 0.04},
    {"autocast-bf16", 0.01, 0.04},
    {"flash+packed", 0.01, 0.04},
    {"f16-flash", 0.00125, 0.005},
    {"autocast-f16+packed", 0.00125, 0.005},
    {"i8-dynamic", 0.026, 0.06},
    {"i8-dynamic+packed", 0.026, 0.06},
};

static int complain(const char *what, const char *detail) {
    fprintf(stderr, "test_layers: %s%s\n", what, detail);
    return 1;
}

// ---- The golden file ----

static const void *take(const golden *g, size_t *at, size_t n_bytes) {
    if (n_bytes > g->file.n_bytes - *at) exit(complain("golden file is too short", ""));
    const void *data = g->file.data + *at;
    *at += n_bytes;
    return data;
}

static int take_int(const golden *g, size_t *at) {
    int32_t value;
    memcpy(&value, take(g, at, sizeof value), sizeof value);
    return value;
}

// Texts end anywhere, so what follows them is copied to where its type may lie.
static void *take_copy(const golden *g, size_t *at, size_t n_bytes) {
    void *copy = malloc(n_bytes + 1);
    if (!copy) exit(complain("memory", ""));
    memcpy(copy, take(g, at, n_bytes), n_bytes);
    ((char *)copy)[n_bytes] = 0;
    return copy;
}

static void read_golden(golden *g, const char *path) {
    static const char magic[] = "wattbert golden 1\n";
    wb_error err;
    if (wb_file_map(&g->file, path, &err)) exit(complain(err.message, ""));
    size_t at = 0;
    if (memcmp(take(g, &at, strlen(magic)), magic, strlen(magic)) != 0)
        exit(complain("not a golden file: ", path));
    const char *line = (const char *)g->file.data + at;
    const size_t length = strcspn(line, "\n");
    snprintf(g->versions, sizeof g->versions, "%.*s", (int)length, line);
    at += length + 1;
    g->n_texts = take_int(g, &at);
    g->n_layers = take_int(g, &at);
    g->d_model = take_int(g, &at);
    g->n_labels = take_int(g, &at);
    for (int i = 0; i < g->n_texts; i++) {
        golden_text *t = &g->texts[i];
        t->n_bytes = take_int(g, &at);
        t->text = take_copy(g, &at, (size_t)t->n_bytes);
        t->n_ids = take_int(g, &at);
        const size_t n = (size_t)t->n_ids * (size_t)g->d_model;
        t->ids = take_copy(g, &at, (size_t)t->n_ids * sizeof *t->ids);
        t->flows = take_copy(g, &at, (size_t)(1 + g->n_layers) * n * sizeof *t->flows);
        t->logits = take_copy(g, &at, (size_t)g->n_labels * sizeof *t->logits);
    }
}

static void free_golden(golden *g) {
    for (int i = 0; i < g->n_texts; i++) {
        free(g->texts[i].text);
        free((void *)g->texts[i].ids);
        free((void *)g->texts[i].flows);
        free((void *)g->texts[i].logits);
    }
    wb_file_close(&g->file);
}

// ---- Comparing ----

// One engine against the golden file; differences are the largest over all texts.
typedef struct comparison {
    const golden *g;
    const golden_text *text;
    const char *technique;
    double flow_share[MAX_FLOWS], logits_share;
} comparison;

// Root mean square of the difference over that of the wanted values.
static double share_of(const float *got, const float *want, size_t n) {
    double differences = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double difference = (double)got[i] - (double)want[i];
        differences += difference * difference;
        squares += (double)want[i] * (double)want[i];
    }
    return sqrt(differences / squares);
}

static void print_first(const char *what, int layer, const float *got, const float *want) {
    printf("  %-10s %d ", what, layer);
    for (int i = 0; i < 4; i++) printf("  %+.6f (%+.6f)", (double)got[i], (double)want[i]);
    printf("\n");
}

static void see(void *context, wb_tap_point point, int layer, const float *x, int n_rows) {
    comparison *c = context;
    if (point == WB_TAP_ATTENTION) return;
    const int flow = point == WB_TAP_EMBEDDINGS ? 0 : layer + 1;
    const size_t d = (size_t)c->g->d_model;
    const float *want = c->text->flows + (size_t)flow * (size_t)c->text->n_ids * d;
    // A pruned last layer has only the first row, [CLS], which is where the wanted rows begin.
    const double share = share_of(x, want, (size_t)n_rows * d);
    if (!(share <= c->flow_share[flow])) c->flow_share[flow] = share;
    if (c->text == c->g->texts) print_first(flow ? "layer" : "embeddings", layer, x, want);
}

static void compare_text(comparison *c, wb_engine *engine, const wb_inputs *inputs, int index) {
    const golden *g = c->g;
    c->text = &g->texts[index];
    wb_workspace *s = &engine->workspaces[0];
    const size_t *offsets = inputs->lists.offsets + index;
    const size_t one_offsets[2] = {offsets[0], offsets[1]};
    const int one_order[1] = {0};
    const wb_id_lists one = {
        .n_texts = 1, .ids = inputs->ids, .offsets = one_offsets, .by_length = one_order};
    wb_batch_cursor cursor;
    wb_batch_cursor_init(&cursor, &engine->plan, &one);
    if (!wb_batch_next(&s->batch, &cursor)) exit(complain("no batch", ""));
    const wb_team team = wb_engine_team(engine, false, 0);
    wb_forward_batch(&team, &s->batch, s->logits, &(wb_tap){.see = see, .context = c});
    const double share = share_of(s->logits, c->text->logits, (size_t)g->n_labels);
    if (!(share <= c->logits_share)) c->logits_share = share;
}

static int judge(const char *technique, const char *what, int layer, double share, double allowed) {
    const int is_bad = !(share <= allowed);
    printf("%-20s %-10s %d  differs by %.1e of itself, allowed %.1e  %s\n", technique, what, layer,
           share, allowed, is_bad ? "NOT OK" : "OK");
    return is_bad;
}

static int compare_technique(const golden *g, const wb_model *model, const wb_inputs *inputs,
                             const struct tolerance *tolerance) {
    wb_options options = wb_default_options();
    options.technique = tolerance->technique;
    // Batches of one text padded to the longest have no padding: all rows can be compared.
    options.batch_size = 1;
    options.sort_batches = 1;
    wb_engine *engine;
    wb_error err;
    const wb_status status = wb_engine_open(&engine, model, &options, &err);
    if (status == WB_ERR_UNSUPPORTED) {
        printf("%-20s skipped: %s\n", tolerance->technique, err.message);
        return 0;
    }
    if (status) exit(complain(err.message, ""));
    printf("%s, %s: got (want)\n", tolerance->technique, wb_engine_plan(engine)->kernels);
    comparison c = {.g = g, .technique = tolerance->technique};
    for (int i = 0; i < g->n_texts; i++) compare_text(&c, engine, inputs, i);
    int n_bad = 0;
    for (int flow = 0; flow <= g->n_layers; flow++)
        n_bad += judge(c.technique, flow ? "layer" : "embeddings", flow ? flow - 1 : 0,
                       c.flow_share[flow], flow ? tolerance->flows : tolerances[0].flows);
    n_bad += judge(c.technique, "logits", 0, c.logits_share, tolerance->logits);
    wb_engine_close(engine);
    return n_bad;
}

static int compare_ids(const golden *g, const wb_inputs *inputs) {
    int n_bad = 0;
    for (int i = 0; i < g->n_texts; i++) {
        int n_ids = 0;
        const int32_t *ids = wb_inputs_ids(inputs, i, &n_ids);
        const golden_text *t = &g->texts[i];
        const bool is_same =
            n_ids == t->n_ids && memcmp(ids, t->ids, (size_t)n_ids * sizeof *ids) == 0;
        n_bad += !is_same;
        printf("ids of %-44s %2d  %s\n", t->text, n_ids, is_same ? "OK" : "NOT OK");
    }
    return n_bad;
}

static wb_inputs *encode_golden(const golden *g, const wb_model *model) {
    wb_text texts[MAX_GOLDEN_TEXTS] = {0};
    for (int i = 0; i < g->n_texts; i++)
        texts[i] = (wb_text){.text = g->texts[i].text, .n_bytes = (size_t)g->texts[i].n_bytes};
    wb_inputs *inputs;
    wb_error err;
    if (wb_inputs_open(&inputs, model, texts, g->n_texts, 0, &err)) exit(complain(err.message, ""));
    return inputs;
}

int main(int argc, char **argv) {
    if (argc != 3) return complain("usage: test_layers MODEL_DIR GOLDEN_FILE", "");
    golden g = {0};
    read_golden(&g, argv[2]);
    wb_model *model;
    wb_error err;
    if (wb_model_open(&model, argv[1], &err)) return complain(err.message, "");
    const wb_model_info *info = wb_model_describe(model);
    if (info->n_layers != g.n_layers || info->d_model != g.d_model || info->n_labels != g.n_labels)
        return complain("golden file is of another model", "");
    wb_inputs *inputs = encode_golden(&g, model);
    printf("reference: %s\n", g.versions);
    int n_bad = compare_ids(&g, inputs);
    for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++)
        n_bad += compare_technique(&g, model, inputs, &tolerances[i]);
    printf("%s\n", n_bad ? "NOT OK" : "OK");
    wb_inputs_close(inputs);
    wb_model_close(model);
    free_golden(&g);
    return n_bad ? 1 : 0;
}
