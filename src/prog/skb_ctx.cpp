// struct __sk_buff (uapi/linux/bpf.h) on SkbCtx, as tc and socket filters may see it (kernel:
// tc_cls_act_is_valid_access, sk_filter_is_valid_access). Tested by interp/checked_mode_test.cpp.
#include "prog/ctx_layouts.hpp"

#include <algorithm>
#include <cstddef>

namespace ebpfvm::prog {
namespace {

// One field of __sk_buff with the rights of both program types.
struct SkbField {
    CtxField field; // access: that of tc
    Access filter;  // that of socket filters; None: they cannot see it
};

std::vector<SkbField> skb_fields() {
    using enum CtxFieldKind;
    constexpr auto kNo = Access::None;
    constexpr auto kRead = Access::Read;
    constexpr auto kBoth = Access::ReadWrite;
    // clang-format off
    return {
        // name            off  size kind       tc     host_off                           host_size  filter
        {{"len",             0,  4, PacketLen,  kRead, 0, 0},                                        kRead},
        {{"pkt_type",        4,  4, Scalar,     kRead, offsetof(SkbCtx, pkt_type),        4},        kRead},
        {{"mark",            8,  4, Scalar,     kBoth, offsetof(SkbCtx, mark),            4},        kRead},
        {{"queue_mapping",   12, 4, Scalar,     kBoth, offsetof(SkbCtx, queue_mapping),   4},        kRead},
        {{"protocol",        16, 4, Scalar,     kRead, offsetof(SkbCtx, protocol),        4},        kRead},
        {{"vlan_present",    20, 4, Scalar,     kRead, offsetof(SkbCtx, vlan_present),    4},        kRead},
        {{"vlan_tci",        24, 4, Scalar,     kRead, offsetof(SkbCtx, vlan_tci),        4},        kRead},
        {{"vlan_proto",      28, 4, Scalar,     kRead, offsetof(SkbCtx, vlan_proto),      4},        kRead},
        {{"priority",        32, 4, Scalar,     kBoth, offsetof(SkbCtx, priority),        4},        kRead},
        {{"ingress_ifindex", 36, 4, Scalar,     kRead, offsetof(SkbCtx, ingress_ifindex), 4},        kRead},
        {{"ifindex",         40, 4, Scalar,     kRead, offsetof(SkbCtx, ifindex),         4},        kRead},
        {{"tc_index",        44, 4, Scalar,     kBoth, offsetof(SkbCtx, tc_index),        4},        kRead},
        {{"cb",              48, 20, Bytes,     kBoth, offsetof(SkbCtx, cb),             20},        kBoth},
        {{"hash",            68, 4, Scalar,     kRead, offsetof(SkbCtx, hash),            4},        kRead},
        {{"tc_classid",      72, 4, Scalar,     kBoth, offsetof(SkbCtx, tc_classid),      4},        kNo},
        {{"data",            76, 4, Packet,     kRead, 0, 0},                                        kNo},
        {{"data_end",        80, 4, PacketEnd,  kRead, 0, 0},                                        kNo},
        {{"napi_id",         84, 4, Scalar,     kRead, offsetof(SkbCtx, napi_id),         4},        kRead},
        {{"data_meta",       140, 4, PacketMeta, kRead, 0, 0},                                       kNo},
        {{"tstamp",          152, 8, Scalar,    kBoth, offsetof(SkbCtx, tstamp),          8},        kNo},
        {{"wire_len",        160, 4, Scalar,    kRead, offsetof(SkbCtx, wire_len),        4},        kNo},
        {{"gso_segs",        164, 4, Scalar,    kRead, offsetof(SkbCtx, gso_segs),        4},        kRead},
        {{"gso_size",        176, 4, Scalar,    kRead, offsetof(SkbCtx, gso_size),        4},        kRead},
        {{"tstamp_type",     180, 1, Scalar,    kRead, offsetof(SkbCtx, tstamp_type),     1},        kNo},
        {{"hwtstamp",        184, 8, Scalar,    kRead, offsetof(SkbCtx, hwtstamp),        8},        kNo},
    };
    // clang-format on
}

CtxLayout skb_layout() {
    return {.name = "__sk_buff",
            .size = 192,
            .host_size = sizeof(SkbCtx),
            .fields = {},
            .has_packet = true};
}

} // namespace

std::shared_ptr<const CtxLayout> make_SchedClsCtx() {
    CtxLayout layout = skb_layout();
    layout.packet_access = Access::ReadWrite;
    for (SkbField& row : skb_fields()) {
        layout.fields.push_back(std::move(row.field));
    }
    return std::make_shared<const CtxLayout>(std::move(layout));
}

std::shared_ptr<const CtxLayout> make_SocketFilterCtx() {
    CtxLayout layout = skb_layout();
    for (SkbField& row : skb_fields()) {
        if (row.filter != Access::None) {
            row.field.access = row.filter;
            layout.fields.push_back(std::move(row.field));
        }
    }
    return std::make_shared<const CtxLayout>(std::move(layout));
}

} // namespace ebpfvm::prog
