// Addresses of functions.
#include "test_bpf.h"

struct {
    __uint(type, 2);
    __uint(max_entries, 4);
    __type(key, u32);
    __type(value, u64);
} table SEC(".maps");

__noinline int padding(int x) { return x * 13; } // so that the callback is not at offset 0
static int static_callback(void* map, void* key, void* value, void* ctx) { return 17; }
__noinline int global_callback(void* map, void* key, void* value, void* ctx) { return 19; }

SEC("xdp") int caller(void* ctx) {
    bpf_for_each_map_elem(&table, static_callback, 0, 0);
    bpf_for_each_map_elem(&table, global_callback, 0, 0);
    return padding(1);
}
