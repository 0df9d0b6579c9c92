// Map values with fields that only helpers may touch.
#include "test_bpf.h"

struct bpf_spin_lock {
    u32 val;
};
struct bpf_timer {
    u64 opaque[2];
} __attribute__((aligned(8)));
struct task_struct;

struct nested {
    u64 before;
    struct bpf_timer timers[2];
};

struct value {
    u32 counter;
    struct bpf_spin_lock lock;
    struct nested nested;
#if __clang_major__ >= 16
    struct task_struct __attribute__((btf_type_tag("kptr"))) * task;
#endif
};

struct {
    __uint(type, 2);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct value);
} locked SEC(".maps");

int before_the_lock = 1;
struct bpf_spin_lock global_lock SEC(".data") = {1};

SEC("xdp") int reader(void* ctx) {
    u32 key = 0;
    return bpf_map_lookup_elem(&locked, &key) ? before_the_lock : (int)global_lock.val;
}
