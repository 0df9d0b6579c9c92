// Any 64-bit number is added to a pointer.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u8[256]);
} bytes SEC(".maps");

SEC("xdp")
int pick(struct xdp_md* ctx) {
    __u32 zero = 0;
    __u8* value = bpf_map_lookup_elem(&bytes, &zero);
    if (!value) {
        return XDP_PASS;
    }
    __u64 offset = bpf_ktime_get_ns();
    return value[offset] ? XDP_PASS : XDP_DROP;
}
