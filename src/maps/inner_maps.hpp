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
    [[nodiscard]] bool contains(const Map* map, std::uint64_t since) const noexcept;
    [[nodiscard]] MemoryState memory_state(const void* at, std::size_t size, const MapUser& user,
                                           std::uint64_t since, Map** which) const noexcept;
    /// Number of retirements so far; a run asks for it right after enter_run().
    [[nodiscard]] std::uint64_t now() const noexcept;
    std::uint32_t enter_run() noexcept { return runs_.enter(); }
    void leave_run(std::uint32_t phase) noexcept;

  private:
    struct Held {
        std::shared_ptr<Map> map;
        std::uint32_t slots = 0;
        std::uint32_t retirements = 0; // how often runs_ has yet to return it
        std::uint64_t retired_at = 0;  // when it left its last slot, as counted by now_
        // A map that left its slot before a run entered is not that run's to use: it may go any
        // time.
        [[nodiscard]] bool is_visible(std::uint64_t since) const {
            return slots != 0 || retired_at > since;
        }
    };
    using HeldMaps = std::map<const Map*, Held>;

    HeldMaps take_drained(); // needs lock_; destroy the result without

    mutable std::mutex lock_;
    HeldMaps held_;
    std::map<const std::byte*, Map*, std::less<>> by_memory_; // by begin of Map::memory()
    GracePeriod runs_;
    std::uint64_t now_ = 0; // retirements so far
};

} // namespace ebpfvm::maps
