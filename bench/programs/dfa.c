// A table-driven automaton: one dependent load for each byte.
#include "bench.h"

// The table is not constant, so that no compiler folds it.
// clang-format off
u8 next_state[8][16] = {
    {1, 0, 3, 5, 2, 6, 7, 4, 1, 1, 0, 2, 5, 3, 4, 6}, {2, 4, 0, 6, 1, 7, 3, 5, 0, 2, 6, 1, 4, 7, 5, 3},
    {3, 7, 1, 0, 5, 2, 4, 6, 6, 3, 1, 0, 7, 2, 5, 4}, {0, 5, 6, 2, 7, 1, 4, 3, 3, 0, 4, 5, 6, 1, 7, 2},
    {5, 3, 7, 4, 0, 6, 2, 1, 7, 5, 2, 3, 0, 4, 1, 6}, {6, 2, 4, 1, 3, 0, 5, 7, 4, 6, 7, 0, 3, 5, 2, 1},
    {7, 1, 5, 3, 6, 4, 0, 2, 2, 7, 3, 6, 1, 0, 4, 5}, {4, 6, 2, 7, 1, 3, 5, 0, 5, 4, 1, 7, 2, 6, 3, 0},
};
// clang-format on

PROGRAM(dfa) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u32 state = 0, accepted = 0;
    for (u32 i = 0; i < NOISE; i++) {
        state = next_state[state & 7][noise[i] >> 4];
        accepted += state == 7;
    }
    return (int)(accepted << 8 | state);
}
