// 64-bit divisions: greatest common divisors.
#include "bench.h"

PROGRAM(divide) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u64* words = (const u64*)noise;
    u64 sum = 0;
    for (u32 i = 0; i < 32; i++) {
        u64 a = words[2 * i];
        u64 b = words[2 * i + 1];
        for (u32 step = 0; step < 48 && b != 0; step++) {
            u64 rest = a % b;
            a = b;
            b = rest;
        }
        sum += a;
    }
    return (int)fold64(sum);
}
