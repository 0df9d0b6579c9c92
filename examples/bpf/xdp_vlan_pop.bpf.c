/// Removes the outer VLAN tag: moves the MAC addresses four bytes up and cuts the front of the
/// packet.
///
/// Shows bpf_xdp_adjust_head() and packet writes. The order matters: the helper invalidates every
/// packet pointer, so the addresses are moved first, over the tag that is about to go. They are
/// read completely before the first write because source and target overlap.
#include "ebpfvm_bpf.h"

struct tagged_frame {
    struct ethhdr eth;
    struct vlan_hdr vlan;
};

__u64 popped;

SEC("xdp")
int xdp_vlan_pop(struct xdp_md* ctx) {
    struct tagged_frame* frame = (void*)(long)ctx->data;
    if ((void*)(frame + 1) > (void*)(long)ctx->data_end) return XDP_PASS;

    __be16 proto = frame->eth.h_proto;
    if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD)) return XDP_PASS;

    // The encapsulated ethertype is already where h_proto will be.
    struct ethhdr copy = frame->eth;
    struct ethhdr* eth = (void*)&frame->eth + sizeof(struct vlan_hdr);
    __builtin_memcpy(eth->h_dest, copy.h_dest, ETH_ALEN);
    __builtin_memcpy(eth->h_source, copy.h_source, ETH_ALEN);

    if (bpf_xdp_adjust_head(ctx, sizeof(struct vlan_hdr))) return XDP_ABORTED;
    __sync_fetch_and_add(&popped, 1);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
