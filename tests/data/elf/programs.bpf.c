// Programs and subprograms: which functions become programs, and what each is linked with.
#include "test_bpf.h"

__noinline int text_global(int x) { return x * 7; }
static __noinline int text_static(int x) { return text_global(x) + 1; }
static __noinline int text_unused_by_second(int x) { return x * 9; }
__weak __noinline int text_weak(int x) { return x + 3; }
__hidden __noinline int text_hidden(int x) { return x + 5; }

SEC("xdp") int first(void* ctx) {
    int x = (int)(u64)ctx;
    return text_static(x) + text_unused_by_second(x) + text_hidden(x);
}

SEC("xdp") int second(void* ctx) { return text_static((int)(u64)ctx) + text_weak((int)(u64)ctx); }

SEC("xdp") __weak int third(void* ctx) { return 0; }

SEC("?tc/ingress") int not_autoloaded(void* ctx) { return 4; }
SEC("unheard_of") int untyped(void* ctx) { return 5; }

char _license[] SEC("license") = "Dual MIT/GPL";
