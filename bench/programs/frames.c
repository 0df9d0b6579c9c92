// Calls with five arguments and a frame each: subprograms that keep an array on their stack.
#include "bench.h"

static __noinline u64 blend(u64 a, u64 b, u64 c, u64 d, u64 e) {
    u64 volatile kept[6];
    kept[0] = a ^ e;
    kept[1] = b + d;
    kept[2] = c * 3;
    kept[3] = kept[0] + kept[1];
    kept[4] = kept[2] ^ kept[3];
    kept[5] = kept[4] + (kept[0] >> 3);
    return kept[5] + kept[1];
}

PROGRAM(frames) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 x = 1, y = 2;
    for (u32 i = 0; i < 512; i++) {
        u64 z = blend(x, y, noise[i], i, x ^ y);
        x = y;
        y = z;
    }
    return (int)fold64(x ^ y);
}
