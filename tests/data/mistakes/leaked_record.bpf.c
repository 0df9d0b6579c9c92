// The early return forgets the record that was reserved.
#include "mistakes.h"

struct event {
    __u64 time;
    __u32 ifindex;
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int log_packet(struct xdp_md* ctx) {
    struct event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event) {
        return XDP_PASS;
    }
    event->time = bpf_ktime_get_ns();
    if (ctx->ingress_ifindex == 1) {
        return XDP_PASS;
    }
    event->ifindex = ctx->ingress_ifindex;
    bpf_ringbuf_submit(event, 0);
    return XDP_PASS;
}
