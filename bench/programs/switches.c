// A switch for each byte.
#include "bench.h"

PROGRAM(switches) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 state = 1;
    for (u32 i = 0; i < NOISE / 2; i++) {
        // clang-format off
        switch (noise[i] & 15) {
        case 0: state += 3; break;
        case 1: state ^= 0x55; break;
        case 2: state <<= 1; break;
        case 3: state -= i; break;
        case 4: state *= 5; break;
        case 5: state |= 1; break;
        case 6: state >>= 2; break;
        case 7: state += noise[i + 1]; break;
        case 8: state ^= state >> 3; break;
        case 9: state += 17; break;
        case 10: state = ~state; break;
        case 11: state -= 9; break;
        case 12: state *= 3; break;
        default: state += state << 2; break;
        }
        // clang-format on
    }
    return (int)fold64(state);
}
