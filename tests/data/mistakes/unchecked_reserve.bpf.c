// The ring buffer may be full.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int log_packet(struct xdp_md* ctx) {
    __u64* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    *event = ctx->ingress_ifindex;
    bpf_ringbuf_submit(event, 0);
    return XDP_PASS;
}
