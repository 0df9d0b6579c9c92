/// Everything an example program needs: section and map macros, helpers, contexts, packet headers.
///
/// Takes the place of <linux/bpf.h> and libbpf, so that a program compiles anywhere with
///     clang -O2 -g -target bpf -mcpu=v3 -c prog.bpf.c
/// Numbers and layouts are those of the Linux user API; packet headers are in network byte order.
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed int __s32;
typedef signed long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;

#define NULL ((void*)0)

// ---- Sections and functions ----------------------------------------------------------------

/// Places a program or a variable in a named ELF section; the loader goes by that name.
#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
/// `extern int f(int) __ksym;` is a function or variable that the host offers under that name.
#define __ksym __attribute__((section(".ksyms")))
/// `extern int CONFIG_HZ __kconfig;` is a constant that the host sets when it reads the object.
#define __kconfig __attribute__((section(".kconfig")))
#define __unused __attribute__((unused))

// ---- Map definitions -----------------------------------------------------------------------

// A map is a variable of anonymous struct type in SEC(".maps"). Its members are never stored to:
// the loader reads the numbers and types out of the BTF, so an integer is the length of an array.
#define __uint(name, number) int(*name)[number]
#define __type(name, type) __typeof__(type)* name
#define __array(name, type) __typeof__(type)* name[]

enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PROG_ARRAY = 3,
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
    BPF_MAP_TYPE_RINGBUF = 27,
};

/// Flags of bpf_map_update_elem().
enum {
    BPF_ANY = 0,      // create or overwrite
    BPF_NOEXIST = 1,  // only create
    BPF_EXIST = 2,    // only overwrite
};

// ---- Helpers -------------------------------------------------------------------------------

// A helper is called by number: each constant "address" below becomes the imm of a call insn.
static void* (*const bpf_map_lookup_elem)(void* map, const void* key) = (void*)1;
static long (*const bpf_map_update_elem)(void* map, const void* key, const void* value,
                                         __u64 flags) = (void*)2;
static long (*const bpf_map_delete_elem)(void* map, const void* key) = (void*)3;
static __u64 (*const bpf_ktime_get_ns)(void) = (void*)5;
static long (*const bpf_trace_printk)(const char* fmt, __u32 fmt_size, ...) = (void*)6;
static __u32 (*const bpf_get_prandom_u32)(void) = (void*)7;
static __u32 (*const bpf_get_smp_processor_id)(void) = (void*)8;
/// Does not return on success; falls through if the slot is empty or `index` out of bounds.
static long (*const bpf_tail_call)(void* ctx, void* prog_array, __u32 index) = (void*)12;
/// Sizes are multiples of 4. The result is an unfolded ones' complement sum: see csum_fold().
static __s64 (*const bpf_csum_diff)(const __be32* from, __u32 from_size, const __be32* to,
                                    __u32 to_size, __u32 seed) = (void*)28;
/// Both adjust helpers invalidate every packet pointer: read ctx->data and data_end again.
static long (*const bpf_xdp_adjust_head)(void* xdp_md, int delta) = (void*)44;
static long (*const bpf_xdp_adjust_tail)(void* xdp_md, int delta) = (void*)65;
static long (*const bpf_ringbuf_output)(void* ringbuf, const void* data, __u64 size,
                                        __u64 flags) = (void*)130;
/// A record that was reserved must be submitted or discarded on every path.
static void* (*const bpf_ringbuf_reserve)(void* ringbuf, __u64 size, __u64 flags) = (void*)131;
static void (*const bpf_ringbuf_submit)(void* record, __u64 flags) = (void*)132;
static void (*const bpf_ringbuf_discard)(void* record, __u64 flags) = (void*)133;
/// Calls `callback(turn, ctx)` until it returns 1, `turns` times at most; returns how often it did.
static long (*const bpf_loop)(__u32 turns, void* callback, void* ctx, __u64 flags) = (void*)181;

/// printf-like tracing with at most three arguments; the format ends up in .rodata.
#define bpf_printk(fmt, ...)                                                                       \
    ({                                                                                             \
        static const char fmt_[] = fmt;                                                            \
        bpf_trace_printk(fmt_, sizeof(fmt_), ##__VA_ARGS__);                                       \
    })

#ifdef __clang__
/// LD_ABS and LD_IND (socket filters and sched_cls only): loads from the packet, in host byte
/// order. An offset past the end of the packet ends the program with return value 0.
__u64 load_byte(void* skb, __u64 off) __asm__("llvm.bpf.load.byte");
__u64 load_half(void* skb, __u64 off) __asm__("llvm.bpf.load.half");
__u64 load_word(void* skb, __u64 off) __asm__("llvm.bpf.load.word");
#endif

// ---- Contexts and return values ------------------------------------------------------------

enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
enum { TC_ACT_OK = 0, TC_ACT_SHOT = 2 };

/// A 4-byte field that holds an address (data, data_end) is loaded as a full pointer.
struct xdp_md {
    __u32 data;
    __u32 data_end;
    __u32 data_meta;
    __u32 ingress_ifindex;
    __u32 rx_queue_index;
    __u32 egress_ifindex;
};

struct __sk_buff {
    __u32 len;
    __u32 pkt_type;
    __u32 mark;
    __u32 queue_mapping;
    __u32 protocol;  // network byte order
    __u32 vlan_present;
    __u32 vlan_tci;
    __u32 vlan_proto;
    __u32 priority;
    __u32 ingress_ifindex;
    __u32 ifindex;
    __u32 tc_index;
    __u32 cb[5];
    __u32 hash;
    __u32 tc_classid;
    __u32 data;
    __u32 data_end;
    __u32 napi_id;
    __u32 family;
    __be32 remote_ip4;
    __be32 local_ip4;
    __be32 remote_ip6[4];
    __be32 local_ip6[4];
    __be32 remote_port;
    __u32 local_port;  // host byte order, unlike remote_port
    __u32 data_meta;
    __u64 flow_keys;
    __u64 tstamp;
    __u32 wire_len;
    __u32 gso_segs;
    __u64 sk;
    __u32 gso_size;
    __u32 tstamp_type;  // one byte in the user API, three bytes of padding
    __u64 hwtstamp;
};

// ---- Byte order ----------------------------------------------------------------------------

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_ntohs(x) ((__u16)__builtin_bswap16(x))
#define bpf_ntohl(x) ((__u32)__builtin_bswap32(x))
#else
#define bpf_ntohs(x) ((__u16)(x))
#define bpf_ntohl(x) ((__u32)(x))
#endif
#define bpf_htons(x) bpf_ntohs(x)
#define bpf_htonl(x) bpf_ntohl(x)

// ---- Packet headers ------------------------------------------------------------------------

#define ETH_ALEN 6

/// Values of h_proto, in host byte order. Below ETH_P_802_3_MIN the field is a length.
enum {
    ETH_P_802_3_MIN = 0x0600,
    ETH_P_IP = 0x0800,
    ETH_P_ARP = 0x0806,
    ETH_P_8021Q = 0x8100,
    ETH_P_IPV6 = 0x86dd,
    ETH_P_8021AD = 0x88a8,
};

enum {
    IPPROTO_HOPOPTS = 0,
    IPPROTO_ICMP = 1,
    IPPROTO_TCP = 6,
    IPPROTO_UDP = 17,
    IPPROTO_ROUTING = 43,
    IPPROTO_FRAGMENT = 44,
    IPPROTO_GRE = 47,
    IPPROTO_ICMPV6 = 58,
    IPPROTO_DSTOPTS = 60,
    IPPROTO_SCTP = 132,
};

struct ethhdr {
    __u8 h_dest[ETH_ALEN];
    __u8 h_source[ETH_ALEN];
    __be16 h_proto;
};

/// What follows the h_proto of ETH_P_8021Q and ETH_P_8021AD.
struct vlan_hdr {
    __be16 h_vlan_TCI;  // priority 3 bits, drop eligible 1, VLAN id 12
    __be16 h_vlan_encapsulated_proto;
};

struct arphdr {  // for IPv4 over Ethernet
    __be16 ar_hrd;
    __be16 ar_pro;
    __u8 ar_hln;
    __u8 ar_pln;
    __be16 ar_op;
    __u8 ar_sha[ETH_ALEN];
    __u8 ar_sip[4];
    __u8 ar_tha[ETH_ALEN];
    __u8 ar_tip[4];
};

#define IP_MF 0x2000      // more fragments
#define IP_OFFSET 0x1fff  // fragment offset, in units of 8 bytes

struct iphdr {
    __u8 version_ihl;  // version 4 bits, header length in words 4 bits
    __u8 tos;
    __be16 tot_len;
    __be16 id;
    __be16 frag_off;
    __u8 ttl;
    __u8 protocol;
    __u16 check;
    __be32 saddr;
    __be32 daddr;
};

struct ipv6hdr {
    __be32 version_class_flow;  // version 4 bits, traffic class 8, flow label 20
    __be16 payload_len;
    __u8 nexthdr;
    __u8 hop_limit;
    __be32 saddr[4];
    __be32 daddr[4];
};

/// The common start of hop-by-hop, routing and destination options.
struct ipv6_opt_hdr {
    __u8 nexthdr;
    __u8 hdrlen;  // in units of 8 bytes, not counting the first 8
};

#define IP6_MF 0x0001
#define IP6_OFFSET 0xfff8

struct frag_hdr {
    __u8 nexthdr;
    __u8 reserved;
    __be16 frag_off;
    __be32 identification;
};

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

struct tcphdr {
    __be16 source;
    __be16 dest;
    __be32 seq;
    __be32 ack_seq;
    __u8 doff;  // header length in words in the upper 4 bits
    __u8 flags;
    __be16 window;
    __u16 check;
    __be16 urg_ptr;
};

struct udphdr {
    __be16 source;
    __be16 dest;
    __be16 len;
    __u16 check;
};

enum { ICMP_ECHOREPLY = 0, ICMP_ECHO = 8 };

struct icmphdr {
    __u8 type;
    __u8 code;
    __u16 checksum;
    __be16 id;
    __be16 sequence;
};

/// Folds a sum such as that of bpf_csum_diff() into the value of a checksum field.
static __always_inline __u16 csum_fold(__u64 sum) {
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)~sum;
}
