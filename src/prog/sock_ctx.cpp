// struct bpf_sock (uapi/linux/bpf.h): the context of cgroup_sock programs, and what pointers to
// sockets show; with it the other socket structs. Kernel: sock_filter_is_valid_access,
// bpf_sock_is_valid_access, bpf_sock_common_is_valid_access, bpf_tcp_sock_is_valid_access.
// Tested by kernel/verify_ctx_test.cpp.
#include "prog/ctx_layouts.hpp"

#include <algorithm>

namespace ebpfvm::prog {
namespace {

using enum CtxFieldKind;
using enum CtxPart;

constexpr std::uint32_t kSockSize = 80;

// A field of bpf_sock and who sees it.
struct SockField {
    FieldRow row;
    bool common = true;    ///< sockets of any kind have it
    bool create = true;    ///< in cgroup_sock programs at sock_create and sock_release
    bool bind4 = true;     ///< after bind4
    bool bind6 = true;     ///< after bind6
    bool writable = false; ///< at sock_create and sock_release
};

// clang-format off
constexpr SockField kSockFields[] = {
    //  name                off size loads                         common create bind4  bind6  writable
    {{"bound_dev_if",       0,  4,  kWord},                         true,  true,  false, false, true},
    {{"family",             4,  4,  kToWord, 0, Scalar, AtStart},   true,  true,  true,  true},
    {{"type",               8,  4,  kToWord, 0, Scalar, AtStart},   false, true,  true,  true},
    {{"protocol",           12, 4,  kToWord, 0, Scalar, AtStart},   false, true,  true,  true},
    {{"mark",               16, 4,  kWord},                         false, true,  false, false, true},
    {{"priority",           20, 4,  kWord},                         false, true,  false, false, true},
    {{"src_ip4",            24, 4,  kToWord},                       true,  false, true,  false},
    {{"src_ip6",            28, 16, kToWord},                       true,  false, false, true},
    {{"src_port",           44, 4,  kToWord, 0, Scalar, AtStart},   true,  false, true,  true},
    {{"dst_port",           48, 4,  kWord},                         true,  true,  true,  true},
    {{"dst_port",           48, 2,  kToHalf},                       true,  true,  true,  true},
    {{"dst_ip4",            52, 4,  kToWord},                       true,  true,  true,  true},
    {{"dst_ip6",            56, 16, kToWord},                       true,  true,  true,  true},
    {{"state",              72, 4,  kToWord, 0, Scalar, AtStart},   true,  true,  true,  true},
    {{"rx_queue_mapping",   76, 4,  kToWord, 0, Scalar, AtStart},   true,  true,  true,  true},
};
// clang-format on

CtxLayout sock_layout(bool SockField::*is_seen) {
    CtxLayout layout{.name = "bpf_sock", .size = kSockSize, .fields = {}};
    for (const SockField& field : kSockFields) {
        if (field.*is_seen) {
            layout.fields.push_back(to_field(field.row));
        }
    }
    return layout;
}

} // namespace

CtxLayoutPtr make_cgroup_sock_ctx(AttachType attach) {
    if (attach == AttachType::CgroupInet4PostBind) {
        return share(sock_layout(&SockField::bind4));
    }
    if (attach == AttachType::CgroupInet6PostBind) {
        return share(sock_layout(&SockField::bind6));
    }
    CtxLayout layout = sock_layout(&SockField::create);
    for (CtxField& field : layout.fields) {
        const auto row = std::ranges::find(kSockFields, field.off,
                                           [](const SockField& each) { return each.row.off; });
        if (row->writable) {
            field.stores = kWord;
            field.access = Access::ReadWrite;
        }
    }
    return share(std::move(layout));
}

CtxLayout sock_object() {
    CtxLayout layout{.name = "bpf_sock", .size = kSockSize, .fields = {}};
    for (const SockField& field : kSockFields) {
        layout.fields.push_back(to_field(field.row));
    }
    return layout;
}

CtxLayout sock_common_object() {
    return sock_layout(&SockField::common);
}

CtxLayout tcp_sock_object() {
    return {.name = "bpf_tcp_sock",
            .size = 112,
            .fields = to_fields({{"snd_cwnd..sacked_out", 0, 80, kWord},
                                 {"bytes_received", 80, 8, kLong},
                                 {"bytes_acked", 88, 8, kLong},
                                 {"dsack_dups..icsk_retransmits", 96, 16, kWord}})};
}

CtxLayout xdp_sock_object() {
    return {.name = "bpf_xdp_sock", .size = 4, .fields = to_fields({{"queue_id", 0, 4, kWord}})};
}

CtxLayout flow_keys_object() {
    return bytes_layout("bpf_flow_keys", 0, 56, Access::ReadWrite, Unaligned);
}

} // namespace ebpfvm::prog
