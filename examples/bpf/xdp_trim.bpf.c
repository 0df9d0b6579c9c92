/// Gives every packet a length between 60 and `snap_len` bytes, as a capturing tap might.
///
/// Shows bpf_xdp_adjust_tail() in both directions: a negative delta cuts the end of the packet, a
/// positive one appends zeros. Data pointers must be read again afterwards; the last byte of a cut
/// packet is then overwritten with a mark, which the verifier allows only after a new bounds check.
#include "ebpfvm_bpf.h"

enum { MIN_LEN = 60, MAX_LEN = 9000, CUT_MARK = 0xff };

const volatile __u32 snap_len = 128;

__u64 cut, padded;

SEC("xdp")
int xdp_trim(struct xdp_md* ctx) {
    __u64 len = (long)ctx->data_end - (long)ctx->data;
    if (len < MIN_LEN) {
        if (bpf_xdp_adjust_tail(ctx, MIN_LEN - len)) return XDP_ABORTED;
        __sync_fetch_and_add(&padded, 1);
        return XDP_PASS;
    }
    __u64 limit = snap_len;
    if (limit < MIN_LEN) limit = MIN_LEN;
    if (limit > MAX_LEN) limit = MAX_LEN;
    if (len <= limit) return XDP_PASS;
    if (bpf_xdp_adjust_tail(ctx, limit - len)) return XDP_ABORTED;

    __u8* data = (void*)(long)ctx->data;
    if (data + limit > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
    data[limit - 1] = CUT_MARK;
    __sync_fetch_and_add(&cut, 1);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
