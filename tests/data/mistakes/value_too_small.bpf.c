// The helper writes more than the map value holds.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u8[8]);
} names SEC(".maps");

SEC("kprobe/do_unlinkat")
int remember(struct pt_regs* ctx) {
    __u32 zero = 0;
    char* name = bpf_map_lookup_elem(&names, &zero);
    if (!name) {
        return 0;
    }
    bpf_get_current_comm(name, 16);
    return 0;
}
