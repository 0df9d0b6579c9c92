// Packets and contexts for our machine as BPF_PROG_TEST_RUN makes them (net/bpf/test_run.c).
#pragma once

#include "ebpfvm/run.hpp"
#include "support/bits.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace ebpfvm::test {

inline constexpr std::size_t kEthernetHeader = 14;

/// The page a packet is run in.
class PacketBuffer {
  public:
    /// The packet, with the head- and tailroom of an XDP test run.
    Packet fill(std::span<const std::byte> data) {
        page_.fill(std::byte{0xee}); // what programs uncover must be cleared by the helpers
        std::ranges::copy(data, page_.begin() + kHeadroom);
        const auto usable = std::span(page_).first(page_.size() - kSkbSharedInfo);
        return Packet::in(usable, usable.subspan(kHeadroom, data.size()));
    }

  private:
    static constexpr std::size_t kHeadroom = 256;      // XDP_PACKET_HEADROOM
    static constexpr std::size_t kSkbSharedInfo = 320; // at the end of the page, on 64-bit hosts
    alignas(64) std::array<std::byte, 4096> page_;
};

inline std::uint16_t ethertype_of(std::span<const std::byte> frame) {
    return from_big_endian(load_unaligned<std::uint16_t>(frame.data() + kEthernetHeader - 2));
}

/// BPF_PROG_TEST_RUN gives -EINVAL: the frame says IP, but there is no whole IP header.
inline bool is_refused_by_test_run(std::span<const std::byte> frame) {
    constexpr std::uint16_t kIpv4 = 0x0800;
    constexpr std::uint16_t kIpv6 = 0x86dd;
    const std::uint16_t type = ethertype_of(frame);
    const std::size_t size = frame.size() - kEthernetHeader;
    return (type == kIpv4 && size < 20) || (type == kIpv6 && size < 40);
}

/// The frame behind an Ethernet header of a type that nothing in the kernel looks into.
inline std::vector<std::byte> with_experimental_header(std::span<const std::byte> frame) {
    std::vector<std::byte> result(kEthernetHeader);
    result[12] = std::byte{0x88}; // ETH_P_802_EX1
    result[13] = std::byte{0xb5};
    result.insert(result.end(), frame.begin(), frame.end());
    return result;
}

/// All fields but the packet (kernel: eth_type_trans and convert___skb_to_skb, on device lo).
inline SkbCtx skb_of_test_run(std::span<const std::byte> frame) {
    constexpr std::uint32_t kMulticast = 2; // PACKET_*
    constexpr std::uint32_t kOtherHost = 3;
    constexpr std::uint16_t k8023 = 0x0001; // ETH_P_802_3
    constexpr std::uint16_t k8022 = 0x0004;
    constexpr std::uint16_t k8023Min = 0x0600; // below, the field is a length

    SkbCtx skb;
    const auto dest = frame.first(6);
    const auto is = [](unsigned value) {
        return [value](std::byte b) { return b == std::byte(value); };
    };
    // No frame is a broadcast: the broadcast address of lo is all zeros, and not a multicast one.
    if ((dest[0] & std::byte{1}) != std::byte{0}) {
        skb.pkt_type = kMulticast;
    } else if (!std::ranges::all_of(dest, is(0))) { // the address of lo
        skb.pkt_type = kOtherHost;
    }
    std::uint16_t type = ethertype_of(frame);
    if (type < k8023Min) {
        const auto payload = frame.subspan(kEthernetHeader);
        const bool is_raw = payload.size() >= 2 && std::ranges::all_of(payload.first(2), is(0xff));
        type = is_raw ? k8023 : k8022;
    }
    skb.protocol = from_big_endian(type);
    skb.ifindex = 1;
    skb.wire_len = std::uint32_t(frame.size());
    return skb;
}

} // namespace ebpfvm::test
