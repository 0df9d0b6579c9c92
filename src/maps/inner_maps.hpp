// The maps that a map of maps holds or has held.
#pragma once

#include "ebpfvm/map.hpp"
#include "maps/grace_period.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace ebpfvm::maps {

/// Owns inner maps as long as a slot or a run may hold them. All functions take a short lock,
/// except enter_run(); those that a run calls allocate nothing, except when its end frees a map.
class InnerMaps {
  public:
    /// One more slot holds `map`.
    void add(std::shared_ptr<Map> map);
    /// One slot less, which no run can find any more.
    void remove(const Map* map);

    /// See MapOfMaps.
    [[nodiscard]] std::vector<std::shared_ptr<Map>> current() const;
    [[nodiscard]] std::shared_ptr<Map> find(const Map* map) const;
    [[nodiscard]] bool contains(const Map* map) const noexcept;
    [[nodiscard]] MemoryState memory_state(const void* at, std::size_t size, const MapUser& user,
                                           Map** which) const noexcept;
    std::uint32_t enter_run() noexcept { return runs_.enter(); }
    void leave_run(std::uint32_t phase) noexcept;

  private:
    struct Held {
        std::shared_ptr<Map> map;
        std::uint32_t slots = 0;
        std::uint32_t retirements = 0; // how often runs_ has yet to return it
    };
    using HeldMaps = std::map<const Map*, Held>;

    HeldMaps take_drained(); // needs lock_; destroy the result without

    mutable std::mutex lock_;
    HeldMaps held_;
    std::map<const std::byte*, Map*, std::less<>> by_memory_; // by begin of Map::memory()
    GracePeriod runs_;
};

} // namespace ebpfvm::maps
