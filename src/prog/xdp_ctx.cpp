// struct xdp_md (uapi/linux/bpf.h) on XdpCtx. Tested by interp/checked_mode_test.cpp.
#include "prog/ctx_layouts.hpp"

#include <cstddef>

namespace ebpfvm::prog {

std::shared_ptr<const CtxLayout> make_XdpMdCtx() {
    using enum CtxFieldKind;
    constexpr auto kRead = Access::Read;
    // clang-format off
    return std::make_shared<const CtxLayout>(CtxLayout{
        .name = "xdp_md",
        .size = 24,
        .host_size = sizeof(XdpCtx),
        //          name             off size kind        access  host_off                           host_size
        .fields = {{"data",            0, 4, Packet,     kRead, 0, 0},
                   {"data_end",        4, 4, PacketEnd,  kRead, 0, 0},
                   {"data_meta",       8, 4, PacketMeta, kRead, 0, 0},
                   {"ingress_ifindex", 12, 4, Scalar,    kRead, offsetof(XdpCtx, ingress_ifindex), 4},
                   {"rx_queue_index",  16, 4, Scalar,    kRead, offsetof(XdpCtx, rx_queue_index),  4},
                   {"egress_ifindex",  20, 4, Scalar,    kRead, offsetof(XdpCtx, egress_ifindex),  4}},
        .has_packet = true,
        .packet_access = Access::ReadWrite,
    });
    // clang-format on
}

} // namespace ebpfvm::prog
