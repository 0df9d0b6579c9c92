// 64-bit rotates: SipHash-2-4 of the random bytes.
#include "bench.h"

#define ROUND()                                                                                    \
    do {                                                                                           \
        v0 += v1;                                                                                  \
        v1 = rotl64(v1, 13) ^ v0;                                                                  \
        v0 = rotl64(v0, 32);                                                                       \
        v2 += v3;                                                                                  \
        v3 = rotl64(v3, 16) ^ v2;                                                                  \
        v0 += v3;                                                                                  \
        v3 = rotl64(v3, 21) ^ v0;                                                                  \
        v2 += v1;                                                                                  \
        v1 = rotl64(v1, 17) ^ v2;                                                                  \
        v2 = rotl64(v2, 32);                                                                       \
    } while (0)

PROGRAM(siphash) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u64* words = (const u64*)noise;
    u64 v0 = 0x736f6d6570736575ull, v1 = 0x646f72616e646f6dull;
    u64 v2 = 0x6c7967656e657261ull, v3 = 0x7465646279746573ull;
    PASSES(4) {
        for (u32 i = 0; i < NOISE / 8; i++) {
            u64 word = words[i];
            v3 ^= word;
            ROUND();
            ROUND();
            v0 ^= word;
        }
    }
    v2 ^= 0xff;
    ROUND();
    ROUND();
    ROUND();
    ROUND();
    return (int)fold64(v0 ^ v1 ^ v2 ^ v3);
}
