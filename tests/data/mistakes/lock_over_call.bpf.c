// A helper is called while the lock is held.
#include "mistakes.h"

struct counter {
    struct bpf_spin_lock lock;
    __u32 packets;
    __u64 last;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct counter);
} counters SEC(".maps");

SEC("tc")
int count(struct __sk_buff* skb) {
    __u32 zero = 0;
    struct counter* counter = bpf_map_lookup_elem(&counters, &zero);
    if (!counter) {
        return TC_ACT_OK;
    }
    bpf_spin_lock(&counter->lock);
    counter->packets++;
    counter->last = bpf_ktime_get_ns();
    bpf_spin_unlock(&counter->lock);
    return TC_ACT_OK;
}
