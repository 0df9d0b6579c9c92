// A const variable is written to through a cast.
#include "mistakes.h"

const volatile __u32 limit = 100;

SEC("xdp")
int raise(struct xdp_md* ctx) {
    *(volatile __u32*)&limit = ctx->rx_queue_index;
    return XDP_PASS;
}
