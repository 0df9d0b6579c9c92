// Byte loads: FNV-1a of the random bytes.
#include "bench.h"

PROGRAM(fnv1a) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 hash = 14695981039346656037ull;
    for (u32 i = 0; i < NOISE; i++) {
        hash = (hash ^ noise[i]) * 1099511628211ull;
    }
    return (int)fold64(hash);
}
