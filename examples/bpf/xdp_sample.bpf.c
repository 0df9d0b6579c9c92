/// Traces one packet in `rate`, chosen at random, and counts samples per CPU.
///
/// Shows the helpers that look outside the packet: the pseudo-random generator, the number of the
/// current CPU, the clock, and printing to the trace log. Its map entries expire: an entry older
/// than a second is deleted, so what it leaves behind depends on time and chance.
#include "ebpfvm_bpf.h"

enum { ONE_SECOND = 1000000000 };

const volatile __u32 rate = 64;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 128);
    __type(key, __u32);    // CPU
    __type(value, __u64);  // time of its last sample
} last_sample SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} samples SEC(".maps");

SEC("xdp")
int xdp_sample(struct xdp_md* ctx) {
    __u32 cpu = bpf_get_smp_processor_id();
    __u64 now = bpf_ktime_get_ns();
    __u64* last = bpf_map_lookup_elem(&last_sample, &cpu);
    if (last && now - *last > ONE_SECOND) bpf_map_delete_elem(&last_sample, &cpu);

    if (rate == 0 || bpf_get_prandom_u32() % rate != 0) return XDP_PASS;
    __u32 key = 0;
    __u64* count = bpf_map_lookup_elem(&samples, &key);
    if (!count) return XDP_ABORTED;
    *count += 1;
    bpf_map_update_elem(&last_sample, &cpu, &now, BPF_ANY);
    bpf_printk("cpu %u sample %llu: %ld bytes", cpu, *count, (long)ctx->data_end - (long)ctx->data);
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
