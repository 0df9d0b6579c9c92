// A firewall: known connections pass, others are held against a list of rules.
#include "bench.h"

#define RULES 16

struct rule {
    u32 network, mask; // of the sender, host byte order
    u16 first_port, last_port;
    u8 protocol, passes;
};
// Not constant: hosts change rules.
// clang-format off
struct rule rules[RULES] = {
    {0x0a000000, 0xffffff00, 22, 22, IPPROTO_TCP, 1},     {0x0a000100, 0xffffff00, 22, 22, IPPROTO_TCP, 0},
    {0xc0a80000, 0xffff0000, 0, 65535, IPPROTO_UDP, 0},   {0x0a000000, 0xff000000, 53, 53, IPPROTO_UDP, 1},
    {0xac100000, 0xfff00000, 0, 1023, IPPROTO_TCP, 0},    {0x0a000000, 0xff000000, 8080, 8090, IPPROTO_TCP, 1},
    {0x0a010000, 0xffff0000, 0, 65535, IPPROTO_TCP, 0},   {0x0a020000, 0xffff0000, 123, 123, IPPROTO_UDP, 1},
    {0x0a020000, 0xffff0000, 0, 65535, IPPROTO_UDP, 0},   {0xc6336400, 0xffffff00, 0, 65535, IPPROTO_TCP, 0},
    {0xcb007100, 0xffffff00, 0, 65535, IPPROTO_UDP, 0},   {0x0a000000, 0xff000000, 443, 443, IPPROTO_TCP, 1},
    {0x0a000000, 0xff000000, 80, 80, IPPROTO_TCP, 1},     {0x0a000000, 0xff000000, 1024, 49151, IPPROTO_UDP, 1},
    {0x00000000, 0x00000000, 49152, 65535, IPPROTO_TCP, 1}, {0x00000000, 0x00000000, 0, 65535, IPPROTO_UDP, 0},
};
// clang-format on

MAP(connections, BPF_MAP_TYPE_HASH, 1024, struct flow, u64);
MAP(verdicts, BPF_MAP_TYPE_PERCPU_ARRAY, 2, u32, u64);

static __always_inline u32 judge(const struct flow* flow) {
    u32 sender = bpf_ntohl(flow->saddr);
    u16 port = bpf_ntohs(flow->dport);
    for (u32 i = 0; i < RULES; i++) {
        const struct rule* rule = &rules[i];
        if ((sender & rule->mask) == rule->network && flow->protocol == rule->protocol &&
            port >= rule->first_port && port <= rule->last_port) {
            return rule->passes & 1;
        }
    }
    return 0;
}

PROGRAM(firewall) {
    u8* frames = frames_of(ctx);
    if (!frames) {
        return 0;
    }
    u32 result = 0;
    PASSES(4) {
        for (u32 i = 0; i < FRAMES; i++) {
            struct flow flow;
            u32 passes = 0;
            if (flow_of(frames + i * FRAME, &flow)) {
                u64* seen = bpf_map_lookup_elem(&connections, &flow);
                if (seen) {
                    *seen += 1;
                    passes = 1;
                } else {
                    passes = judge(&flow);
                    if (passes && flow.protocol == IPPROTO_TCP) {
                        u64 once = 1;
                        bpf_map_update_elem(&connections, &flow, &once, BPF_ANY);
                    }
                }
            }
            u64* count = bpf_map_lookup_elem(&verdicts, &passes);
            if (count) {
                *count += 1;
            }
            result = result * 2 + passes;
        }
    }
    return (int)result;
}
