// The map's number in place of its address.
#include "mistakes.h"

SEC("xdp")
int count(struct xdp_md* ctx) {
    __u32 key = 0;
    __u64* value = bpf_map_lookup_elem((void*)3, &key);
    return value ? XDP_PASS : XDP_DROP;
}
