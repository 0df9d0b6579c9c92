/// What each program of the suite includes. One source becomes a BPF object and a native function:
/// there, `struct xdp_md` holds pointers, and helpers and maps are those of the library
/// (native.hpp).
#pragma once

#ifdef __bpf__
#include "ebpfvm_bpf.h"

#define PROGRAM(name)                                                                              \
    char _license[] SEC("license") = "GPL";                                                        \
    SEC("xdp") int name(struct xdp_md* ctx)
#define MAP(name, map_type, entries, Key, Value)                                                   \
    struct {                                                                                       \
        __uint(type, map_type);                                                                    \
        __uint(max_entries, entries);                                                              \
        __type(key, Key);                                                                          \
        __type(value, Value);                                                                      \
    } name SEC(".maps")
#else
#include "ebpfvm_bpf.h"
#include "native.h"
#define xdp_md native_ctx // the kernel's has no room for pointers

#define PROGRAM(name) int native_program_##name(struct xdp_md* ctx)
#define MAP(name, map_type, entries, Key, Value)                                                   \
    static struct native_map name = {map_type, sizeof(Key), sizeof(Value), entries, 0}
#define bpf_map_lookup_elem native_map_lookup_elem
#define bpf_map_update_elem native_map_update_elem
#define bpf_map_delete_elem native_map_delete_elem
#define bpf_get_prandom_u32 native_get_prandom_u32
#define bpf_csum_diff native_csum_diff
#define bpf_loop native_loop
#endif

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

// The packet: a header, NOISE random bytes, and FRAMES Ethernet frames of FRAME bytes (packet.hpp).
#define HEADER 64
#define NOISE 1024
#define FRAME 64
#define FRAMES 16

/// Once is over too soon to be measured beside what a run costs.
#define PASSES(count) for (u32 pass = 0; pass < (count); pass++)

static __always_inline u8* packet_begin(struct xdp_md* ctx) {
    return (u8*)(long)ctx->data;
}

static __always_inline u8* packet_end(struct xdp_md* ctx) {
    return (u8*)(long)ctx->data_end;
}

/// The random bytes, or NULL if the packet is too short for them (it never is).
static __always_inline u8* noise_of(struct xdp_md* ctx) {
    u8* noise = packet_begin(ctx) + HEADER;
    return noise + NOISE > packet_end(ctx) ? NULL : noise;
}

/// The first of FRAMES frames, or NULL.
static __always_inline u8* frames_of(struct xdp_md* ctx) {
    u8* frames = packet_begin(ctx) + HEADER + NOISE;
    return frames + FRAMES * FRAME > packet_end(ctx) ? NULL : frames;
}

static __always_inline u32 rotl32(u32 x, unsigned by) {
    return x << by | x >> (32 - by);
}

static __always_inline u64 rotl64(u64 x, unsigned by) {
    return x << by | x >> (64 - by);
}

static __always_inline u32 fold64(u64 x) {
    return (u32)(x ^ x >> 32);
}

/// Always 0, which no compiler and no verifier knows.
__weak u32 unknown_zero;

/// `x`, but with bounds that do not depend on the path: else verifiers look at each path through a
/// loop.
static __always_inline u32 forget_bounds(u32 x) {
    return x ^ unknown_zero;
}

/// The finaliser of MurmurHash3.
static __always_inline u32 mix32(u32 h) {
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    return h ^ h >> 16;
}

/// Who talks to whom, in network byte order.
struct flow {
    __be32 saddr;
    __be32 daddr;
    __be16 sport;
    __be16 dport;
    u32 protocol;
};

/// Finds the flow of an IPv4 frame with TCP or UDP, which may have a VLAN tag; NULL if it is
/// something else, else the IP header.
static __always_inline struct iphdr* flow_of(u8* frame, struct flow* flow) {
    u16 type = ((struct ethhdr*)frame)->h_proto;
    u8* at = frame + sizeof(struct ethhdr);
    if (type == bpf_htons(ETH_P_8021Q)) {
        type = ((struct vlan_hdr*)at)->h_vlan_encapsulated_proto;
        at += sizeof(struct vlan_hdr);
    }
    struct iphdr* ip = (struct iphdr*)at;
    if (type != bpf_htons(ETH_P_IP) || ip->version_ihl != 0x45 ||
        (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)) {
        return NULL;
    }
    struct udphdr* ports = (struct udphdr*)(ip + 1);
    flow->saddr = ip->saddr;
    flow->daddr = ip->daddr;
    flow->sport = ports->source;
    flow->dport = ports->dest;
    flow->protocol = ip->protocol;
    return ip;
}

static __always_inline u32 hash_flow(const struct flow* flow) {
    u32 h = mix32(flow->saddr ^ 0x9e3779b9u);
    h = mix32(h ^ flow->daddr);
    h = mix32(h ^ ((u32)flow->sport << 16 | flow->dport));
    return mix32(h ^ flow->protocol);
}
