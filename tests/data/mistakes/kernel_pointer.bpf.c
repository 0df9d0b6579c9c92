// An address of the kernel is followed like a pointer.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} addresses SEC(".maps");

SEC("kprobe/do_unlinkat")
int peek(struct pt_regs* ctx) {
    __u32 zero = 0;
    __u64* address = bpf_map_lookup_elem(&addresses, &zero);
    if (!address) {
        return 0;
    }
    return *(int*)*address;
}
