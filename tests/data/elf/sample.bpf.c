// A little of everything, small: sample.bpf.o is what the robustness test damages. Made with
//     clang-19 -O2 -g -target bpf -mcpu=v3 -fdebug-prefix-map=$PWD=. -c sample.bpf.c -o sample.bpf.o
//     llvm-strip-19 -g sample.bpf.o
#include "test_bpf.h"

struct inner {
    __uint(type, 2);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} inner SEC(".maps");
struct {
    __uint(type, 12);
    __uint(max_entries, 2);
    __type(key, u32);
    __array(values, struct inner);
} outer SEC(".maps") = {.values = {&inner}};

struct task {
    int pid;
} __attribute__((preserve_access_index));

extern int CONFIG_HZ __kconfig __weak;
extern int host_function(int x) __ksym;

const volatile u32 limit = 5;
u64 counter;

__noinline int subprog(struct task* task) { return task->pid + (int)limit; }

SEC("xdp") int first(struct task* task) {
    u32 key = 0;
    counter += bpf_map_lookup_elem(&outer, &key) ? 1 : CONFIG_HZ;
    return subprog(task);
}
SEC("tc") int second(struct task* task) { return host_function(subprog(task)); }

char _license[] SEC("license") = "GPL";
