/// Keeps packets and bytes of the most recently seen IPv4 flows, and totals per protocol.
///
/// Shows an LRU hash, which makes room by evicting old flows instead of refusing new ones, and a
/// per-CPU hash, whose values need no atomics because no other CPU touches them. The key is a
/// struct without padding: the bytes of a hash key are compared as they are, so all of them must be
/// set.
#include "ebpfvm_bpf.h"

struct flow_key {
    __be32 saddr, daddr;
    __be16 source, dest;  // zero if not TCP or UDP
    __u32 protocol;
};

struct totals {
    __u64 packets;
    __u64 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct flow_key);
    __type(value, struct totals);
} flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 256);
    __type(key, __u32);  // IP protocol
    __type(value, struct totals);
} protocols SEC(".maps");

static __always_inline void add_shared(const struct flow_key* key, __u64 bytes) {
    const struct totals first = {1, bytes};
    struct totals* old = bpf_map_lookup_elem(&flows, key);
    if (!old) {
        // Fails if another CPU has just added the flow: one packet is then not counted.
        bpf_map_update_elem(&flows, key, &first, BPF_NOEXIST);
        return;
    }
    __sync_fetch_and_add(&old->packets, 1);
    __sync_fetch_and_add(&old->bytes, bytes);
}

static __always_inline void add_per_cpu(__u32 protocol, __u64 bytes) {
    const struct totals first = {1, bytes};
    struct totals* old = bpf_map_lookup_elem(&protocols, &protocol);
    if (!old) {
        bpf_map_update_elem(&protocols, &protocol, &first, BPF_ANY);
        return;
    }
    old->packets += 1;
    old->bytes += bytes;
}

SEC("xdp")
int xdp_lru_flows(struct xdp_md* ctx) {
    void* data = (void*)(long)ctx->data;
    void* end = (void*)(long)ctx->data_end;
    struct ethhdr* eth = data;
    struct iphdr* ip = (void*)(eth + 1);
    if ((void*)(ip + 1) > end) return XDP_PASS;
    if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->version_ihl >> 4 != 4) return XDP_PASS;

    struct flow_key key = {.saddr = ip->saddr, .daddr = ip->daddr, .protocol = ip->protocol};
    int has_ports = key.protocol == IPPROTO_TCP || key.protocol == IPPROTO_UDP;
    if (has_ports && !(ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))) {
        struct udphdr* ports = (void*)ip + (ip->version_ihl & 0xf) * 4;  // TCP starts the same
        if ((void*)(ports + 1) > end) return XDP_PASS;
        key.source = ports->source;
        key.dest = ports->dest;
    }
    add_shared(&key, end - data);
    add_per_cpu(key.protocol, end - data);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
