/// Classifies packets for the queueing discipline: sets mark and priority, notes the class in cb.
///
/// Shows the __sk_buff context: fields that can be read (len, protocol), fields that can be written
/// (mark, priority, cb), and direct packet access through data and data_end. `protocol` is in
/// network byte order, everything else in host byte order.
#include "ebpfvm_bpf.h"

enum { CLASS_BULK = 1, CLASS_INTERACTIVE, CLASS_OTHER };

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, CLASS_OTHER + 1);
    __type(key, __u32);
    __type(value, __u64);  // bytes
} class_bytes SEC(".maps");

/// Packets larger than this are dropped.
const volatile __u32 max_len = 9000;

static __always_inline __u32 classify(struct __sk_buff* skb) {
    struct iphdr* ip = (void*)(long)skb->data + sizeof(struct ethhdr);
    if (skb->protocol != bpf_htons(ETH_P_IP)) return CLASS_OTHER;
    if ((void*)(ip + 1) > (void*)(long)skb->data_end) return CLASS_OTHER;
    if (ip->tos & 0x10) return CLASS_INTERACTIVE;  // low delay
    if (ip->protocol == IPPROTO_UDP && skb->len < 256) return CLASS_INTERACTIVE;
    return ip->protocol == IPPROTO_TCP ? CLASS_BULK : CLASS_OTHER;
}

SEC("tc")
int tc_mark(struct __sk_buff* skb) {
    if (skb->len > max_len) return TC_ACT_SHOT;

    __u32 class = classify(skb);
    skb->mark = class;
    skb->priority = class == CLASS_INTERACTIVE ? 6 : 0;
    skb->cb[0] = class;
    skb->cb[1] = skb->len;

    __u64* bytes = bpf_map_lookup_elem(&class_bytes, &class);
    if (bytes) __sync_fetch_and_add(bytes, skb->len);
    return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual MIT/GPL";
