// 64 lookups in an array.
#include "bench.h"

MAP(numbers, BPF_MAP_TYPE_ARRAY, 256, u32, u64);

PROGRAM(array_lookup) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < 64; i++) {
            u32 key = noise[i];
            u64* value = bpf_map_lookup_elem(&numbers, &key);
            if (value) {
                *value += i;
                sum += *value;
            }
        }
    }
    return (int)fold64(sum);
}
