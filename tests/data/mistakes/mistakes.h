// What these programs need besides examples/bpf/ebpfvm_bpf.h.
#pragma once

#include "ebpfvm_bpf.h"

#define __aligned(n) __attribute__((aligned(n)))

// The compiler may not know what the value is from here on: what would be folded away, or
// turned into a check by itself, stays as it is written.
#define barrier_var(x) __asm__ volatile("" : "+r"(x))

struct bpf_spin_lock {
    __u32 val;
};

struct bpf_sock_tuple {
    __be32 saddr;
    __be32 daddr;
    __be16 sport;
    __be16 dport;
};

struct bpf_sock;
struct pt_regs;
struct bpf_sock_addr {
    __u32 user_family;
    __u32 user_ip4;
    __u32 user_ip6[4];
    __u32 user_port;
};

static long (*const bpf_probe_read_kernel)(void* dst, __u32 size, const void* from) = (void*)113;
static long (*const bpf_get_current_comm)(void* buf, __u32 size) = (void*)16;
static __u64 (*const bpf_get_current_pid_tgid)(void) = (void*)14;
static struct bpf_sock* (*const bpf_sk_lookup_tcp)(void* ctx, struct bpf_sock_tuple* tuple,
                                                   __u32 size, __u64 netns, __u64 flags) = (void*)84;
static long (*const bpf_sk_release)(void* sock) = (void*)86;
static void (*const bpf_spin_lock)(struct bpf_spin_lock* lock) = (void*)93;
static void (*const bpf_spin_unlock)(struct bpf_spin_lock* lock) = (void*)94;
static long (*const bpf_skb_load_bytes)(const void* skb, __u32 off, void* to, __u32 len) = (void*)26;
static long (*const bpf_redirect_map)(void* map, __u64 key, __u64 flags) = (void*)51;
static long (*const bpf_perf_event_output)(void* ctx, void* map, __u64 flags, void* data,
                                           __u64 size) = (void*)25;

#ifndef MISTAKES_LICENSE
#define MISTAKES_LICENSE "GPL"
#endif
char LICENSE[] SEC("license") = MISTAKES_LICENSE;
