// SPDX-License-Identifier: Apache-2.0
// A recorded machine that moves: MACHINE/root is its /sys and /proc, MACHINE/play says which files
// change and how. The tree is copied, and update() brings the copy to a moment in time.
#ifndef PLAYER_H
#define PLAYER_H

#include <stdbool.h>

// The lines of MACHINE/play after "wattbert-machine 1":
//
//     rate PATH START PER_SECOND STEP_MS [WRAP [RESET_S]]
//         counts up from START in steps; from WRAP on again from 0; restarts at 0 every RESET_S
//     trace PATH FILE
//         takes the values of MACHINE/FILE, lines of "seconds value"
//     deny PATH
//         cannot be read by the program
typedef struct player player;

// Copies the machine into a new temporary folder. Prints and exits on failure: this is a test.
player *player_open(const char *machine);
void player_close(player *p);  // and removes the folder
const char *player_root(const player *p);
bool player_denies(const player *p);
void player_update(player *p, double now_s);

#endif
