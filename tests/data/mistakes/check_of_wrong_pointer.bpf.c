// The check is made before the header's variable length is added, and not repeated.
#include "mistakes.h"

SEC("xdp")
int dport(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* data_end = (void*)(long)ctx->data_end;
    struct iphdr* ip = data + sizeof(struct ethhdr);
    if ((void*)(ip + 1) + sizeof(struct tcphdr) > data_end) {
        return XDP_PASS;
    }
    struct tcphdr* tcp = (void*)ip + (ip->version_ihl & 15) * 4;
    return tcp->dest == bpf_htons(80) ? XDP_DROP : XDP_PASS;
}
