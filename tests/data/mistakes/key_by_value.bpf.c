// The key itself in place of its address.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

SEC("xdp")
int count(struct xdp_md* ctx) {
    __u64* value = bpf_map_lookup_elem(&counters, (void*)(long)ctx->ingress_ifindex);
    return value ? XDP_PASS : XDP_DROP;
}
