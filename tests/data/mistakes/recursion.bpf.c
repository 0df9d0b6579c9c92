// A function that calls itself.
#include "mistakes.h"

static __noinline int depth(__u32 n) {
    if (n == 0) {
        return 0;
    }
    volatile int below = depth(n / 2);
    return below + 1;
}

SEC("xdp")
int walk(struct xdp_md* ctx) {
    return depth(ctx->rx_queue_index);
}
