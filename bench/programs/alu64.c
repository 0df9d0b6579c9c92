// 64-bit arithmetic: a xorshift generator with a multiplication.
#include "bench.h"

PROGRAM(alu64) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 x = *(u64*)noise | 1;
    for (u32 i = 0; i < 500; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x *= 2685821657736338717ull;
    }
    return (int)fold64(x);
}
