// XDP has no current process.
#include "mistakes.h"

SEC("xdp")
int who(struct xdp_md* ctx) {
    return bpf_skb_load_bytes(ctx, 0, &ctx, 1) ? XDP_PASS : XDP_DROP;
}
