// struct __sk_buff (uapi/linux/bpf.h) as each family of program types may see it; tc and socket
// filters run on SkbCtx. Kernel: tc_cls_act_is_valid_access, sk_filter_is_valid_access,
// cg_skb_is_valid_access, lwt_is_valid_access, sk_skb_is_valid_access,
// flow_dissector_is_valid_access. Tested by kernel/verify_ctx_test.cpp, kernel/ctx_access_test.cpp.
#include "prog/ctx_layouts.hpp"

#include <cstddef>

namespace ebpfvm::prog {
namespace {

// One field of __sk_buff with the rights of each family; None: it cannot see the field.
struct SkbField {
    CtxField field; // access: that of tc
    Access filter;
    Access cgroup;
    Access lwt;
    Access sk_skb;
};

std::vector<SkbField> skb_fields() {
    using enum CtxFieldKind;
    constexpr auto kNo = Access::None;
    constexpr auto kRead = Access::Read;
    constexpr auto kBoth = Access::ReadWrite;
    // clang-format off
    return {
        // name            off  size kind       tc     host_off                           host_size loads   filter cgroup lwt    sk_skb
        {{"len",             0,  4, PacketLen,  kRead, 0, 0},                                               kRead, kRead, kRead, kRead},
        {{"pkt_type",        4,  4, Scalar,     kRead, offsetof(SkbCtx, pkt_type),        4},               kRead, kRead, kRead, kRead},
        {{"mark",            8,  4, Scalar,     kBoth, offsetof(SkbCtx, mark),            4},               kRead, kBoth, kBoth, kNo},
        {{"queue_mapping",   12, 4, Scalar,     kBoth, offsetof(SkbCtx, queue_mapping),   4},               kRead, kRead, kRead, kRead},
        {{"protocol",        16, 4, Scalar,     kRead, offsetof(SkbCtx, protocol),        4},               kRead, kRead, kRead, kRead},
        {{"vlan_present",    20, 4, Scalar,     kRead, offsetof(SkbCtx, vlan_present),    4},               kRead, kRead, kRead, kRead},
        {{"vlan_tci",        24, 4, Scalar,     kRead, offsetof(SkbCtx, vlan_tci),        4},               kRead, kRead, kRead, kRead},
        {{"vlan_proto",      28, 4, Scalar,     kRead, offsetof(SkbCtx, vlan_proto),      4},               kRead, kRead, kRead, kRead},
        {{"priority",        32, 4, Scalar,     kBoth, offsetof(SkbCtx, priority),        4},               kRead, kBoth, kBoth, kBoth},
        {{"ingress_ifindex", 36, 4, Scalar,     kRead, offsetof(SkbCtx, ingress_ifindex), 4},               kRead, kRead, kRead, kRead},
        {{"ifindex",         40, 4, Scalar,     kRead, offsetof(SkbCtx, ifindex),         4},               kRead, kRead, kRead, kRead},
        {{"tc_index",        44, 4, Scalar,     kBoth, offsetof(SkbCtx, tc_index),        4},               kRead, kRead, kRead, kBoth},
        {{"cb",              48, 20, Bytes,     kBoth, offsetof(SkbCtx, cb),             20},               kBoth, kBoth, kBoth, kRead},
        {{"hash",            68, 4, Scalar,     kRead, offsetof(SkbCtx, hash),            4},               kRead, kRead, kRead, kRead},
        {{"tc_classid",      72, 4, Scalar,     kBoth, offsetof(SkbCtx, tc_classid),      4},               kNo,   kNo,   kNo,   kNo},
        {{"data",            76, 4, Packet,     kRead, 0, 0},                                               kNo,   kRead, kRead, kRead},
        {{"data_end",        80, 4, PacketEnd,  kRead, 0, 0},                                               kNo,   kRead, kRead, kRead},
        {{"napi_id",         84, 4, Scalar,     kRead, offsetof(SkbCtx, napi_id),         4},               kRead, kRead, kRead, kRead},
        {{"family",          88, 4, Scalar,     kNo,   0,                                 0},               kNo,   kRead, kNo,   kRead},
        {{"remote_ip4",      92, 4, Scalar,     kNo,   0,                                 0, kWord},        kNo,   kRead, kNo,   kRead},
        {{"local_ip4",       96, 4, Scalar,     kNo,   0,                                 0, kWord},        kNo,   kRead, kNo,   kRead},
        {{"remote_ip6",      100, 16, Scalar,   kNo,   0,                                 0, kWord},        kNo,   kRead, kNo,   kRead},
        {{"local_ip6",       116, 16, Scalar,   kNo,   0,                                 0, kWord},        kNo,   kRead, kNo,   kRead},
        {{"remote_port",     132, 4, Scalar,    kNo,   0,                                 0},               kNo,   kRead, kNo,   kRead},
        {{"local_port",      136, 4, Scalar,    kNo,   0,                                 0},               kNo,   kRead, kNo,   kRead},
        {{"data_meta",       140, 4, PacketMeta, kRead, 0, 0},                                              kNo,   kNo,   kNo,   kNo},
        {{"tstamp",          152, 8, Scalar,    kBoth, offsetof(SkbCtx, tstamp),          8, kLong},        kNo,   kBoth, kNo,   kNo},
        {{"wire_len",        160, 4, Scalar,    kRead, offsetof(SkbCtx, wire_len),        4},               kNo,   kNo,   kNo,   kNo},
        {{"gso_segs",        164, 4, Scalar,    kRead, offsetof(SkbCtx, gso_segs),        4},               kRead, kRead, kRead, kRead},
        {{"sk",              168, 8, SockCommonOrNull, kRead, 0, 0},                                        kRead, kRead, kRead, kRead},
        {{"gso_size",        176, 4, Scalar,    kRead, offsetof(SkbCtx, gso_size),        4},               kRead, kRead, kRead, kRead},
        {{"tstamp_type",     180, 1, Scalar,    kRead, offsetof(SkbCtx, tstamp_type),     1},               kNo,   kNo,   kNo,   kNo},
        {{"hwtstamp",        184, 8, Scalar,    kRead, offsetof(SkbCtx, hwtstamp),        8, kLong},        kNo,   kRead, kNo,   kNo},
    };
    // clang-format on
}

CtxLayout skb_layout(Access packet) {
    return {.name = "__sk_buff",
            .size = 192,
            .host_size = sizeof(SkbCtx),
            .fields = {},
            .has_packet = true,
            .packet_access = packet};
}

CtxLayoutPtr make_skb_ctx(Access packet, Access SkbField::*family) {
    CtxLayout layout = skb_layout(packet);
    for (SkbField& row : skb_fields()) {
        if (family != nullptr) {
            row.field.access = row.*family;
        }
        if (row.field.access != Access::None) {
            layout.fields.push_back(std::move(row.field));
        }
    }
    return share(std::move(layout));
}

} // namespace

CtxLayoutPtr make_SchedClsCtx() {
    return make_skb_ctx(Access::ReadWrite, nullptr);
}

CtxLayoutPtr make_SocketFilterCtx() {
    return make_skb_ctx(Access::None, &SkbField::filter);
}

CtxLayoutPtr make_cgroup_skb_ctx() {
    return make_skb_ctx(Access::Read, &SkbField::cgroup);
}

CtxLayoutPtr make_lwt_ctx(Access packet) {
    return make_skb_ctx(packet, &SkbField::lwt);
}

CtxLayoutPtr make_sk_skb_ctx() {
    return make_skb_ctx(Access::ReadWrite, &SkbField::sk_skb);
}

CtxLayoutPtr make_flow_dissector_ctx() {
    CtxLayout layout = skb_layout(Access::Read);
    layout.fields = to_fields({{"data", 76, 4, kWord, 0, CtxFieldKind::Packet},
                               {"data_end", 80, 4, kWord, 0, CtxFieldKind::PacketEnd},
                               {"flow_keys", 144, 8, kLong, 0, CtxFieldKind::FlowKeys}});
    return share(std::move(layout));
}

} // namespace ebpfvm::prog
