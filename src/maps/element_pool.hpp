// The elements of a hash map: where they lie, which are free, and who may touch their values.
// Tested by hash_map_test.cpp.
#pragma once

#include "maps/divider.hpp"
#include "maps/map_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace ebpfvm::maps {

/// What precedes the key words of each element in memory. Zero memory is a valid element.
struct Element {
    std::uint32_t next; ///< number of the next element in its bucket; stays when it leaves
    std::uint32_t hash;
    std::uintptr_t state; ///< element_state, or the MapUser::run that deleted it
};

/// No element has this number.
inline constexpr std::uint32_t kNoElement = 0;

/// Element::state; no run has such an address.
namespace element_state {
inline constexpr std::uintptr_t kNeverUsed = 0;
inline constexpr std::uintptr_t kLive = 1;
inline constexpr std::uintptr_t kReferenced = 2; ///< live, and looked up since the clock passed
inline constexpr std::uintptr_t kRetired = 3;    ///< replaced, evicted or deleted by the host
} // namespace element_state

/// Where the parts of a hash map lie in its memory. Values of ordinary maps lie behind their keys,
/// in the same cache line if they are small. Those of per-cpu maps lie apart, one block per cpu, so
/// that no two cpus write to one cache line.
struct HashLayout {
    HashLayout(const MapSpec& spec, std::uint32_t cpus, bool per_cpu);

    std::uint32_t elements = 0; ///< numbered from 1; more than max_entries, see kSpareElements
    std::uint64_t buckets = 0;  ///< a power of two
    std::uint64_t element_stride = 0;
    std::uint64_t value_stride = 0; ///< from a value to that of the next element
    std::uint64_t cpu_stride = 0;   ///< from a value to its copy for the next cpu
    std::uint64_t buckets_off = 0;
    std::uint64_t elements_off = 0;
    std::uint64_t free_off = 0;
    std::uint64_t values_off = 0; ///< of element 0, cpu 0
    std::uint64_t memory_off = 0; ///< of Map::memory()
    std::uint64_t memory_bytes = 0;
    MemoryPlan plan;
};

/// Hands out elements and takes them back. The functions that change the pool need the map's lock,
/// the others none.
///
/// An element that was given back is used again only after kSpareElements others: whoever still
/// holds a pointer to its value reads old data for a while, and other data of the same map after
/// that, never anything else. Elements never used before come last, so that a map which stays small
/// stays in the cache.
class ElementPool {
  public:
    static constexpr std::uint32_t kSpareElements = 32;

    ElementPool(const MapSpec& spec, const HashLayout& layout, const MapMemory& memory);

    [[nodiscard]] Element& element(std::uint32_t number) const {
        return *reinterpret_cast<Element*>(elements_ + number * element_stride_);
    }
    [[nodiscard]] std::uint64_t* key(Element& element) const {
        return reinterpret_cast<std::uint64_t*>(&element + 1);
    }
    [[nodiscard]] std::byte* value(std::uint32_t number, std::uint32_t cpu) const {
        return values_ + cpu * cpu_stride_ + number * value_stride_;
    }

    [[nodiscard]] std::uint64_t element_stride() const { return element_stride_; }
    [[nodiscard]] std::uint64_t value_stride() const { return value_stride_; }
    [[nodiscard]] std::uint64_t cpu_stride() const { return cpu_stride_; }

    /// A free element. There is one as long as no more than max_entries are taken.
    std::uint32_t take();
    void give_back(std::uint32_t number, std::uintptr_t state);
    /// All elements that were ever taken have numbers up to this.
    [[nodiscard]] std::uint32_t highest() const { return used_; }

    [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
    [[nodiscard]] MemoryState memory_state(const void* at, std::size_t size,
                                           const MapUser& user) const noexcept;
    [[nodiscard]] std::span<std::byte> value_at(const void* at, const MapUser& user) const noexcept;

  private:
    [[nodiscard]] std::uint32_t number_at(const void* at, const MapUser& user) const;
    [[nodiscard]] bool is_stale(std::uint32_t number, const MapUser& user) const;

    std::byte* elements_; // element 0, which nobody uses
    std::byte* values_;   // its value for cpu 0
    std::uint64_t element_stride_;
    std::uint64_t value_stride_;
    std::uint64_t cpu_stride_;
    std::uint32_t value_size_;
    std::uint32_t count_;
    std::span<std::byte> memory_;
    Divider by_value_stride_;

    // A queue in a ring of count_ slots.
    std::uint32_t* free_;
    std::uint32_t free_begin_ = 0;
    std::uint32_t free_count_ = 0;
    std::uint32_t used_ = 0;
};

} // namespace ebpfvm::maps
