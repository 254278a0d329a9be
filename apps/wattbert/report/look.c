// SPDX-License-Identifier: Apache-2.0
// Colours after Okabe and Ito (2008), told apart with the common kinds of colour blindness; their
// yellow is left out, it cannot be seen on white. The dark variants are the same hues, lighter.
#include "report/look.h"

#include <stdio.h>
#include <string.h>

const look_colour look_colours[LOOK_N_COLOURS] = {
    [LOOK_PAPER] = {"paper", "#ffffff", "#11151a"},
    [LOOK_INK] = {"ink", "#1f2328", "#e6edf3"},
    [LOOK_MUTED] = {"muted", "#5a646f", "#9aa5b1"},
    [LOOK_GRID] = {"grid", "#dde2e8", "#2c333b"},
    [LOOK_BAND] = {"band", "#eaf5f0", "#16302a"},
    [LOOK_WARM] = {"warm", "#fff6e3", "#33280f"},
    [LOOK_COAL] = {"coal", "#1f2329", "#11151a"},
    [LOOK_BLUE] = {"blue", "#0072b2", "#3d9be0"},
    [LOOK_SKY] = {"sky", "#7cc3ec", "#9bd6fa"},
    [LOOK_GREEN] = {"green", "#009e73", "#2cc295"},
    [LOOK_ORANGE] = {"orange", "#e69f00", "#f2b233"},
    [LOOK_RED] = {"red", "#d55e00", "#f58344"},
    [LOOK_PURPLE] = {"purple", "#b65c97", "#e095c6"},
};

int look_colour_of(int red, int green, int blue) {
    char text[32];
    snprintf(text, sizeof text, "#%02x%02x%02x", red & 255, green & 255, blue & 255);
    for (int i = 0; i < LOOK_N_COLOURS; i++)
        if (!strcmp(look_colours[i].light, text)) return i;
    return -1;
}

// gnuplot's points: each filled form follows its hollow one.
enum { SQUARE = 4, CIRCLE = 6, TRIANGLE = 8, WEDGE = 10, DIAMOND = 12, PENTAGON = 14 };

static const struct {
    const char *name;
    int colour, hollow_point;
    const char *family;
} techniques[] = {
    {"baseline", LOOK_INK, CIRCLE, "f32"},
    {"f32-flash", LOOK_INK, TRIANGLE, "f32"},
    {"tf32", LOOK_SKY, CIRCLE, "tf32"},
    {"autocast-bf16", LOOK_BLUE, SQUARE, "bf16"},
    {"bf16", LOOK_BLUE, CIRCLE, "bf16"},
    {"flash", LOOK_BLUE, TRIANGLE, "bf16"},
    {"autocast-f16", LOOK_ORANGE, SQUARE, "f16"},
    {"f16", LOOK_ORANGE, CIRCLE, "f16"},
    {"f16-flash", LOOK_ORANGE, TRIANGLE, "f16"},
    {"mixed", LOOK_GREEN, DIAMOND, "mixed"},
    {"i8-dynamic", LOOK_PURPLE, CIRCLE, "int8"},
    {"i8-static", LOOK_PURPLE, SQUARE, "int8"},
    {"fp8", LOOK_RED, WEDGE, "fp8"},
    {"fp8-dynamic", LOOK_RED, CIRCLE, "fp8"},
    {"tuned", LOOK_RED, DIAMOND, "tuned"},
    {"cascade", LOOK_SKY, DIAMOND, "cascade"},
};
enum { N_TECHNIQUES = sizeof techniques / sizeof *techniques };

look_mark look_of_technique(const char *technique) {
    const char *plus = strchr(technique, '+');
    const size_t n_bytes = plus ? (size_t)(plus - technique) : strlen(technique);
    look_mark mark = {
        .colour = LOOK_MUTED, .order = N_TECHNIQUES, .hollow_point = PENTAGON, .family = "other"};
    for (int i = 0; i < N_TECHNIQUES; i++)
        if (strlen(techniques[i].name) == n_bytes &&
            !memcmp(techniques[i].name, technique, n_bytes))
            mark = (look_mark){techniques[i].colour, i, techniques[i].hollow_point,
                               techniques[i].family};
    if (plus) mark.order += (strcmp(plus, "+sorted") ? 2 : 1) * (N_TECHNIQUES + 1);
    return mark;
}

const look_component look_components[LOOK_N_COMPONENTS] = {
    {"attention", "attention_j", LOOK_BLUE},
    {"feed-forward", "ffn_j", LOOK_SKY},
    {"embeddings", "embeddings_j", LOOK_ORANGE},
    {"head", "head_j", LOOK_GREEN},
    {"rest", "rest_j", LOOK_MUTED},
};

const char *look_task_name(const char *task, int *order) {
    static const char *const tasks[][2] = {
        {"sst2", "SST-2"},
        {"cola", "CoLA"},
        {"mrpc", "MRPC"},
        {"mnli", "MNLI matched"},
        {"mnli-mm", "MNLI mismatched"},
        {"qqp", "QQP"},
        {"stsb", "STS-B"},
        {"qnli", "QNLI"},
        {"rte", "RTE"},
        {"wnli", "WNLI"},
    };
    const int n_tasks = sizeof tasks / sizeof *tasks;
    for (*order = 0; *order < n_tasks; ++*order)
        if (!strcmp(tasks[*order][0], task)) return tasks[*order][1];
    return task;
}
