// The internet checksum of the random bytes, 16 bits at a time.
#include "bench.h"

PROGRAM(checksum) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u16* words = (const u16*)noise;
    u32 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < NOISE / 2; i++) {
            sum += words[i];
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    return (int)(~sum & 0xffff);
}
