// The Ethernet header is checked, the IP header behind it is not.
#include "mistakes.h"

SEC("xdp")
int only_tcp(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    if ((void*)(eth + 1) > data_end) {
        return XDP_DROP;
    }
    struct iphdr* ip = (void*)(eth + 1);
    return ip->protocol == IPPROTO_TCP ? XDP_PASS : XDP_DROP;
}
