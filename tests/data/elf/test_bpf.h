// What the objects of tests/elf need of <linux/bpf.h> and libbpf. Any C compiler for BPF takes it.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed long long s64;

#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))

#define __uint(name, number) int(*name)[number]
#define __type(name, type) __typeof__(type)* name
#define __array(name, type) __typeof__(type)* name[]
#define __ulong(name, number) enum { name##_value = number } name

#ifdef __clang__
#define HELPER(number, type, name, ...) static type (*name)(__VA_ARGS__) = (void*)(number)
#else
#define HELPER(number, type, name, ...) \
    type name(__VA_ARGS__) __attribute__((kernel_helper(number)))
#endif

HELPER(1, void*, bpf_map_lookup_elem, void* map, const void* key);
HELPER(12, long, bpf_tail_call, void* ctx, void* map, u32 index);
HELPER(164, long, bpf_for_each_map_elem, void* map, void* fn, void* data, u64 flags);
