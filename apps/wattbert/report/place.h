// SPDX-License-Identifier: Apache-2.0
// Keeps the names of points apart: a name stands beside its point where nothing else is, or it is
// left to the legend.
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>

typedef struct place_box {
    double left, top, right, bottom;  // pixels, y downwards
} place_box;

enum { PLACE_MAX_BOXES = 512 };

typedef struct place_map {
    place_box bounds;
    int n_boxes;
    place_box boxes[PLACE_MAX_BOXES];  // taken
} place_map;

// Nothing may be written there.
void place_take(place_map *map, place_box box);
// Finds a place for a text of that size beside the point and takes it. false: there is none.
bool place_text(place_map *map, double x, double y, double width, double height, place_box *out);

#endif
