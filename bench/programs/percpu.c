// Counters of each CPU: protocol numbers in a per-cpu array.
#include "bench.h"

struct counter {
    u64 packets;
    u64 bytes;
};
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, 256, u32, struct counter);

PROGRAM(percpu) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u64 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < 64; i++) {
            u32 key = noise[i];
            struct counter* counter = bpf_map_lookup_elem(&counters, &key);
            if (counter) {
                counter->packets++;
                counter->bytes += key;
                sum += counter->bytes;
            }
        }
    }
    return (int)fold64(sum);
}
