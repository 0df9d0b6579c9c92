// A sampler: flows in a count-min sketch; heavy ones, and one frame in 64, are written down.
#include "bench.h"

#define ROWS 4
#define COLUMNS 512

struct sketch {
    u32 count[ROWS][COLUMNS];
    u32 frames;
};
struct sample {
    struct flow flow;
    u32 estimate;
    u32 length;
};
MAP(sketches, BPF_MAP_TYPE_PERCPU_ARRAY, 1, u32, struct sketch);
MAP(samples, BPF_MAP_TYPE_ARRAY, 64, u32, struct sample);

PROGRAM(sampler) {
    u8* frames = frames_of(ctx);
    u32 zero = 0;
    struct sketch* sketch = bpf_map_lookup_elem(&sketches, &zero);
    if (!frames || !sketch) {
        return 0;
    }
    u32 result = 0;
    PASSES(4) {
        for (u32 i = 0; i < FRAMES; i++) {
            struct flow flow;
            struct iphdr* ip = flow_of(frames + i * FRAME, &flow);
            if (!ip) {
                continue;
            }
            u32 hash = hash_flow(&flow), estimate = ~0u;
            for (u32 row = 0; row < ROWS; row++) {
                u32* count = &sketch->count[row][hash % COLUMNS];
                *count += 1;
                estimate = *count < estimate ? *count : estimate;
                hash = mix32(hash + row);
            }
            u32 number = ++sketch->frames;
            if (number % 64 == 0 || estimate % 1024 == 1023) {
                u32 slot = number / 64 % 64;
                struct sample sample = {flow, estimate, bpf_ntohs(ip->tot_len)};
                bpf_map_update_elem(&samples, &slot, &sample, BPF_ANY);
            }
            result = result * 3 + estimate;
        }
    }
    return (int)result;
}
