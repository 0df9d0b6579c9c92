// Numbers put together from bytes, as compilers do it for packed structs.
#include "bench.h"

struct __attribute__((packed)) item {
    u8 kind;
    u32 id;
    u16 size;
    u64 stamp;
    u8 flags;
};

PROGRAM(unaligned) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const struct item* items = (const struct item*)noise;
    u64 sum = 0;
    PASSES(8) {
        for (u32 i = 0; i < NOISE / sizeof(struct item); i++) {
            const struct item* item = items + i;
            sum = sum * 3 + (item->stamp ^ item->id) + item->size + item->kind + item->flags;
        }
    }
    return (int)fold64(sum);
}
