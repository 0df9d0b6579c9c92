// Loads and stores: a buffer is updated with another one.
#include "bench.h"

PROGRAM(copy) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u8* frames = frames_of(ctx);
    if (!frames) {
        return 0;
    }
    const u64* from = (const u64*)noise;
    u64* to = (u64*)frames;
    PASSES(16) {
        for (u32 i = 0; i < NOISE / 8; i++) {
            to[i] = to[i] * 3 + from[i];
        }
    }
    return (int)fold64(to[17]);
}
