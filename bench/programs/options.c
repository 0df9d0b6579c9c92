// Options of varying length: each says how far it is to the next.
#include "bench.h"

PROGRAM(options) {
    u8* end = packet_end(ctx);
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u32 off = 0, sum = 0;
    for (u32 i = 0; i < 96; i++) {
        u8* option = noise + off;
        if (option + 8 > end) {
            break;
        }
        u32 kind = option[0] & 7, length = option[1] & 15;
        if (kind == 0) {
            off = forget_bounds(off + 1) & (NOISE - 1);
            continue;
        }
        if (kind == 2) {
            sum += option[2] << 8 | option[3];
        } else if (kind == 3) {
            sum ^= option[2];
        } else if (kind >= 5) {
            sum += *(u32*)(option + 4);
        }
        off = forget_bounds(off + 2 + length) & (NOISE - 1);
    }
    return (int)(sum + off);
}
