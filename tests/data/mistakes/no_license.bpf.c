// The helper is for GPL-compatible programs, and the license is another.
#define MISTAKES_LICENSE "Proprietary"
#include "mistakes.h"

SEC("kprobe/do_unlinkat")
int peek(struct pt_regs* ctx) {
    __u64 value = 0;
    bpf_probe_read_kernel(&value, sizeof(value), (void*)0xffff888000000000);
    return 0;
}
