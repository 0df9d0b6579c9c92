// Word loads: a sum that depends on the order.
#include "bench.h"

PROGRAM(sum_words) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u32* words = (const u32*)noise;
    u64 sum = 0;
    PASSES(8) {
        for (u32 i = 0; i < NOISE / 4; i++) {
            sum = sum * 3 + words[i];
        }
    }
    return (int)fold64(sum);
}
