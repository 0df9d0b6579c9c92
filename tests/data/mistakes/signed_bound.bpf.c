// A signed index is only checked from above.
#include "mistakes.h"

struct table {
    __u32 hits[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct table);
} tables SEC(".maps");

SEC("xdp")
int count(struct xdp_md* ctx) {
    __u32 zero = 0;
    struct table* table = bpf_map_lookup_elem(&tables, &zero);
    if (!table) {
        return XDP_PASS;
    }
    __s32 index = (__s32)ctx->rx_queue_index - 1;
    barrier_var(index);
    if (index < 16) {
        table->hits[index]++;
    }
    return XDP_PASS;
}
