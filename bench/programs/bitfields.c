// Bit fields: records of one word are taken apart, changed and put together.
#include "bench.h"

struct record {
    u32 kind : 3;
    u32 size : 11;
    u32 flags : 5;
    u32 id : 13;
};

PROGRAM(bitfields) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    struct record* records = (struct record*)noise;
    u32 sum = 0;
    struct record last = {0};
    for (u32 i = 0; i < NOISE / 4; i++) {
        struct record record = records[i];
        last.kind = record.kind ^ last.flags;
        last.size += record.size;
        last.flags = record.flags + last.kind;
        last.id ^= record.id + last.size;
        sum = sum * 31 + (last.kind + last.size + last.flags + last.id);
    }
    return (int)sum;
}
