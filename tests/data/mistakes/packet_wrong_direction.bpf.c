// The comparison is the wrong way round: it lets exactly the short packets through.
#include "mistakes.h"

SEC("xdp")
int first_byte(struct xdp_md* ctx) {
    __u8* data = (void*)(long)ctx->data;
    __u8* data_end = (void*)(long)ctx->data_end;
    if (data + 1 < data_end) {
        return XDP_PASS;
    }
    return data[0] ? XDP_PASS : XDP_DROP;
}
