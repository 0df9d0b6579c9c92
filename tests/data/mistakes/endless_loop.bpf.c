// Nothing that the condition depends on changes.
#include "mistakes.h"

volatile const __u32 limit = 10;

SEC("xdp")
int wait(struct xdp_md* ctx) {
    __u32 i = 0;
    while (i < ctx->rx_queue_index + 1) {
        bpf_ktime_get_ns();
    }
    return XDP_PASS;
}
