// One packet (or plain memory) with the context that a program of its type runs on.
#pragma once

#include "cli/pcap_file.hpp"
#include "ebpfvm/vm.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ebpfvm::cli {

/// What a program runs on.
enum class Input : std::uint8_t {
    Memory, ///< r1 = bytes, r2 = their number
    Xdp,    ///< struct xdp_md
    Skb,    ///< struct __sk_buff
};

/// Errors: Errc::Unsupported for types that are known by name only.
[[nodiscard]] Expected<Input> input_of(const ProgTypeTable& types, ProgType type);

/// Room around each packet for xdp_adjust_head and xdp_adjust_tail, as network drivers leave it.
inline constexpr std::size_t kHeadroom = 256;
inline constexpr std::size_t kTailroom = 320;

class PacketSlot {
  public:
    explicit PacketSlot(Input input) : input_(input) {}

    /// Copies the packet into the slot and makes a fresh context for it.
    void fill(const CapturedPacket& packet);
    /// Runs the program on the slot. Each run needs its own fill().
    RunResult run(const Executable& program, const RunOptions& options);
    /// The packet as the program left it. Valid until the next fill().
    [[nodiscard]] CapturedPacket packet() const;

  private:
    void fill_skb(std::span<const std::byte> bytes);

    Input input_;
    std::vector<std::byte> buffer_;
    CapturedPacket original_; ///< its bytes: where fill() put them
    std::span<std::byte> memory_;
    XdpCtx xdp_;
    SkbCtx skb_;
};

} // namespace ebpfvm::cli
