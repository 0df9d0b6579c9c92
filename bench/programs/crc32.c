// Table lookups: CRC-32 of the random bytes, four bits at a time.
#include "bench.h"

static const u32 kTable[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

PROGRAM(crc32) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u32 crc = ~0u;
    for (u32 i = 0; i < NOISE; i++) {
        crc ^= noise[i];
        crc = crc >> 4 ^ kTable[crc & 15];
        crc = crc >> 4 ^ kTable[crc & 15];
    }
    return (int)~crc;
}
