/// Reports TCP connection attempts and UDP datagrams to user space through a ring buffer.
///
/// Shows the two ways to write a record. For TCP it reserves the record, fills it in place, then
/// submits it or, if the packet turns out to be no SYN, discards it: the verifier checks that a
/// reserved record is released on every path. For UDP it builds a record on the stack and copies it
/// with bpf_ringbuf_output(). A full buffer costs the event, not the packet.
#include "ebpfvm_bpf.h"

struct event {
    __u64 time_ns;
    __be32 saddr, daddr;
    __u16 sport, dport;  // host byte order
    __u16 size;          // of the whole packet
    __u8 protocol;
    __u8 tcp_flags;
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 64 * 1024);  // bytes: a power of two, and a multiple of the page size
} events SEC(".maps");

__u64 lost;

static __always_inline void report_udp(const struct iphdr* ip, const struct udphdr* udp,
                                       __u16 size) {
    struct event event = {
        .time_ns = bpf_ktime_get_ns(),
        .saddr = ip->saddr,
        .daddr = ip->daddr,
        .sport = bpf_ntohs(udp->source),
        .dport = bpf_ntohs(udp->dest),
        .size = size,
        .protocol = IPPROTO_UDP,
    };
    if (bpf_ringbuf_output(&events, &event, sizeof(event), 0)) __sync_fetch_and_add(&lost, 1);
}

static __always_inline void report_tcp(const struct iphdr* ip, const struct tcphdr* tcp,
                                       __u16 size) {
    struct event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event) {
        __sync_fetch_and_add(&lost, 1);
        return;
    }
    event->time_ns = bpf_ktime_get_ns();
    event->saddr = ip->saddr;
    event->daddr = ip->daddr;
    event->sport = bpf_ntohs(tcp->source);
    event->dport = bpf_ntohs(tcp->dest);
    event->size = size;
    event->protocol = IPPROTO_TCP;
    event->tcp_flags = tcp->flags;
    if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
        bpf_ringbuf_submit(event, 0);
    else
        bpf_ringbuf_discard(event, 0);
}

SEC("xdp")
int xdp_ringbuf_events(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = (void*)(eth + 1);
    void* l4 = ip + 1;
    if (l4 > end || eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
    if (ip->version_ihl != 0x45 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) return XDP_PASS;

    if (ip->protocol == IPPROTO_TCP && l4 + sizeof(struct tcphdr) <= end)
        report_tcp(ip, l4, end - data);
    if (ip->protocol == IPPROTO_UDP && l4 + sizeof(struct udphdr) <= end)
        report_udp(ip, l4, end - data);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
