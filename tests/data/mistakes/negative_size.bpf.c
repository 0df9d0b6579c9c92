// A signed length that was only checked from above.
#include "mistakes.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __s64);
} lengths SEC(".maps");

SEC("kprobe/vfs_read")
int copy(struct pt_regs* ctx) {
    char buffer[64];
    __u32 key = 0;
    __s64* value = bpf_map_lookup_elem(&lengths, &key);
    if (!value) {
        return 0;
    }
    __s64 length = *value;
    if (length > (__s64)sizeof(buffer)) {
        return 0;
    }
    bpf_probe_read_kernel(buffer, length, (void*)0xffff888000000000);
    return buffer[0];
}
