// array and percpu_array: all elements exist from the beginning and stay.
#pragma once

#include "maps/divider.hpp"
#include "maps/map_memory.hpp"

namespace ebpfvm::maps {

/// Values lie one after the other, each at a multiple of 8 bytes; a per-cpu array has one such
/// block for each cpu. No locks: concurrent updates of one value may mix, in whole words of 8
/// bytes.
class ArrayMap final : public Map {
  public:
    static Expected<std::shared_ptr<Map>> create(const MapSpec& spec, const MapOptions& options);

    void* lookup_elem(const void* key, const MapUser& user) noexcept override;
    int update_elem(const void* key, const void* value, std::uint64_t flags,
                    const MapUser& user) noexcept override;
    int delete_elem(const void* key, const MapUser& user) noexcept override;
    int get_next_key(const void* key, void* next) noexcept override;

    [[nodiscard]] std::uint32_t cpus() const noexcept override { return cpus_; }
    /// Bytes from a value to the next one.
    [[nodiscard]] std::uint64_t stride() const noexcept { return stride_; }
    /// Bytes from a value to its copy for the next cpu; 0 in a plain array.
    [[nodiscard]] std::uint64_t cpu_stride() const noexcept { return cpu_stride_; }
    [[nodiscard]] std::span<std::byte> memory() noexcept override { return all_; }
    [[nodiscard]] MemoryState memory_state(const void* at, std::size_t size,
                                           const MapUser& user) noexcept override;
    [[nodiscard]] std::span<std::byte> value_at(const void* at,
                                                const MapUser& user) noexcept override;

  private:
    ArrayMap(const MapSpec& spec, std::uint32_t cpus, std::uint64_t cpu_stride, MapMemory memory);

    MapMemory memory_;
    std::span<std::byte> all_;
    std::uint32_t cpus_;
    std::uint64_t stride_;
    std::uint64_t cpu_stride_;
    Divider by_stride_;
};

/// get_next_key() of all maps whose keys are the indexes below `max_entries`.
int next_index(const void* key, void* next, std::uint32_t max_entries) noexcept;

} // namespace ebpfvm::maps
