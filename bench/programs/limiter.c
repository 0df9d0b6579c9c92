// A rate limiter: a bucket of tokens for each sender; time comes from the packet.
#include "bench.h"

struct bucket {
    u64 tokens;
    u64 stamp;
};
MAP(buckets, BPF_MAP_TYPE_HASH, 1024, __be32, struct bucket);

u64 now = 1000;
u64 per_token = 700;
u64 burst = 8;

PROGRAM(limiter) {
    u8* frames = frames_of(ctx);
    if (!frames) {
        return 0;
    }
    u32 result = 0;
    PASSES(8) {
        for (u32 i = 0; i < FRAMES; i++) {
            struct flow flow;
            struct iphdr* ip = flow_of(frames + i * FRAME, &flow);
            if (!ip) {
                continue;
            }
            now += ip->tot_len;
            struct bucket* bucket = bpf_map_lookup_elem(&buckets, &flow.saddr);
            if (!bucket) {
                struct bucket fresh = {burst, now};
                bpf_map_update_elem(&buckets, &flow.saddr, &fresh, BPF_ANY);
                continue;
            }
            u64 earned = (now - bucket->stamp) / per_token;
            u64 tokens = bucket->tokens + earned;
            bucket->stamp += earned * per_token;
            tokens = tokens > burst ? burst : tokens;
            if (tokens > 0) {
                tokens--;
                result |= 1u << i;
            }
            bucket->tokens = tokens;
        }
    }
    return (int)result;
}
