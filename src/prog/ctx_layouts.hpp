// Context layouts of the built-in program types. Those named in tables/prog_types.def serve engines
// and verifiers alike; the others describe what a verifier accepts, and nobody can run with them.
#pragma once

#include "ebpfvm/prog_type.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace ebpfvm::prog {

using CtxLayoutPtr = std::shared_ptr<const CtxLayout>;

/// A layout by the name in the ctx column; each has one maker.
CtxLayoutPtr make_XdpMdCtx();
CtxLayoutPtr make_SchedClsCtx();
CtxLayoutPtr make_SocketFilterCtx();
/// Known by name only.
inline CtxLayoutPtr make_NoCtx() {
    return nullptr;
}

// For verifiers alone.
CtxLayoutPtr make_cgroup_skb_ctx();
CtxLayoutPtr make_lwt_ctx(Access packet);
CtxLayoutPtr make_sk_skb_ctx();
CtxLayoutPtr make_flow_dissector_ctx();
/// egress_ifindex exists in programs for devmaps.
CtxLayoutPtr make_xdp_ctx(AttachType attach);
CtxLayoutPtr make_cgroup_sock_ctx(AttachType attach);
CtxLayoutPtr make_sock_addr_ctx(AttachType attach);
CtxLayoutPtr make_sock_ops_ctx();
CtxLayoutPtr make_sk_msg_ctx();
CtxLayoutPtr make_sk_reuseport_ctx();
CtxLayoutPtr make_sk_lookup_ctx();
CtxLayoutPtr make_sockopt_ctx(AttachType attach);
CtxLayoutPtr make_sysctl_ctx();
CtxLayoutPtr make_cgroup_device_ctx();
CtxLayoutPtr make_lirc_ctx();
CtxLayoutPtr make_syscall_ctx();
CtxLayoutPtr make_netfilter_ctx();
CtxLayoutPtr make_kprobe_ctx();
CtxLayoutPtr make_tracepoint_ctx();
CtxLayoutPtr make_perf_event_ctx();
CtxLayoutPtr make_raw_tracepoint_ctx();
CtxLayoutPtr make_raw_tracepoint_writable_ctx();

// Structs that programs reach through a pointer.
CtxLayout sock_object();        ///< struct bpf_sock
CtxLayout sock_common_object(); ///< its part that every kind of socket has
CtxLayout tcp_sock_object();
CtxLayout xdp_sock_object();
CtxLayout flow_keys_object();

/// One field as the tables for verifiers write it.
struct FieldRow {
    std::string_view name;
    std::uint32_t off;
    std::uint32_t size;
    std::uint8_t loads;      ///< CtxField::loads, but 0 is none
    std::uint8_t stores = 0; ///< CtxField::stores, but 0 is none
    CtxFieldKind kind = CtxFieldKind::Scalar;
    CtxPart part = CtxPart::Aligned;
};

// Sums of the sizes an access may have.
inline constexpr std::uint8_t kByte = 1;
inline constexpr std::uint8_t kHalf = 2;
inline constexpr std::uint8_t kWord = 4;
inline constexpr std::uint8_t kLong = 8;
inline constexpr std::uint8_t kToHalf = 1 + 2;
inline constexpr std::uint8_t kToWord = 1 + 2 + 4;
inline constexpr std::uint8_t kToLong = 1 + 2 + 4 + 8;

CtxField to_field(const FieldRow& row);
std::vector<CtxField> to_fields(std::initializer_list<FieldRow> rows);
/// A layout of plain bytes: [from, size).
CtxLayout bytes_layout(std::string_view name, std::uint32_t from, std::uint32_t size, Access access,
                       CtxPart part = CtxPart::Aligned);
CtxLayoutPtr share(CtxLayout layout);

} // namespace ebpfvm::prog
