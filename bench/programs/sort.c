// Loads, stores and branches in memory of a map: insertion sort of 48 words.
#include "bench.h"

#define WORDS 48

u32 sorted[WORDS];

PROGRAM(sort) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u32* words = (const u32*)noise;
    for (u32 i = 0; i < WORDS; i++) {
        u32 word = words[i], at = i;
        while (at > 0 && sorted[at - 1] > word) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = word;
    }
    u32 sum = 0;
    for (u32 i = 0; i < WORDS; i++) {
        sum = sum * 31 + sorted[i];
    }
    return (int)sum;
}
