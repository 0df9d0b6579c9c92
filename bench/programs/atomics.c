// Atomic operations: counters that all CPUs share.
#include "bench.h"

u64 totals[16];

PROGRAM(atomics) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    for (u32 i = 0; i < 128; i++) {
        __sync_fetch_and_add(&totals[noise[i] & 15], 1);
    }
    u64 before = __sync_fetch_and_add(&totals[0], 5);
    return (int)fold64(before * 3 + totals[7]);
}
