// A field that struct xdp_md does not have.
#include "mistakes.h"

struct my_xdp_md {
    struct xdp_md md;
    __u32 tx_queue_index;
};

SEC("xdp")
int queue(struct my_xdp_md* ctx) {
    return ctx->tx_queue_index ? XDP_PASS : XDP_DROP;
}
