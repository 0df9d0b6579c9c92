// CO-RE relocations, in a program and in a subprogram.
#include "test_bpf.h"

struct task {
    int pid;
    struct {
        long a;
        long b;
    } inner;
} __attribute__((preserve_access_index));

__noinline int read_inner(struct task* task) { return (int)task->inner.b; }

SEC("kprobe/entry") int reader(struct task* task) { return task->pid + read_inner(task); }
SEC("kprobe/entry") int again(struct task* task) { return read_inner(task); }
