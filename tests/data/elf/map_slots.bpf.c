// Maps of maps and prog arrays, with and without values.
#include "test_bpf.h"

struct inner {
    __uint(type, 2);
    __uint(max_entries, 8);
    __type(key, u32);
    __type(value, u64);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
    __uint(type, 12);
    __uint(max_entries, 5);
    __type(key, u32);
    __array(values, struct inner);
} outer SEC(".maps") = {.values = {&inner_b, 0, 0, &inner_a}};

struct {
    __uint(type, 13);
    __uint(max_entries, 6);
    __type(key, u64);
    __array(values, struct {
        __uint(type, 1);
        __uint(max_entries, 7);
        __type(key, u32);
        __type(value, u32);
    });
} anonymous_inner SEC(".maps");

SEC("xdp") int zero(void* ctx);
SEC("xdp") int two(void* ctx);

struct {
    __uint(type, 3);
    __uint(max_entries, 3);
    __uint(key_size, 4);
    __array(values, int(void*));
} jumps SEC(".maps") = {.values = {[0] = zero, [2] = two}};

SEC("xdp") int zero(void* ctx) { return 0; }
SEC("xdp") int two(void* ctx) {
    bpf_tail_call(ctx, &jumps, 0);
    return 2;
}
