// ringbuf: records from many producers to one consumer, in the order of their reservation.
#pragma once

#include "maps/map_memory.hpp"
#include "maps/spin_lock.hpp"

namespace ebpfvm::maps {

/// max_entries is the capacity in bytes. A record has a header of 8 bytes, as in the kernel, and is
/// always contiguous: one that starts near the end of the ring runs on into a second half of the
/// same size, where no record ever starts. (The kernel maps the ring twice instead.)
///
/// Producers take a short lock to reserve and none to commit. Programs reach records through
/// CallContext::grant_ref alone; for memory_state() all of the ring is out of bounds.
class RingbufMap final : public Map {
  public:
    static Expected<std::shared_ptr<Map>> create(const MapSpec& spec, const MapOptions& options);

    /// A record of `size` bytes, with old content; nullptr if the ring has no room. It blocks the
    /// consumer until it is committed.
    std::byte* reserve(std::uint64_t size) noexcept;
    /// Commit a record that reserve() returned; its memory is no longer the caller's.
    static void submit(std::byte* record) noexcept;
    static void discard(std::byte* record) noexcept;
    /// Reserves, copies and submits; false if there is no room.
    bool output(const void* data, std::uint64_t size) noexcept;

    std::size_t consume(const std::function<void(std::span<const std::byte>)>& sink);

    void* lookup_elem(const void* key, const MapUser& user) noexcept override;
    int update_elem(const void* key, const void* value, std::uint64_t flags,
                    const MapUser& user) noexcept override;
    int delete_elem(const void* key, const MapUser& user) noexcept override;
    int get_next_key(const void* key, void* next) noexcept override;
    int copy_elem(const void* key, void* value, const MapUser& user) noexcept override;

    [[nodiscard]] std::span<std::byte> memory() noexcept override;
    [[nodiscard]] MemoryState memory_state(const void* at, std::size_t size,
                                           const MapUser& user) noexcept override;

  private:
    RingbufMap(const MapSpec& spec, MapMemory memory);
    std::byte* at(std::uint64_t position) const { return memory_.at(position & mask_); }

    MapMemory memory_;
    std::uint64_t mask_;

    // Positions count all bytes ever passed. Each side writes its own cache line.
    alignas(kCacheLine) SpinLock reserve_lock_;
    std::atomic<std::uint64_t> produced_ = 0; // changes under reserve_lock_
    alignas(kCacheLine) std::atomic<std::uint64_t> consumed_ = 0;
};

} // namespace ebpfvm::maps
