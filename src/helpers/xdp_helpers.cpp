// xdp_adjust_head, xdp_adjust_tail: move the ends of the packet inside its buffer.
#include "helpers/helpers.hpp"

#include <cerrno>
#include <cstring>

namespace ebpfvm::helpers {
namespace {

constexpr std::int64_t kEthernetHeader = 14; // ETH_HLEN: no packet becomes shorter
constexpr std::int64_t kXdpFrame =
    40; // sizeof(struct xdp_frame): the kernel keeps it before the packet

} // namespace

// Distances, not pointers, are compared: `offset` may point far outside of the buffer.
std::uint64_t xdp_adjust_head(CallContext& call, std::uint64_t, std::uint64_t offset, std::uint64_t,
                              std::uint64_t, std::uint64_t) {
    Packet* packet = call.packet();
    if (packet == nullptr) {
        return as_r0(-EINVAL);
    }
    const std::int64_t by = static_cast<std::int32_t>(offset);
    const std::int64_t headroom = packet->data - packet->hard_start;
    const std::int64_t meta = packet->data - packet->data_meta;
    // The kernel demands this room of every move, but its packets always have it to begin with.
    // Here the host may have given less; then moving forward must still be possible.
    if (by < 0 && headroom + by < kXdpFrame + meta) {
        return as_r0(-EINVAL);
    }
    if (packet->data_end - packet->data - by < kEthernetHeader) {
        return as_r0(-EINVAL);
    }
    if (meta != 0) {
        std::memmove(packet->data_meta + by, packet->data_meta, static_cast<std::size_t>(meta));
    }
    packet->data_meta += by;
    packet->data += by;
    return 0;
}

std::uint64_t xdp_adjust_tail(CallContext& call, std::uint64_t, std::uint64_t offset, std::uint64_t,
                              std::uint64_t, std::uint64_t) {
    Packet* packet = call.packet();
    if (packet == nullptr) {
        return as_r0(-EINVAL);
    }
    const std::int64_t by = static_cast<std::int32_t>(offset);
    if (by > packet->hard_end - packet->data_end ||
        packet->data_end - packet->data + by < kEthernetHeader) {
        return as_r0(-EINVAL);
    }
    if (by > 0) {
        // The program could otherwise read what the host left there.
        std::memset(packet->data_end, 0, static_cast<std::size_t>(by));
    }
    packet->data_end += by;
    return 0;
}

} // namespace ebpfvm::helpers
