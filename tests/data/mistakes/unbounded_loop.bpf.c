// The number of turns comes from the context: nothing says that it is small.
#include "mistakes.h"

SEC("xdp")
int hash(struct xdp_md* ctx) {
    __u64 turns = (__u64)ctx->rx_queue_index << 32 | ctx->ingress_ifindex;
    __u32 result = 1;
    for (__u64 i = 0; i < turns; i++) {
        result = result * 31 + bpf_get_prandom_u32();
    }
    return result % 2 ? XDP_PASS : XDP_DROP;
}
