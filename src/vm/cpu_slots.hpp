// Virtual CPUs: a run that may touch per-cpu memory holds one, so that no other run uses its copy.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace ebpfvm::vm {

class CpuSlots {
  public:
    explicit CpuSlots(std::uint32_t count);

    /// A free CPU, marked as taken; waits (yielding) while there is none. Prefers one that belongs
    /// to the calling thread's host CPU, so that its per-cpu memory is in that cache.
    [[nodiscard]] std::uint32_t acquire() noexcept;
    void release(std::uint32_t cpu) noexcept;

    [[nodiscard]] std::uint32_t count() const noexcept { return std::uint32_t(taken_.size()); }

  private:
    // A byte each, a cache line apart: threads on different CPUs do not disturb each other.
    struct alignas(64) Taken {
        std::atomic<bool> value = false;
    };
    std::vector<Taken> taken_;
};

} // namespace ebpfvm::vm
