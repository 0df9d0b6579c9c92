// The result of a lookup is used although the key may be absent.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

SEC("xdp")
int count(struct xdp_md* ctx) {
    __u32 key = ctx->ingress_ifindex;
    __u64* counter = bpf_map_lookup_elem(&counters, &key);
    *counter += 1;
    return XDP_PASS;
}
