// A load balancer: frames go to one of four servers, picked by a hash of the flow and kept for it.
#include "bench.h"

#define RING 64

struct server {
    __be32 address;
    u8 mac[6];
    u16 weight;
};
struct server servers[4] = {
    {0x0101640a, {2, 0, 0, 0, 0, 1}, 1},
    {0x0201640a, {2, 0, 0, 0, 0, 2}, 1},
    {0x0301640a, {2, 0, 0, 0, 0, 3}, 1},
    {0x0401640a, {2, 0, 0, 0, 0, 4}, 1},
};

struct stats {
    u64 packets, bytes;
};
MAP(ring, BPF_MAP_TYPE_ARRAY, RING, u32, u32);
MAP(kept, BPF_MAP_TYPE_LRU_HASH, 4096, struct flow, u32);
MAP(stats, BPF_MAP_TYPE_PERCPU_ARRAY, 4, u32, struct stats);

// RFC 1624: the checksum after a word of the header has changed.
static __always_inline u16 update_checksum(u16 check, u32 before, u32 after) {
    u32 sum = (u16)~check;
    sum += (~before & 0xffff) + (~before >> 16);
    sum += (after & 0xffff) + (after >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)~sum;
}

static __always_inline u32 pick(struct flow* flow) {
    u32* known = bpf_map_lookup_elem(&kept, flow);
    if (known) {
        return *known;
    }
    u32 slot = hash_flow(flow) % RING;
    u32* place = bpf_map_lookup_elem(&ring, &slot);
    u32 server = place ? (*place + slot) & 3 : 0;
    bpf_map_update_elem(&kept, flow, &server, BPF_ANY);
    return server;
}

PROGRAM(balancer) {
    u8* frames = frames_of(ctx);
    if (!frames) {
        return 0;
    }
    u32 result = 0;
    PASSES(4) {
        for (u32 i = 0; i < FRAMES; i++) {
            u8* frame = frames + i * FRAME;
            struct flow flow;
            struct iphdr* ip = flow_of(frame, &flow);
            if (!ip) {
                continue;
            }
            flow.daddr = 0; // changes below: all runs must see the same flow
            u32 index = pick(&flow) & 3;
            const struct server* server = &servers[index];
            ip->check = update_checksum(ip->check, ip->daddr, server->address);
            ip->daddr = server->address;
            __builtin_memcpy(frame, server->mac, 6);
            struct stats* counter = bpf_map_lookup_elem(&stats, &index);
            if (counter) {
                counter->packets++;
                counter->bytes += bpf_ntohs(ip->tot_len);
            }
            result = result * 5 + index + ip->check;
        }
    }
    return (int)result;
}
