/// Scores packets by size and content, and drops the suspicious ones.
///
/// Shows what a linker must handle. A static function is verified anew for each call, with what is
/// known about its arguments. A global function is verified once, by itself, so it may take the
/// context but no packet pointer. `is_suspicious` is weak: another object may replace it. The table
/// lives in .rodata, the initialised threshold in .data, the counters in .bss.
#include "ebpfvm_bpf.h"

enum { SCORES = 8 };

const __u16 size_score[SCORES] = {5, 3, 2, 1, 1, 1, 2, 4};  // per 256 bytes

__u32 threshold = 12;

__u64 accepted, suspicious;

/// Sum of the low nibbles of the first twelve bytes.
static __noinline __u32 address_score(const struct ethhdr* eth) {
    const __u8* bytes = (const __u8*)eth;
    __u32 sum = 0;
    for (int i = 0; i < 2 * ETH_ALEN; i++) sum += bytes[i] & 0xf;
    return sum;
}

__noinline __u32 score_of_size(__u64 size) {
    __u64 step = size / 256;
    return step < SCORES ? size_score[step] : size_score[SCORES - 1];
}

__noinline int packet_score(struct xdp_md* ctx) {
    struct ethhdr* eth = (void*)(long)ctx->data;
    void* end = (void*)(long)ctx->data_end;
    if ((void*)(eth + 1) > end) return 0;
    return address_score(eth) % 16 + score_of_size(end - (void*)eth);
}

__weak __noinline int is_suspicious(__u32 score) {
    return score > threshold;
}

SEC("xdp")
int xdp_subprogs(struct xdp_md* ctx) {
    if (is_suspicious(packet_score(ctx))) {
        __sync_fetch_and_add(&suspicious, 1);
        return XDP_DROP;
    }
    __sync_fetch_and_add(&accepted, 1);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
