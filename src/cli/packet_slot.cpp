// Tested by run_once_test.cpp and run_pcap_test.cpp.
#include "cli/packet_slot.hpp"

#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm::cli {
namespace {

constexpr std::size_t kMacSize = 6;

// PACKET_HOST, PACKET_BROADCAST or PACKET_MULTICAST (uapi/linux/if_packet.h) by destination.
std::uint32_t packet_type(std::span<const std::byte> bytes) {
    constexpr std::uint32_t kHost = 0;
    constexpr std::uint32_t kBroadcast = 1;
    constexpr std::uint32_t kMulticast = 2;
    if (bytes.size() < kMacSize) {
        return kHost;
    }
    if (std::ranges::all_of(bytes.first(kMacSize), [](auto b) { return b == std::byte{0xff}; })) {
        return kBroadcast;
    }
    return (bytes[0] & std::byte{1}) != std::byte{0} ? kMulticast : kHost;
}

} // namespace

Expected<Input> input_of(const ProgTypeTable& types, ProgType type) {
    switch (type) {
    case ProgType::Unspec:
        return Input::Memory;
    case ProgType::Xdp:
        return Input::Xdp;
    case ProgType::SocketFilter:
    case ProgType::SchedCls:
    case ProgType::SchedAct:
        return Input::Skb;
    default: // the table has many more types, all without a context
        break;
    }
    const ProgTypeInfo* info = types.find(type);
    return fail(Errc::Unsupported, "programs of type {} cannot run here",
                info == nullptr ? name_of(type) : std::string_view(info->name));
}

void PacketSlot::fill(const CapturedPacket& packet) {
    const std::size_t needed = kHeadroom + packet.bytes.size() + kTailroom;
    if (buffer_.size() < needed) {
        buffer_.resize(needed);
    }
    memory_ = std::span(buffer_).subspan(kHeadroom, packet.bytes.size());
    std::ranges::copy(packet.bytes, memory_.begin());
    original_ = packet;
    original_.bytes = memory_;
    const Packet whole = Packet::in(std::span(buffer_).first(needed), memory_);
    switch (input_) {
    case Input::Memory:
        return;
    case Input::Xdp:
        xdp_ = XdpCtx{.packet = whole};
        return;
    case Input::Skb:
        skb_ = SkbCtx{.packet = whole};
        fill_skb(packet.bytes);
        return;
    }
}

void PacketSlot::fill_skb(std::span<const std::byte> bytes) {
    constexpr std::size_t kEthertypeOff = 2 * kMacSize;
    skb_.pkt_type = packet_type(bytes);
    skb_.wire_len = original_.wire_size;
    skb_.tstamp = original_.time_ns;
    if (fits(kEthertypeOff, sizeof(std::uint16_t), bytes.size())) {
        skb_.protocol = load_unaligned<std::uint16_t>(bytes.data() + kEthertypeOff);
    }
}

RunResult PacketSlot::run(const Executable& program, const RunOptions& options) {
    switch (input_) {
    case Input::Memory:
        return program.run(memory_, options);
    case Input::Xdp:
        return program.run(xdp_, options);
    case Input::Skb:
        return program.run(skb_, options);
    }
    std::unreachable();
}

CapturedPacket PacketSlot::packet() const {
    CapturedPacket result = original_;
    if (input_ == Input::Memory) {
        return result;
    }
    result.bytes = input_ == Input::Xdp ? xdp_.packet.bytes() : skb_.packet.bytes();
    // Bytes that the capture cut off are still missing at the end.
    const auto cut =
        original_.wire_size - std::min<std::size_t>(original_.wire_size, original_.bytes.size());
    result.wire_size = static_cast<std::uint32_t>(result.bytes.size() + cut);
    return result;
}

} // namespace ebpfvm::cli
