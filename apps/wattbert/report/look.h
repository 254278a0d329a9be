// SPDX-License-Identifier: Apache-2.0
// How things look, the same in every figure and in the page: which colour and mark stands for a
// technique, which colour for a component, and what each colour becomes in the dark.
#ifndef LOOK_H
#define LOOK_H

#include <stdbool.h>

// One colour of the page, on white and on near-black; css is its variable's name.
typedef struct look_colour {
    const char *css;
    const char *light, *dark;  // "#rrggbb"
} look_colour;

enum {
    LOOK_PAPER,
    LOOK_INK,    // text, axes, the f32 techniques
    LOOK_MUTED,  // axis titles, notes, the part that is left over
    LOOK_GRID,
    LOOK_BAND,  // behind what keeps the score
    LOOK_WARM,  // behind what is a guess
    LOOK_COAL,  // text on the lightest bars, dark in both modes
    LOOK_BLUE,
    LOOK_SKY,
    LOOK_GREEN,
    LOOK_ORANGE,
    LOOK_RED,
    LOOK_PURPLE,
    LOOK_N_COLOURS
};
extern const look_colour look_colours[LOOK_N_COLOURS];

// The index of "#rrggbb" among the light colours, or -1.
int look_colour_of(int red, int green, int blue);

// The mark of a technique: colour is its precision, shape its attention and casting, filled means
// packed. Unknown techniques get a muted pentagon.
typedef struct look_mark {
    int colour;
    int order;           // place among the techniques: padded ones, then sorted, then packed
    int hollow_point;    // gnuplot's point type; the filled one is the next
    const char *family;  // what the colour says: "f32", "bf16"
} look_mark;

// technique may end in "+sorted" or "+packed".
look_mark look_of_technique(const char *technique);

// Components in the order they are stacked.
enum { LOOK_N_COMPONENTS = 5 };
typedef struct look_component {
    const char *name;    // "attention"
    const char *column;  // "attention_j"
    int colour;
} look_component;
extern const look_component look_components[LOOK_N_COMPONENTS];

// "SST-2" for "sst2"; an unknown task is its own name. order sorts tasks.
const char *look_task_name(const char *task, int *order);

#endif
