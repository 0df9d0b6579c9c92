// The key is never set.
// flags: --strict-stack
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

SEC("xdp")
int count(struct xdp_md* ctx) {
    __u32 key;
    __u64* counter = bpf_map_lookup_elem(&counters, &key);
    return counter ? XDP_PASS : XDP_DROP;
}
