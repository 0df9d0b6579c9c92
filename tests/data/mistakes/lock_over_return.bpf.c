// One path returns with the lock held.
#include "mistakes.h"

struct counter {
    struct bpf_spin_lock lock;
    __u32 packets;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct counter);
} counters SEC(".maps");

SEC("tc")
int limit(struct __sk_buff* skb) {
    __u32 zero = 0;
    struct counter* counter = bpf_map_lookup_elem(&counters, &zero);
    if (!counter) {
        return TC_ACT_OK;
    }
    bpf_spin_lock(&counter->lock);
    if (counter->packets > 1000) {
        return TC_ACT_SHOT;
    }
    counter->packets++;
    bpf_spin_unlock(&counter->lock);
    return TC_ACT_OK;
}
