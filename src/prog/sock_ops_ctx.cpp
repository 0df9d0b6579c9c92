// struct bpf_sock_ops, sk_msg_md, sk_reuseport_md and bpf_sk_lookup (uapi/linux/bpf.h). Kernel:
// sock_ops_is_valid_access, sk_msg_is_valid_access, sk_reuseport_is_valid_access,
// sk_lookup_is_valid_access. Tested by kernel/verify_ctx_test.cpp.
#include "prog/ctx_layouts.hpp"

namespace ebpfvm::prog {

using enum CtxFieldKind;

// clang-format off: tables

CtxLayoutPtr make_sock_ops_ctx() {
    return share({
        .name = "bpf_sock_ops",
        .size = 224,
        .fields = to_fields({
            // name                       off  size loads   stores
            {"op", 0, 4, kWord},
            {"reply", 4, 4, kWord, kWord},
            {"args[1]..total_retrans..", 8, 156, kWord},
            {"sk_txhash", 164, 4, kWord, kWord},
            {"bytes_received", 168, 8, kLong},
            {"bytes_acked", 176, 8, kLong},
            {"sk", 184, 8, kLong, 0, SocketOrNull},
            {"skb_data", 192, 8, kLong, 0, Packet},
            {"skb_data_end", 200, 8, kLong, 0, PacketEnd},
            {"skb_len", 208, 4, kWord},
            {"skb_tcp_flags", 212, 4, kToWord, 0, Scalar, CtxPart::AtStart},
            {"skb_hwtstamp", 216, 8, kLong},
        }),
        .has_packet = true,
        .packet_access = Access::Read,
    });
}

CtxLayoutPtr make_sk_msg_ctx() {
    return share({
        .name = "sk_msg_md",
        .size = 80,
        .fields = to_fields({
            // name        off size loads
            {"data", 0, 8, kLong, 0, Packet},
            {"data_end", 8, 8, kLong, 0, PacketEnd},
            {"family", 16, 4, kWord},
            {"remote_ip4", 20, 4, kWord},
            {"local_ip4", 24, 4, kWord},
            {"remote_ip6", 28, 16, kWord},
            {"local_ip6", 44, 16, kWord},
            {"remote_port", 60, 4, kWord},
            {"local_port", 64, 4, kWord},
            {"size", 68, 4, kWord},
            {"sk", 72, 8, kLong, 0, Socket},
        }),
        .has_packet = true,
        .packet_access = Access::ReadWrite,
    });
}

CtxLayoutPtr make_sk_reuseport_ctx() {
    return share({
        .name = "sk_reuseport_md",
        .size = 56,
        .fields = to_fields({
            // name          off size loads
            {"data", 0, 8, kLong, 0, Packet},
            {"data_end", 8, 8, kLong, 0, PacketEnd},
            {"len", 16, 4, kToWord},
            {"eth_protocol", 20, 4, kHalf + kWord},
            {"ip_protocol", 24, 4, kToWord},
            {"bind_inany", 28, 4, kToWord},
            {"hash", 32, 4, kWord},
            {"sk", 40, 8, kLong, 0, Socket},
            {"migrating_sk", 48, 8, kLong, 0, SockCommonOrNull},
        }),
        .has_packet = true,
        .packet_access = Access::Read,
    });
}

CtxLayoutPtr make_sk_lookup_ctx() {
    return share({
        .name = "bpf_sk_lookup",
        .size = 72,
        .fields = to_fields({
            // name             off size loads
            {"sk", 0, 8, kLong, 0, SocketOrNull},
            {"family", 8, 4, kToWord},
            {"protocol", 12, 4, kToWord},
            {"remote_ip4", 16, 4, kToWord},
            {"remote_ip6", 20, 16, kToWord},
            {"remote_port", 36, 4, kToWord},
            {"local_ip4", 40, 4, kToWord},
            {"local_ip6", 44, 16, kToWord},
            {"local_port", 60, 4, kToWord},
            {"ingress_ifindex", 64, 4, kToWord},
        }),
    });
}

// clang-format on

} // namespace ebpfvm::prog
