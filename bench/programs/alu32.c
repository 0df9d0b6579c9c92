// 32-bit arithmetic: the finaliser of MurmurHash3, again and again.
#include "bench.h"

PROGRAM(alu32) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u32 h = *(u32*)noise;
    for (u32 i = 0; i < 500; i++) {
        h = mix32(h ^ i);
    }
    return (int)h;
}
