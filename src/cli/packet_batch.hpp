// Runs a program on many packets at a time, so that reading the clock does not count.
#pragma once

#include "cli/packet_slot.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ebpfvm::cli {

/// What many runs cost together.
struct RunCost {
    std::uint64_t runs = 0;
    std::uint64_t insns = 0;
    std::uint64_t ns = 0; ///< inside Executable::run() alone

    [[nodiscard]] double ns_per_run() const;
    [[nodiscard]] double runs_per_second() const;
    [[nodiscard]] double insns_per_run() const;
};

/// Up to kCapacity packets, each with its own buffer: few enough to stay in the cache.
class PacketBatch {
  public:
    static constexpr std::size_t kCapacity = 64;

    /// With more than one virtual CPU, packets go to them in turn.
    PacketBatch(Input input, std::uint32_t cpus)
        : cpus_(cpus), slots_(kCapacity, PacketSlot(input)), results_(kCapacity) {}

    /// Precondition: size() < kCapacity.
    void add(const CapturedPacket& packet) { slots_[size_++].fill(packet); }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool is_full() const { return size_ == kCapacity; }

    /// Runs the program once on each packet and adds to `cost`.
    void run(const Executable& program, RunCost& cost);
    [[nodiscard]] const RunResult& result(std::size_t i) const { return results_[i]; }
    [[nodiscard]] CapturedPacket packet(std::size_t i) const { return slots_[i].packet(); }

    void clear() { size_ = 0; }

  private:
    std::uint32_t cpus_;
    std::uint32_t next_cpu_ = 0;
    std::size_t size_ = 0;
    std::vector<PacketSlot> slots_;
    std::vector<RunResult> results_;
};

} // namespace ebpfvm::cli
