// Masks and shifts: the bits set in the random bytes, counted in parallel.
#include "bench.h"

PROGRAM(popcount) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u64* words = (const u64*)noise;
    u64 sum = 0;
    PASSES(2) {
        for (u32 i = 0; i < NOISE / 8; i++) {
            u64 x = words[i] ^ sum;
            x -= x >> 1 & 0x5555555555555555ull;
            x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
            sum = sum * 7 + (x * 0x0101010101010101ull >> 56);
        }
    }
    return (int)fold64(sum);
}
