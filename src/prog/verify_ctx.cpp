// Program types and objects to their layouts, and the rules of access. Tested by
// kernel/verify_ctx_test.cpp.
#include "prog/verify_ctx.hpp"

#include "prog/ctx_layouts.hpp"
#include "prog/helper_access.hpp"
#include "support/bits.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace ebpfvm::prog {
namespace {

CtxLayoutPtr make_ctx(ProgType type, AttachType attach) {
    switch (type) {
    case ProgType::SocketFilter:
        return make_SocketFilterCtx();
    case ProgType::SchedCls:
    case ProgType::SchedAct:
        return make_SchedClsCtx();
    case ProgType::CgroupSkb:
        return make_cgroup_skb_ctx();
    case ProgType::LwtIn:
    case ProgType::LwtOut:
    case ProgType::LwtSeg6local:
        return make_lwt_ctx(Access::Read);
    case ProgType::LwtXmit:
        return make_lwt_ctx(Access::ReadWrite);
    case ProgType::SkSkb:
        return make_sk_skb_ctx();
    case ProgType::FlowDissector:
        return make_flow_dissector_ctx();
    case ProgType::Xdp:
        return make_xdp_ctx(attach);
    case ProgType::CgroupSock:
        return make_cgroup_sock_ctx(attach);
    case ProgType::CgroupSockAddr:
        return make_sock_addr_ctx(attach);
    case ProgType::SockOps:
        return make_sock_ops_ctx();
    case ProgType::SkMsg:
        return make_sk_msg_ctx();
    case ProgType::SkReuseport:
        return make_sk_reuseport_ctx();
    case ProgType::SkLookup:
        return make_sk_lookup_ctx();
    case ProgType::CgroupSockopt:
        return make_sockopt_ctx(attach);
    case ProgType::CgroupSysctl:
        return make_sysctl_ctx();
    case ProgType::CgroupDevice:
        return make_cgroup_device_ctx();
    case ProgType::Kprobe:
        return make_kprobe_ctx();
    case ProgType::Tracepoint:
        return make_tracepoint_ctx();
    case ProgType::PerfEvent:
        return make_perf_event_ctx();
    case ProgType::RawTracepoint:
        return make_raw_tracepoint_ctx();
    case ProgType::RawTracepointWritable:
        return make_raw_tracepoint_writable_ctx();
    case ProgType::Syscall:
        return make_syscall_ctx();
    case ProgType::Netfilter:
        return make_netfilter_ctx();
    case ProgType::LircMode2:
        return make_lirc_ctx();
    case ProgType::Unspec:
    case ProgType::Tracing:
    case ProgType::Lsm:
    case ProgType::StructOps:
    case ProgType::Ext:
        return nullptr;
    }
    return nullptr; // a type of the host
}

// Sizes of accesses to a field, as a sum.
std::uint8_t sizes_of(const CtxField& field, Access access) {
    if (!allows(field.access, access)) {
        return 0;
    }
    const std::uint8_t stated = access == Access::Write ? field.stores : field.loads;
    if (stated != 0) {
        return stated;
    }
    if (field.kind == CtxFieldKind::Bytes) {
        return kToLong;
    }
    const bool in_parts = access == Access::Read && (field.kind == CtxFieldKind::Scalar ||
                                                     field.kind == CtxFieldKind::PacketLen);
    return std::uint8_t(in_parts ? 2 * field.size - 1 : field.size);
}

bool may_begin(const CtxField& field, std::uint64_t off, std::uint32_t size) {
    switch (field.part) {
    case CtxPart::Aligned:
        return off % size == 0;
    case CtxPart::AtStart:
        return off == field.off;
    case CtxPart::Unaligned:
        return true;
    }
    std::unreachable();
}

const CtxField* plain_access(const CtxLayout& layout, std::uint64_t off, std::uint32_t size,
                             Access access) {
    static const CtxField kPlain{
        .name = "memory", .kind = CtxFieldKind::Bytes, .access = Access::ReadWrite};
    return allows(layout.plain, access) && fits(off, size, layout.size) ? &kPlain : nullptr;
}

} // namespace

std::shared_ptr<const CtxLayout> ctx_layout(ProgType type, std::uint32_t attach_type) {
    // Constants, made when first asked for: verification of a small program takes no longer.
    static std::mutex mutex;
    static std::map<std::pair<ProgType, std::uint32_t>, CtxLayoutPtr> made;
    const std::uint32_t attach = effective_attach_type(type, attach_type);
    if (std::to_underlying(type) > std::to_underlying(ProgType::Netfilter)) {
        return nullptr; // the host's; there may be many
    }
    const std::scoped_lock lock(mutex);
    const auto [layout, is_new] = made.try_emplace({type, attach});
    if (is_new) {
        layout->second = make_ctx(type, AttachType(attach));
    }
    return layout->second;
}

const CtxLayout& object_layout(ObjectKind kind) {
    static const CtxLayout kLayouts[] = {sock_object(), sock_common_object(), tcp_sock_object(),
                                         xdp_sock_object(), flow_keys_object()};
    return kLayouts[std::to_underlying(kind)];
}

const CtxField* find_access(const CtxLayout& layout, std::uint64_t off, std::uint32_t size,
                            Access access) {
    if (size != 1 && size != 2 && size != 4 && size != 8) {
        return nullptr;
    }
    if (layout.plain != Access::None) {
        return plain_access(layout, off, size, access);
    }
    const auto accepts = [&](const CtxField& field) {
        return off >= field.off && fits(off - field.off, size, field.size) &&
               (sizes_of(field, access) & size) != 0 && may_begin(field, off, size);
    };
    const auto found = std::ranges::find_if(layout.fields, accepts);
    return found != layout.fields.end() ? &*found : nullptr;
}

bool may_pass_packet(ProgType type, const HelperProto& helper) {
    switch (type) {
    case ProgType::CgroupSockopt:
        return true;
    case ProgType::SchedCls:
    case ProgType::SchedAct:
    case ProgType::Xdp:
    case ProgType::CgroupSkb:
    case ProgType::LwtIn:
    case ProgType::LwtOut:
    case ProgType::LwtXmit:
    case ProgType::LwtSeg6local:
    case ProgType::SkSkb:
    case ProgType::SkMsg:
    case ProgType::SkReuseport:
    case ProgType::FlowDissector:
        return has(helper.flags, HelperFlags::PacketArgs);
    case ProgType::Unspec:
    case ProgType::SocketFilter:
    case ProgType::Kprobe:
    case ProgType::Tracepoint:
    case ProgType::PerfEvent:
    case ProgType::CgroupSock:
    case ProgType::SockOps:
    case ProgType::CgroupDevice:
    case ProgType::RawTracepoint:
    case ProgType::CgroupSockAddr:
    case ProgType::LircMode2:
    case ProgType::CgroupSysctl:
    case ProgType::RawTracepointWritable:
    case ProgType::Tracing:
    case ProgType::StructOps:
    case ProgType::Ext:
    case ProgType::Lsm:
    case ProgType::SkLookup:
    case ProgType::Syscall:
    case ProgType::Netfilter:
        return false;
    }
    return has(helper.flags, HelperFlags::PacketArgs); // a type of the host
}

} // namespace ebpfvm::prog
