// Addresses with an offset from their symbol, global and static.
#include "test_bpf.h"

struct parts {
    u32 a[3];
    u32 b[5];
};
struct parts first_parts = {{1}, {2}};
struct parts global_parts = {{1, 2, 3}, {4, 5, 6, 7, 8}};
static struct parts static_parts = {{11, 12, 13}, {14, 15, 16, 17, 18}};

static __noinline u32 sum(u32* from) { return from[0] + from[1]; }

SEC("xdp") int reader(void* ctx) {
    static_parts.a[(u64)ctx & 1] = 3;
    return (int)(sum(&global_parts.b[1]) + sum(&static_parts.b[2]) + sum(first_parts.a));
}
