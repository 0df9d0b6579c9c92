// `>` where `>=` is needed.
#include "mistakes.h"

#define QUEUES 16

struct table {
    __u32 packets[QUEUES];
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
    __u32 queue = ctx->rx_queue_index;
    if (queue > QUEUES) {
        return XDP_PASS;
    }
    table->packets[queue]++;
    return XDP_PASS;
}
