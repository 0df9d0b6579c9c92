// The members of the key are set, the padding between them is not. (Linux refuses this of programs
// without privileges; here it takes --strict-stack.)
// flags: --strict-stack
#include "mistakes.h"

struct key {
    __u8 protocol;
    __u32 ifindex;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int count(struct xdp_md* ctx) {
    struct key key;
    key.protocol = 6;
    key.ifindex = ctx->ingress_ifindex;
    __u64* flow = bpf_map_lookup_elem(&flows, &key);
    return flow ? XDP_PASS : XDP_DROP;
}
