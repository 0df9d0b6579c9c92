// Flows in an LRU map: 16 frames, a counter for each flow.
#include "bench.h"

struct counter {
    u64 packets;
    u64 hash;
};
MAP(flows, BPF_MAP_TYPE_LRU_HASH, 4096, struct flow, struct counter);

PROGRAM(lru_flows) {
    u8* frames = frames_of(ctx);
    if (!frames) {
        return 0;
    }
    u64 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < FRAMES; i++) {
            struct flow flow;
            if (!flow_of(frames + i * FRAME, &flow)) {
                continue;
            }
            struct counter* counter = bpf_map_lookup_elem(&flows, &flow);
            if (counter) {
                counter->packets++;
                sum += counter->packets;
            } else {
                struct counter fresh = {1, hash_flow(&flow)};
                bpf_map_update_elem(&flows, &flow, &fresh, BPF_ANY);
            }
        }
    }
    return (int)sum;
}
