// The packet is read without a comparison with data_end.
#include "mistakes.h"

SEC("xdp")
int only_ip(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;
    if (eth->h_proto != bpf_htons(ETH_P_IP)) {
        return XDP_DROP;
    }
    return XDP_PASS;
}
