// Maps defined through BTF.
#include "test_bpf.h"

struct flow {
    u32 address;
    u32 port;
};

struct {
    __uint(type, 1);
    __uint(max_entries, 100);
    __uint(map_flags, 1);
    __type(key, struct flow);
    __type(value, u64);
    __uint(pinning, 1);
} flows SEC(".maps");

struct {
    __uint(type, 2);
    __uint(key_size, 4);
    __uint(value_size, 24);
    __uint(max_entries, 3);
    __uint(numa_node, 0);
} sizes SEC(".maps");

struct {
    __uint(type, 30);
    __type(value, u32);
    __uint(max_entries, 1000);
    __uint(map_extra, 5);
} bloom SEC(".maps");

struct {
    __uint(type, 27);
    __uint(max_entries, 4096);
} events SEC(".maps");

typedef struct {
    __uint(type, 6);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct flow);
} stats_map;
static stats_map stats SEC(".maps");

SEC("xdp") int reader(void* ctx) {
    u32 key = 1;
    struct flow flow = {2, 3};
    u64* a = bpf_map_lookup_elem(&flows, &flow);
    u64* b = bpf_map_lookup_elem(&sizes, &key);
    u64* c = bpf_map_lookup_elem(&stats, &key);
    bpf_map_lookup_elem(&events, &key);
    return a && b && c;
}
