// The length of a copy comes from outside.
#include "mistakes.h"

struct request {
    __u32 length;
    __u32 pad;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, struct request);
} requests SEC(".maps");

SEC("kprobe/vfs_read")
int copy(struct pt_regs* ctx) {
    char buffer[64];
    __u32 key = 0;
    struct request* request = bpf_map_lookup_elem(&requests, &key);
    if (!request) {
        return 0;
    }
    bpf_probe_read_kernel(buffer, request->length, (void*)0xffff888000000000);
    return buffer[0];
}
