// The memory of a map: one zeroed mapping, divided into parts by a plan made beforehand.
#pragma once

#include "ebpfvm/map.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace ebpfvm::maps {

inline constexpr std::uint64_t kCacheLine = 64;

/// Adds up what a map needs. Sums that overflow stick at the largest number, which no limit allows.
class MemoryPlan {
  public:
    /// Reserves `count` items of `size` bytes at a cache line boundary; returns their offset.
    std::uint64_t add_part(std::uint64_t count, std::uint64_t size);
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    std::uint64_t bytes_ = 0;
};

/// Errors: Errc::LimitExceeded if the plan is larger than options.max_bytes.
[[nodiscard]] Expected<void> check_limit(const MapSpec& spec, const MemoryPlan& plan,
                                         const MapOptions& options);

/// Owns the mapping. Pages that nobody touches cost nothing, so sparse maps are cheap.
class MapMemory {
  public:
    /// Errors: those of check_limit(), and Errc::LimitExceeded if the host has no such memory.
    static Expected<MapMemory> allocate(const MapSpec& spec, const MemoryPlan& plan,
                                        const MapOptions& options);

    MapMemory(MapMemory&& other) noexcept
        : begin_(std::exchange(other.begin_, nullptr)), bytes_(other.bytes_) {}
    MapMemory& operator=(MapMemory&&) = delete;
    ~MapMemory();

    [[nodiscard]] std::byte* at(std::uint64_t off) const { return begin_ + off; }

  private:
    MapMemory(std::byte* begin, std::uint64_t bytes) : begin_(begin), bytes_(bytes) {}

    std::byte* begin_;
    std::uint64_t bytes_;
};

} // namespace ebpfvm::maps
