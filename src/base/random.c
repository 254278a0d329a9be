// SPDX-License-Identifier: Apache-2.0
// SplitMix64 (Steele, Lea, Flood 2014): one word of state, the same stream everywhere.
#include "base/base.h"

uint64_t wb_random_next(wb_random *random) {
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t wb_random_below(wb_random *random, uint64_t bound) {
    // Values under 2^64 mod bound would favour small results: draw again.
    const uint64_t reject_below = -bound % bound;
    uint64_t value = wb_random_next(random);
    while (value < reject_below) value = wb_random_next(random);
    return value % bound;
}

double wb_random_unit(wb_random *random) {
    return (double)(wb_random_next(random) >> 11) * 0x1p-53;
}
