// Tells when nobody can still use a thing that was taken away while runs were going on.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace ebpfvm {
class Map;
}

namespace ebpfvm::maps {

/// Runs enter and leave; maps that runs can no longer find are retired, and come back from
/// drained() when every run that was there at that time has left (as SRCU in the kernel, with two
/// phases).
///
/// Until the first run enters, nothing is ever drained: with an engine that does not take part,
/// retired maps are kept rather than lost under its feet.
class GracePeriod {
  public:
    /// A run begins; it hands the result to leave() at its end.
    std::uint32_t enter() noexcept;
    /// True if drained() may have something to return now.
    bool leave(std::uint32_t phase) noexcept;

    // The caller sees to it that only one thread at a time calls these.

    void retire(const Map* map) { pending_.push_back(map); }
    /// Maps that no run can hold any more, each as often as it was retired.
    [[nodiscard]] std::vector<const Map*> drained();

  private:
    // One word: runs in phase 0 (bits 0..30), in phase 1 (bits 31..61), ever entered (bit 62), and
    // the phase that runs enter now (bit 63). Runs of the other phase never become more.
    std::atomic<std::uint64_t> state_ = 0;
    std::vector<const Map*> pending_; // retired in the current phase
    std::vector<const Map*> waiting_; // until the runs of the other phase have left
};

} // namespace ebpfvm::maps
