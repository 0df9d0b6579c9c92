// Branches that nobody can predict: lengths of Collatz sequences.
#include "bench.h"

PROGRAM(collatz) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u32 steps = forget_bounds(0);
    for (u32 i = 0; i < 24; i++) {
        u32 n = noise[i] + 1;
        for (u32 step = 0; step < 128 && n != 1; step++) {
            n = forget_bounds(n & 1 ? 3 * n + 1 : n / 2);
            steps++;
        }
    }
    return (int)steps;
}
