// Byte order: words of the network are added up.
#include "bench.h"

PROGRAM(swap) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 sum = 0;
    PASSES(8) {
        for (u32 i = 0; i < NOISE; i += 16) {
            sum = sum * 5 + bpf_ntohl(*(u32*)(noise + i));
            sum = sum * 5 + bpf_ntohs(*(u16*)(noise + i + 4));
            sum = sum * 5 + bpf_ntohs(*(u16*)(noise + i + 6));
            sum = sum * 5 + __builtin_bswap64(*(u64*)(noise + i + 8));
        }
    }
    return (int)fold64(sum);
}
