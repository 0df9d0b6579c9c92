/// Keeps the packets of a raw socket that go to or come from one TCP or UDP port over IPv4.
///
/// Shows the legacy packet loads LD_ABS and LD_IND, which classic BPF filters are made of. They
/// return values in host byte order and need no bounds check: an offset past the end makes the
/// program return 0, "drop". A socket filter returns the number of bytes to keep. Offsets count
/// from the Ethernet header, as on an AF_PACKET socket of type SOCK_RAW.
#include "ebpfvm_bpf.h"

enum { ETH_HLEN = sizeof(struct ethhdr), DROP = 0 };

#define offset_of(type, member) __builtin_offsetof(struct type, member)

const volatile __u32 port = 53;

SEC("socket")
int socket_filter_ports(struct __sk_buff* skb) {
    if (load_half(skb, offset_of(ethhdr, h_proto)) != ETH_P_IP) return DROP;
    if (load_half(skb, ETH_HLEN + offset_of(iphdr, frag_off)) & IP_OFFSET) return DROP;

    __u64 protocol = load_byte(skb, ETH_HLEN + offset_of(iphdr, protocol));
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) return DROP;

    __u64 l4 = ETH_HLEN + (load_byte(skb, ETH_HLEN) & 0xf) * 4;
    if (load_half(skb, l4) == port || load_half(skb, l4 + 2) == port) return skb->len;
    return DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
