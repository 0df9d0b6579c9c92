// struct xdp_md (uapi/linux/bpf.h) on XdpCtx. Kernel: xdp_is_valid_access. Tested by
// kernel/verify_ctx_test.cpp, kernel/ctx_access_test.cpp.
#include "prog/ctx_layouts.hpp"

#include <cstddef>

namespace ebpfvm::prog {

CtxLayoutPtr make_XdpMdCtx() {
    using enum CtxFieldKind;
    constexpr auto kRead = Access::Read;
    // clang-format off
    return share({
        .name = "xdp_md",
        .size = 24,
        .host_size = sizeof(XdpCtx),
        //          name             off size kind        access  host_off                           host_size loads
        .fields = {{"data",            0, 4, Packet,     kRead, 0, 0},
                   {"data_end",        4, 4, PacketEnd,  kRead, 0, 0},
                   {"data_meta",       8, 4, PacketMeta, kRead, 0, 0},
                   {"ingress_ifindex", 12, 4, Scalar,    kRead, offsetof(XdpCtx, ingress_ifindex), 4, kWord},
                   {"rx_queue_index",  16, 4, Scalar,    kRead, offsetof(XdpCtx, rx_queue_index),  4, kWord},
                   {"egress_ifindex",  20, 4, Scalar,    kRead, offsetof(XdpCtx, egress_ifindex),  4, kWord}},
        .has_packet = true,
        .packet_access = Access::ReadWrite,
    });
    // clang-format on
}

CtxLayoutPtr make_xdp_ctx(AttachType attach) {
    CtxLayout layout = *make_XdpMdCtx();
    if (attach != AttachType::XdpDevmap) {
        layout.fields.pop_back(); // egress_ifindex
    }
    return share(std::move(layout));
}

} // namespace ebpfvm::prog
