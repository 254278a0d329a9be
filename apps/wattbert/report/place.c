// SPDX-License-Identifier: Apache-2.0
// Greedy, nearest places first: with some twenty points a panel that is enough.
#include "report/place.h"

#include <stddef.h>

void place_take(place_map *map, place_box box) {
    if (map->n_boxes < PLACE_MAX_BOXES) map->boxes[map->n_boxes++] = box;
}

static bool is_free(const place_map *map, const place_box *box) {
    const place_box *b = &map->bounds;
    if (box->left < b->left || box->right > b->right || box->top < b->top ||
        box->bottom > b->bottom)
        return false;
    for (int i = 0; i < map->n_boxes; i++) {
        const place_box *taken = &map->boxes[i];
        if (box->left < taken->right && taken->left < box->right && box->top < taken->bottom &&
            taken->top < box->bottom)
            return false;
    }
    return true;
}

bool place_text(place_map *map, double x, double y, double width, double height, place_box *out) {
    // Offsets of the text's middle from the point, in halves of its size beyond a gap:
    // right, left, above, below, and the corners.
    static const double directions[][2] = {{1, 0},  {-1, 0}, {0, -1},  {0, 1},
                                           {1, -1}, {1, 1},  {-1, -1}, {-1, 1}};
    static const double gaps[] = {8.0, 15.0};
    for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
        for (size_t i = 0; i < sizeof directions / sizeof *directions; i++) {
            const double middle_x = x + directions[i][0] * (width / 2.0 + gaps[g]);
            const double middle_y = y + directions[i][1] * (height / 2.0 + gaps[g] * 0.6);
            const place_box box = {middle_x - width / 2.0, middle_y - height / 2.0,
                                   middle_x + width / 2.0, middle_y + height / 2.0};
            if (!is_free(map, &box)) continue;
            place_take(map, box);
            *out = box;
            return true;
        }
    return false;
}
