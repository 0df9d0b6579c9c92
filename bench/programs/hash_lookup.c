// 64 lookups in a hash map, about half of which find something.
#include "bench.h"

MAP(numbers, BPF_MAP_TYPE_HASH, 1024, u32, u64);

// Is the map filled?
u32 is_ready;

PROGRAM(hash_lookup) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    if (!is_ready) {
        for (u32 i = 0; i < 128; i++) {
            u32 key = i;
            u64 value = i * 3;
            bpf_map_update_elem(&numbers, &key, &value, BPF_ANY);
        }
        is_ready = 1;
    }
    u64 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < 64; i++) {
            u32 key = noise[i];
            u64* value = bpf_map_lookup_elem(&numbers, &key);
            sum = sum * 3 + (value ? *value : 1);
        }
    }
    return (int)fold64(sum);
}
