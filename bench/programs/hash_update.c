// A hash map changes: 32 elements are set, then deleted.
#include "bench.h"

MAP(numbers, BPF_MAP_TYPE_HASH, 1024, u64, u64);

PROGRAM(hash_update) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u64* words = (const u64*)noise;
    u32 done = 0;
    for (u32 i = 0; i < 32; i++) {
        u64 key = words[i], value = i;
        done += bpf_map_update_elem(&numbers, &key, &value, BPF_ANY) == 0;
    }
    for (u32 i = 0; i < 32; i++) {
        u64 key = words[i];
        done += bpf_map_delete_elem(&numbers, &key) == 0;
    }
    return (int)done;
}
