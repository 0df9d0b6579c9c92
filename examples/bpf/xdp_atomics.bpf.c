/// Statistics that several CPUs update at once: total, largest, smallest, last, and a set of bits.
///
/// Shows the atomic operations in 64 and 32 bits: add and or without the old value; add, or, and,
/// xor with it; exchange; and compare-and-exchange in a bounded retry loop. Those that return the
/// old value need -mcpu=v3: this program does not compile for older versions.
#include "ebpfvm_bpf.h"

enum { RETRIES = 4 };

struct stats {
    __u64 bytes;          // add
    __u64 largest;        // compare-and-exchange
    __u64 size_classes;   // or: bit n is set if a packet of 64n to 64n+63 bytes was seen
    __u64 common_bits;    // and: bits set in the size of every packet
    __u64 parity;         // xor of all sizes
    __u64 last_size;      // exchange
    __u32 packets;        // add, 32 bits
    __u32 largest_index;  // compare-and-exchange, 32 bits: index of the newest packet
    __u32 seen_flags;     // or, 32 bits
    __u32 last_index;     // exchange, 32 bits
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct stats);
} stats SEC(".maps");

/// Packets whose size the program saw change: the exchange returned another one.
__u64 changes;

static __always_inline void raise(__u64* largest, __u64 size) {
    __u64 seen = *(volatile __u64*)largest;
    for (int i = 0; i < RETRIES && seen < size; i++) {
        __u64 old = __sync_val_compare_and_swap(largest, seen, size);
        if (old == seen) break;
        seen = old;
    }
}

SEC("xdp")
int xdp_atomics(struct xdp_md* ctx) {
    __u64 size = (long)ctx->data_end - (long)ctx->data;
    __u32 key = 0;
    struct stats* s = bpf_map_lookup_elem(&stats, &key);
    if (!s) return XDP_ABORTED;

    __u32 index = __sync_fetch_and_add(&s->packets, 1);
    if (index == 0) __sync_lock_test_and_set(&s->common_bits, ~0ULL);
    __sync_fetch_and_add(&s->bytes, size);
    raise(&s->largest, size);

    __u64 bit = 1ULL << (size / 64 & 63);
    __u64 classes = __sync_fetch_and_or(&s->size_classes, bit);
    __u64 common = __sync_fetch_and_and(&s->common_bits, size);
    __u64 parity = __sync_fetch_and_xor(&s->parity, size);
    // Without a use of the old values clang may choose the forms that do not return them.
    __u32 flags = !(classes & bit) | (common == size) << 1 | (parity == size) << 2;
    __sync_fetch_and_or(&s->seen_flags, flags);

    if (__sync_lock_test_and_set(&s->last_size, size) != size) __sync_fetch_and_add(&changes, 1);
    __u32 previous = __sync_lock_test_and_set(&s->last_index, index);
    __sync_val_compare_and_swap(&s->largest_index, previous, index);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
