// prog_array: the programs that tail calls jump to.
#pragma once

#include "ebpfvm/map.hpp"
#include "maps/spin_lock.hpp"

#include <memory>
#include <vector>

namespace ebpfvm::maps {

/// Slots hold the engine's program objects, opaque here. Programs cannot read or change them; the
/// engine reads a slot on behalf of a tail call while the host replaces it.
///
/// A program in a slot keeps its maps alive, this one among them: a cycle. The kernel breaks it by
/// counting apart who uses a map from user space, and emptying the array when the last of them
/// goes; so do we. create_map() returns a user handle, whose last copy to go empties the slots.
/// Programs must hold `map->shared_from_this()`, which keeps the array alive but not filled.
class ProgArrayMap final : public Map {
  public:
    static Expected<std::shared_ptr<Map>> create(const MapSpec& spec, const MapOptions& options);

    /// Fills a slot. -E2BIG if there is no such index, -EPERM if frozen, -EINVAL without a program.
    int set_prog(std::uint32_t index, std::shared_ptr<const void> prog);
    /// The program in a slot, or nullptr. It stays valid while the result is held.
    [[nodiscard]] std::shared_ptr<const void> prog(std::uint32_t index) const noexcept;

    void* lookup_elem(const void* key, const MapUser& user) noexcept override;
    int update_elem(const void* key, const void* value, std::uint64_t flags,
                    const MapUser& user) noexcept override;
    /// Empties a slot, for the host alone; -ENOENT if it is empty.
    int delete_elem(const void* key, const MapUser& user) noexcept override;
    int get_next_key(const void* key, void* next) noexcept override;
    int copy_elem(const void* key, void* value, const MapUser& user) noexcept override;

  private:
    struct Slot {
        mutable SpinLock lock; // tail calls through other slots do not wait for each other
        std::shared_ptr<const void> prog;
    };

    explicit ProgArrayMap(const MapSpec& spec) : Map(spec), slots_(spec.max_entries) {}
    std::shared_ptr<const void> exchange(Slot& slot, std::shared_ptr<const void> prog) noexcept;
    void clear() noexcept;

    std::vector<Slot> slots_;
};

} // namespace ebpfvm::maps
