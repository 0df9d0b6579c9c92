/// Counts packets and bytes per protocol class, and drops what is malformed or blocked.
///
/// The parser walks Ethernet, up to two VLAN tags, ARP, IPv4, IPv6 with extension headers, and the
/// transport header. A header that does not fit, or that contradicts the length around it, makes
/// the packet malformed: it is counted as such and dropped. A TCP or UDP packet to `drop_port` is
/// counted in its own class and dropped. Everything else passes.
///
/// Checksums are not verified: that is left to the network card or the stack.
/// tools/count_pcap.py applies the same rules to a capture, in Python.
#include "ebpfvm_bpf.h"

/// The key of proto_counts. The IPv6 classes mirror the IPv4 ones, see classify_l4().
enum proto_class {
    MALFORMED,
    ETH_OTHER,  // unknown ethertype, IEEE 802.3 length, or a third VLAN tag
    ARP,
    IPV4_TCP,
    IPV4_UDP,
    IPV4_ICMP,
    IPV4_SCTP,
    IPV4_GRE,
    IPV4_OTHER,
    IPV4_FRAG,  // every fragment, also the first one
    IPV6_TCP,
    IPV6_UDP,
    IPV6_ICMP,
    IPV6_SCTP,
    IPV6_GRE,
    IPV6_OTHER,
    IPV6_FRAG,
};

enum { VLAN_DEPTH = 2, EXT_HEADERS = 6 };

struct count {
    __u64 packets;
    __u64 bytes;
};

struct port_key {
    __u16 port;     // host byte order
    __u8 protocol;  // IPPROTO_TCP or IPPROTO_UDP
    __u8 zero;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, enum proto_class);
    __type(value, struct count);
} proto_counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct port_key);  // destination
    __type(value, __u64);          // packets
} top_ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, XDP_REDIRECT + 1);
    __type(key, __u32);    // enum xdp_action
    __type(value, __u64);  // packets
} verdicts SEC(".maps");

/// Destination port to block, 0 for none. Set it before the program is loaded.
const volatile __u32 drop_port = 23;

/// Packets not counted in top_ports because the map was full.
__u64 ports_lost;

/// The unparsed rest of a packet. `left` is what the innermost length field allows, which may be
/// less than what lies before `end`: Ethernet pads short frames.
struct cursor {
    void* pos;
    void* end;
    __u32 left;
};

struct transport {
    __u32 port;  // destination
    __u8 protocol;
};

/// True if `size` more bytes are there. The test of `left` is about the protocol; the test of `end`
/// is what the verifier needs to allow access.
static __always_inline int has(const struct cursor* cur, __u32 size) {
    return cur->left >= size && cur->pos + size <= cur->end;
}

static __always_inline void skip(struct cursor* cur, __u32 size) {
    cur->pos += size;
    cur->left -= size;
}

static __always_inline __u32 classify_l4(struct cursor* cur, __u8 protocol, __u32 tcp_class,
                                         struct transport* l4) {
    // The order of enum proto_class, starting at IPV4_TCP or IPV6_TCP.
    enum { TCP, UDP, ICMP, SCTP, GRE, OTHER };

    if (protocol == IPPROTO_TCP) {
        struct tcphdr* tcp = cur->pos;
        if (!has(cur, sizeof(*tcp))) return MALFORMED;
        __u32 size = (tcp->doff >> 4) * 4;
        if (size < sizeof(*tcp) || size > cur->left) return MALFORMED;
        *l4 = (struct transport){bpf_ntohs(tcp->dest), IPPROTO_TCP};
        return tcp_class + TCP;
    }
    if (protocol == IPPROTO_UDP) {
        struct udphdr* udp = cur->pos;
        if (!has(cur, sizeof(*udp))) return MALFORMED;
        __u32 size = bpf_ntohs(udp->len);
        if (size < sizeof(*udp) || size > cur->left) return MALFORMED;
        *l4 = (struct transport){bpf_ntohs(udp->dest), IPPROTO_UDP};
        return tcp_class + UDP;
    }
    // The rest only has to be long enough. ICMP and ICMPv6 each belong to one IP version.
    __u8 icmp = tcp_class == IPV4_TCP ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    if (protocol == icmp) return has(cur, 8) ? tcp_class + ICMP : MALFORMED;
    if (protocol == IPPROTO_SCTP) return has(cur, 12) ? tcp_class + SCTP : MALFORMED;
    if (protocol == IPPROTO_GRE) return has(cur, 4) ? tcp_class + GRE : MALFORMED;
    return tcp_class + OTHER;
}

static __always_inline __u32 classify_ipv4(struct cursor* cur, struct transport* l4) {
    struct iphdr* ip = cur->pos;
    if (!has(cur, sizeof(*ip)) || ip->version_ihl >> 4 != 4) return MALFORMED;

    __u32 header = (ip->version_ihl & 0xf) * 4;
    __u32 total = bpf_ntohs(ip->tot_len);
    if (header < sizeof(*ip) || total < header || total > cur->left) return MALFORMED;
    if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) return IPV4_FRAG;

    __u8 protocol = ip->protocol;
    cur->left = total;
    skip(cur, header);
    return classify_l4(cur, protocol, IPV4_TCP, l4);
}

static __always_inline __u32 classify_ipv6(struct cursor* cur, struct transport* l4) {
    struct ipv6hdr* ip = cur->pos;
    if (!has(cur, sizeof(*ip)) || *(__u8*)ip >> 4 != 6) return MALFORMED;

    __u8 next = ip->nexthdr;
    __u32 payload = bpf_ntohs(ip->payload_len);
    skip(cur, sizeof(*ip));
    if (payload > cur->left) return MALFORMED;
    cur->left = payload;

    // Left as a loop to show that the verifier bounds it; clang would unroll it.
#pragma clang loop unroll(disable)
    for (int i = 0; i < EXT_HEADERS; i++) {
        struct frag_hdr* ext = cur->pos;
        if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
            next != IPPROTO_FRAGMENT)
            break;
        if (!has(cur, sizeof(*ext))) return MALFORMED;
        __u32 size = sizeof(*ext);
        if (next == IPPROTO_FRAGMENT) {
            if (ext->frag_off & bpf_htons(IP6_MF | IP6_OFFSET)) return IPV6_FRAG;
        } else {
            size += ((struct ipv6_opt_hdr*)ext)->hdrlen * 8;
            if (size > cur->left) return MALFORMED;
        }
        next = ext->nexthdr;
        skip(cur, size);
    }
    // After a longer chain `next` is still an extension header: IPV6_OTHER.
    return classify_l4(cur, next, IPV6_TCP, l4);
}

static __always_inline __u32 classify(struct cursor* cur, struct transport* l4) {
    struct ethhdr* eth = cur->pos;
    if (!has(cur, sizeof(*eth))) return MALFORMED;
    __be16 proto = eth->h_proto;
    skip(cur, sizeof(*eth));

#pragma clang loop unroll(full)
    for (int i = 0; i < VLAN_DEPTH; i++) {
        struct vlan_hdr* vlan = cur->pos;
        if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD)) break;
        if (!has(cur, sizeof(*vlan))) return MALFORMED;
        proto = vlan->h_vlan_encapsulated_proto;
        skip(cur, sizeof(*vlan));
    }

    if (proto == bpf_htons(ETH_P_IP)) return classify_ipv4(cur, l4);
    if (proto == bpf_htons(ETH_P_IPV6)) return classify_ipv6(cur, l4);
    if (proto == bpf_htons(ETH_P_ARP)) return has(cur, sizeof(struct arphdr)) ? ARP : MALFORMED;
    return ETH_OTHER;
}

/// Finds an entry, or creates it with zeros. Null only if the map is full.
static __always_inline void* lookup_or_zero(void* map, const void* key, const void* zero) {
    void* value = bpf_map_lookup_elem(map, key);
    if (value) return value;
    // Another CPU may be faster: then the update fails and the lookup finds its entry.
    bpf_map_update_elem(map, key, zero, BPF_NOEXIST);
    return bpf_map_lookup_elem(map, key);
}

static __always_inline void count_class(__u32 class, __u64 bytes) {
    const struct count zero = {};
    struct count* count = lookup_or_zero(&proto_counts, &class, &zero);
    if (!count) return;
    __sync_fetch_and_add(&count->packets, 1);
    __sync_fetch_and_add(&count->bytes, bytes);
}

static __always_inline void count_port(const struct transport* l4) {
    const struct port_key key = {.port = l4->port, .protocol = l4->protocol};
    const __u64 zero = 0;
    __u64* packets = lookup_or_zero(&top_ports, &key, &zero);
    __sync_fetch_and_add(packets ? packets : &ports_lost, 1);
}

static __always_inline int finish(__u32 verdict) {
    __u64* packets = bpf_map_lookup_elem(&verdicts, &verdict);
    if (packets) ++*packets;  // one counter per CPU: no atomic needed
    return verdict;
}

SEC("xdp")
int xdp_count(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* end = (void*)(long)ctx->data_end;
    struct cursor cur = {.pos = data, .end = end, .left = end - data};
    struct transport l4 = {};

    __u32 class = classify(&cur, &l4);
    count_class(class, end - data);
    if (l4.protocol) count_port(&l4);

    if (class == MALFORMED) return finish(XDP_DROP);
    if (l4.protocol && drop_port && l4.port == drop_port) return finish(XDP_DROP);
    return finish(XDP_PASS);
}

char _license[] SEC("license") = "Dual MIT/GPL";
