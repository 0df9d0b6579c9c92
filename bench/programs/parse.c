// Headers of 16 frames: Ethernet, VLAN, IPv4 with options, IPv6, ARP, TCP, UDP.
#include "bench.h"

struct stats {
    u32 tcp, udp, icmp, ipv6, arp, vlan, other, ports;
};

static __always_inline void count_transport(struct stats* stats, u8 protocol, const u8* l4) {
    const struct udphdr* ports = (const struct udphdr*)l4;
    if (protocol == IPPROTO_TCP) {
        stats->tcp++;
        stats->ports += bpf_ntohs(ports->dest);
    } else if (protocol == IPPROTO_UDP) {
        stats->udp++;
        stats->ports ^= bpf_ntohs(ports->source);
    } else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
        stats->icmp++;
    } else {
        stats->other++;
    }
}

PROGRAM(parse) {
    u8* end = packet_end(ctx);
    u8* frames = frames_of(ctx);
    if (!frames) {
        return 0;
    }
    struct stats stats = {0};
    PASSES(16) {
        for (u32 i = 0; i < FRAMES; i++) {
            u8* at = frames + i * FRAME;
            u16 type = ((struct ethhdr*)at)->h_proto;
            at += sizeof(struct ethhdr);
            if (type == bpf_htons(ETH_P_8021Q)) {
                type = ((struct vlan_hdr*)at)->h_vlan_encapsulated_proto;
                at += sizeof(struct vlan_hdr);
                stats.vlan++;
            }
            if (type == bpf_htons(ETH_P_IP)) {
                struct iphdr* ip = (struct iphdr*)at;
                u8* l4 = at + (ip->version_ihl & 15) * 4;
                if (l4 + sizeof(struct udphdr) > end) {
                    break;
                }
                if ((ip->frag_off & bpf_htons(IP_OFFSET)) == 0) {
                    count_transport(&stats, ip->protocol, l4);
                }
            } else if (type == bpf_htons(ETH_P_IPV6)) {
                stats.ipv6++;
                count_transport(&stats, ((struct ipv6hdr*)at)->nexthdr,
                                at + sizeof(struct ipv6hdr));
            } else if (type == bpf_htons(ETH_P_ARP)) {
                stats.arp++;
            } else {
                stats.other++;
            }
        }
    }
    return (int)(stats.tcp + stats.udp * 3 + stats.icmp * 5 + stats.ipv6 * 7 + stats.arp * 11 +
                 stats.vlan * 13 + stats.other * 17 + stats.ports * 19);
}
