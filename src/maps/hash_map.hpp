// hash, percpu_hash, lru_hash and lru_percpu_hash: a fixed table of chains whose readers take no
// lock.
#pragma once

#include "maps/element_pool.hpp"
#include "maps/hash_view.hpp"
#include "maps/key.hpp"
#include "maps/spin_lock.hpp"

#include <memory>
#include <vector>

namespace ebpfvm::maps {

/// A bucket is one word: the number of its first element, and a count of how many elements have
/// left the chain. A reader walks the chain and then compares the count: if it is the same, every
/// element it saw was in the chain all the time, so that what it found, or did not find, is true.
/// Otherwise an element may have moved to another chain under its feet, and it starts again. (The
/// count has 32 bits. A reader would have to sleep through exactly 2^32 removals from one chain to
/// be misled.)
///
/// Writers take one lock per map. Updating a key that exists puts a new element in the place of the
/// old one with a single store, so that no reader sees half a value or misses the key; in per-cpu
/// maps the caller's copy is overwritten instead, as in the kernel.
///
/// LRU maps evict by a clock with second chance when full: an element that was looked up since the
/// clock passed is spared, for at most kMaxScan elements per insertion.
class HashMap final : public Map {
  public:
    static Expected<std::shared_ptr<Map>> create(const MapSpec& spec, const MapOptions& options);
    /// The table inside a hash_of_maps: values of 8 bytes.
    static Expected<std::shared_ptr<HashMap>> create_index(const MapSpec& spec,
                                                           const MapOptions& options);

    void* lookup_elem(const void* key, const MapUser& user) noexcept override {
        return lookup_(*this, key, user);
    }
    int update_elem(const void* key, const void* value, std::uint64_t flags,
                    const MapUser& user) noexcept override;
    int delete_elem(const void* key, const MapUser& user) noexcept override;
    int get_next_key(const void* key, void* next) noexcept override;
    int copy_elem(const void* key, void* value, const MapUser& user) noexcept override;

    [[nodiscard]] HashView view() const noexcept;

    [[nodiscard]] std::uint32_t cpus() const noexcept override { return cpus_; }
    [[nodiscard]] std::span<std::byte> memory() noexcept override { return pool_.memory(); }
    [[nodiscard]] MemoryState memory_state(const void* at, std::size_t size,
                                           const MapUser& user) noexcept override {
        return pool_.memory_state(at, size, user);
    }
    [[nodiscard]] std::span<std::byte> value_at(const void* at,
                                                const MapUser& user) noexcept override {
        return pool_.value_at(at, user);
    }

  private:
    static constexpr std::uint32_t kMaxScan = 128;

    // Where an element is, or would be: `at` is kNoElement if the key does not exist.
    struct Place {
        std::uint64_t& bucket;
        std::uint32_t before; // the element before it in the chain, or kNoElement
        std::uint32_t at;
    };

    HashMap(const MapSpec& spec, std::uint32_t cpus, const HashLayout& layout, MapMemory memory);
    static Expected<std::shared_ptr<HashMap>> make(const MapSpec& spec, const MapOptions& options);

    std::uint64_t& bucket_of(std::uint32_t hash) const { return buckets_[hash & bucket_mask_]; }
    template <class Size>
    bool is_at(const BasicKey<Size>& key, std::uint32_t hash, Element& element) const;
    template <class Size, class Take>
    std::uint32_t find(const BasicKey<Size>& key, Take&& take) const noexcept;
    template <class Take>
    std::uint32_t find(const void* key, Take&& take) const noexcept;
    template <class Size>
    HashLookupFn lookup_for_size() const;
    HashLookupFn choose_lookup() const;
    void mark_referenced(std::uint32_t number) const;

    template <class Load>
    bool load_first(const std::uint64_t& bucket, Load&& load) const noexcept;

    // These need lock_.
    Place locate(const Key& key, std::uint32_t hash) const;
    Place locate(std::uint32_t number) const;
    void replace(const Place& place, std::uint32_t next);
    void remove(const Place& place, std::uintptr_t state);
    void fill(std::uint32_t number, const Key& key, std::uint32_t hash, const void* value,
              const MapUser& user);
    void evict();

    MapMemory memory_;
    ElementPool pool_;
    std::uint64_t* buckets_;
    std::uint32_t bucket_mask_;
    std::uint32_t cpus_;
    std::uint64_t seed_;
    bool is_lru_;
    bool is_per_cpu_;
    HashLookupFn lookup_;

    SpinLock lock_;
    std::uint32_t live_ = 0;
    std::uint32_t clock_hand_ = 0;    // the element that the clock saw last
    std::vector<std::byte> key_copy_; // the key of the update that goes on
};

} // namespace ebpfvm::maps
