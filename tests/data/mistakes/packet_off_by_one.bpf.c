// One byte fewer is compared than is read.
#include "mistakes.h"

SEC("xdp")
int last_byte(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    __u8* data_end = (void*)(long)ctx->data_end;
    if (data + 14 > data_end) {
        return XDP_DROP;
    }
    return data[14] == 0x45 ? XDP_PASS : XDP_DROP;
}
