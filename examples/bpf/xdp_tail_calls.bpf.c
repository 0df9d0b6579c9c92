/// Dispatches on the protocol with tail calls: xdp_entry, then a network, then a transport program.
///
/// Shows several programs in one section and a program array that the object file itself fills in:
/// `.values` names the programs, and the loader turns these relocations into map entries. A tail
/// call does not return. When its slot is empty (here CALL_UDP) it fails and the caller goes on.
#include "ebpfvm_bpf.h"

/// Slots of `calls`, and keys of `passed`: where each packet ended.
enum { CALL_NONE, CALL_IPV4, CALL_IPV6, CALL_TCP, CALL_UDP, CALL_ICMP, CALL_COUNT };

int xdp_ipv4(struct xdp_md* ctx);
int xdp_ipv6(struct xdp_md* ctx);
int xdp_tcp(struct xdp_md* ctx);
int xdp_icmp(struct xdp_md* ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, CALL_COUNT);
    __uint(key_size, sizeof(__u32));
    __array(values, int(struct xdp_md*));
} calls SEC(".maps") = {
    .values =
        {
            [CALL_IPV4] = (void*)&xdp_ipv4,
            [CALL_IPV6] = (void*)&xdp_ipv6,
            [CALL_TCP] = (void*)&xdp_tcp,
            [CALL_ICMP] = (void*)&xdp_icmp,
        },
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CALL_COUNT);
    __type(key, __u32);
    __type(value, __u64);  // packets
} passed SEC(".maps");

static __always_inline int pass(__u32 slot) {
    __u64* packets = bpf_map_lookup_elem(&passed, &slot);
    if (packets) __sync_fetch_and_add(packets, 1);
    return XDP_PASS;
}

static __always_inline void call_transport(struct xdp_md* ctx, __u8 protocol) {
    switch (protocol) {
        case IPPROTO_TCP: bpf_tail_call(ctx, &calls, CALL_TCP); break;
        case IPPROTO_UDP: bpf_tail_call(ctx, &calls, CALL_UDP); break;
        case IPPROTO_ICMP:
        case IPPROTO_ICMPV6: bpf_tail_call(ctx, &calls, CALL_ICMP); break;
    }
}

SEC("xdp")
int xdp_entry(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;
    if ((void*)(eth + 1) > (void*)(long)ctx->data_end) return XDP_DROP;
    if (eth->h_proto == bpf_htons(ETH_P_IP)) bpf_tail_call(ctx, &calls, CALL_IPV4);
    if (eth->h_proto == bpf_htons(ETH_P_IPV6)) bpf_tail_call(ctx, &calls, CALL_IPV6);
    return pass(CALL_NONE);
}

SEC("xdp")
int xdp_ipv4(struct xdp_md* ctx) {
    struct iphdr* ip = (void*)(long)ctx->data + sizeof(struct ethhdr);
    if ((void*)(ip + 1) > (void*)(long)ctx->data_end) return XDP_DROP;
    call_transport(ctx, ip->protocol);
    return pass(CALL_IPV4);
}

SEC("xdp")
int xdp_ipv6(struct xdp_md* ctx) {
    struct ipv6hdr* ip = (void*)(long)ctx->data + sizeof(struct ethhdr);
    if ((void*)(ip + 1) > (void*)(long)ctx->data_end) return XDP_DROP;
    call_transport(ctx, ip->nexthdr);
    return pass(CALL_IPV6);
}

SEC("xdp")
int xdp_tcp(__unused struct xdp_md* ctx) {
    return pass(CALL_TCP);
}

SEC("xdp")
int xdp_icmp(__unused struct xdp_md* ctx) {
    return pass(CALL_ICMP);
}

char _license[] SEC("license") = "Dual MIT/GPL";
