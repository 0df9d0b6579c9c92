// Two functions that together need more than 512 bytes.
#include "mistakes.h"

static __noinline int fill(__u32 seed) {
    volatile __u8 buffer[300];
    for (int i = 0; i < 300; i++) {
        buffer[i] = (__u8)seed;
    }
    return buffer[7];
}

SEC("xdp")
int main_buffer(struct xdp_md* ctx) {
    volatile __u8 buffer[300];
    for (int i = 0; i < 300; i++) {
        buffer[i] = 0;
    }
    return fill(ctx->rx_queue_index) + buffer[3];
}
