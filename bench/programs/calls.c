// Calls of subprograms: three for each round.
#include "bench.h"

static __noinline u64 leaf(u64 a, u64 b) {
    return a * 31 + (b ^ (a >> 5));
}

static __noinline u64 middle(u64 a, u64 b, u64 c) {
    return leaf(a, c) + leaf(b, a);
}

PROGRAM(calls) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 x = 1;
    for (u32 i = 0; i < 256; i++) {
        x = middle(x, i, noise[i]);
    }
    return (int)fold64(x);
}
