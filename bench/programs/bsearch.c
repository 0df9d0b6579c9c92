// Loads whose address depends on branches: binary search in a sorted table.
#include "bench.h"

#define SIZE 128

// Squares; filled by the first run.
u32 squares[SIZE];

PROGRAM(bsearch) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    if (squares[1] == 0) {
        for (u32 i = 0; i < SIZE; i++) {
            squares[i] = i * i * 4;
        }
    }
    const u16* keys = (const u16*)noise;
    u32 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < 64; i++) {
            u32 key = keys[i], at = 0;
            for (u32 half = SIZE / 2; half > 0; half /= 2) {
                if (squares[(at + half) & (SIZE - 1)] <= key) {
                    at = forget_bounds(at + half);
                }
            }
            sum = sum * 3 + at;
        }
    }
    return (int)sum;
}
