/// Answers IPv4 pings in place: turns an echo request into the reply and sends it back with XDP_TX.
///
/// Shows packet rewriting with incremental checksums. Swapping the addresses leaves the IP checksum
/// as it is; the new TTL and the new ICMP type do not, so bpf_csum_diff() compares the old and new
/// four bytes around each (RFC 1624) and csum_fold() makes a checksum of the result.
#include "ebpfvm_bpf.h"

enum { REPLY_TTL = 64 };

static __always_inline void swap_addresses(struct ethhdr* eth, struct iphdr* ip) {
    struct ethhdr old = *eth;
    __builtin_memcpy(eth->h_dest, old.h_source, ETH_ALEN);
    __builtin_memcpy(eth->h_source, old.h_dest, ETH_ALEN);

    __be32 saddr = ip->saddr;
    ip->saddr = ip->daddr;
    ip->daddr = saddr;
}

/// The checksum after one aligned word under it changed.
static __always_inline __u16 update_check(__u16 check, __be32 from, __be32 to) {
    return csum_fold(bpf_csum_diff(&from, sizeof(from), &to, sizeof(to), (__u16)~check));
}

/// The word that starts with two given bytes in memory; the other two count as zero.
static __always_inline __be32 word(__u8 first, __u8 second) {
    return bpf_htonl((__u32)first << 24 | (__u32)second << 16);
}

SEC("xdp")
int xdp_icmp_echo(struct xdp_md* ctx) {
    // No VLAN tag, no IP options: the headers are at fixed places.
    struct ethhdr* eth = (void*)(long)ctx->data;
    struct iphdr* ip = (void*)(eth + 1);
    struct icmphdr* icmp = (void*)(ip + 1);
    if ((void*)(icmp + 1) > (void*)(long)ctx->data_end) return XDP_PASS;
    if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->version_ihl != 0x45) return XDP_PASS;
    if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) return XDP_PASS;
    if (ip->protocol != IPPROTO_ICMP || icmp->type != ICMP_ECHO) return XDP_PASS;

    swap_addresses(eth, ip);
    ip->check = update_check(ip->check, word(ip->ttl, ip->protocol), word(REPLY_TTL, ip->protocol));
    ip->ttl = REPLY_TTL;
    icmp->checksum =
        update_check(icmp->checksum, word(ICMP_ECHO, icmp->code), word(ICMP_ECHOREPLY, icmp->code));
    icmp->type = ICMP_ECHOREPLY;
    return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
