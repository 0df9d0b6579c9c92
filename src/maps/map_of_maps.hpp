// array_of_maps and hash_of_maps.
#pragma once

#include "maps/hash_map.hpp"
#include "maps/inner_maps.hpp"

#include <memory>
#include <mutex>
#include <vector>

namespace ebpfvm::maps {

[[nodiscard]] constexpr bool is_map_of_maps(MapType type) {
    return type == MapType::ArrayOfMaps || type == MapType::HashOfMaps;
}

/// Programs look inner maps up, without a lock, and can do nothing else; the host fills the slots.
///
/// An inner map that leaves its slot lives on until no run can hold it: engines call enter_run()
/// when a run begins that may look up here, and leave_run() when it ends. The memory of such maps
/// is bounded by what the host replaces while the longest run lasts. If no engine ever calls
/// enter_run(), they live as long as the outer map.
class MapOfMaps : public Map {
  public:
    /// Puts `inner` into the slot of `key`. -EINVAL if it is not as spec().inner demands, -EPERM if
    /// frozen, otherwise as update_elem() of an array or hash map.
    int set_map(const void* key, std::shared_ptr<Map> inner, std::uint64_t flags = 0);
    /// The inner map of `key`, or nullptr; for the host, outside of runs.
    [[nodiscard]] std::shared_ptr<Map> map(const void* key) const;
    /// What is in the slots now, each map once.
    [[nodiscard]] std::vector<std::shared_ptr<Map>> inner_maps() const { return inner_.current(); }

    /// Is it a map that a run may have got from here, which entered when now() was `since`?
    [[nodiscard]] bool is_inner_map(const Map* map, std::uint64_t since) const noexcept {
        return inner_.contains(map, since);
    }
    /// memory_state() of that inner map whose memory `at` lies in, and `*which` it is.
    [[nodiscard]] MemoryState inner_memory_state(const void* at, std::size_t size,
                                                 const MapUser& user, std::uint64_t since,
                                                 Map** which) const noexcept {
        return inner_.memory_state(at, size, user, since, which);
    }
    [[nodiscard]] std::uint64_t now() const noexcept { return inner_.now(); }
    [[nodiscard]] std::uint32_t enter_run() noexcept { return inner_.enter_run(); }
    void leave_run(std::uint32_t phase) noexcept { inner_.leave_run(phase); }

    void* lookup_elem(const void* key, const MapUser& user) noexcept final;
    int update_elem(const void* key, const void* value, std::uint64_t flags,
                    const MapUser& user) noexcept final;
    /// Empties a slot, for the host alone; -ENOENT if it is empty.
    int delete_elem(const void* key, const MapUser& user) noexcept final;
    int copy_elem(const void* key, void* value, const MapUser& user) noexcept final;

  protected:
    explicit MapOfMaps(const MapSpec& spec) : Map(spec) {}
    /// What the kernel demands of both kinds (bpf_map_meta_alloc).
    static Expected<void> check_inner_spec(const MapSpec& spec);

    /// The map in a slot. Safe while others change the slot.
    [[nodiscard]] virtual Map* get(const void* key) const noexcept = 0;
    /// Changes a slot, one thread at a time. `inner` is nullptr to empty it.
    virtual int set(const void* key, Map* inner, std::uint64_t flags) noexcept = 0;

  private:
    [[nodiscard]] bool accepts(const Map& inner) const;

    mutable std::mutex change_lock_;
    InnerMaps inner_;
};

class ArrayOfMapsMap final : public MapOfMaps {
  public:
    static Expected<std::shared_ptr<Map>> create(const MapSpec& spec, const MapOptions& options);
    int get_next_key(const void* key, void* next) noexcept override;

  private:
    ArrayOfMapsMap(const MapSpec& spec, MapMemory memory);
    [[nodiscard]] Map* get(const void* key) const noexcept override;
    int set(const void* key, Map* inner, std::uint64_t flags) noexcept override;

    MapMemory memory_;
    Map** slots_;
};

class HashOfMapsMap final : public MapOfMaps {
  public:
    static Expected<std::shared_ptr<Map>> create(const MapSpec& spec, const MapOptions& options);
    int get_next_key(const void* key, void* next) noexcept override;

  private:
    HashOfMapsMap(const MapSpec& spec, std::shared_ptr<HashMap> index);
    [[nodiscard]] Map* get(const void* key) const noexcept override;
    int set(const void* key, Map* inner, std::uint64_t flags) noexcept override;

    std::shared_ptr<HashMap> index_; // key -> Map*
};

} // namespace ebpfvm::maps
