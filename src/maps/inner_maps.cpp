#include "maps/inner_maps.hpp"

namespace ebpfvm::maps {

void InnerMaps::add(std::shared_ptr<Map> map) {
    const std::lock_guard guard(lock_);
    Map* key = map.get();
    Held& held = held_[key];
    held.map = std::move(map);
    ++held.slots;
    if (!key->memory().empty()) {
        by_memory_[key->memory().data()] = key;
    }
}

void InnerMaps::remove(const Map* map) {
    HeldMaps gone; // destroyed after the lock is released
    const std::lock_guard guard(lock_);
    Held& held = held_.at(map);
    if (--held.slots == 0) {
        ++held.retirements;
        held.retired_at = ++now_;
        runs_.retire(map);
        gone = take_drained();
    }
}

std::vector<std::shared_ptr<Map>> InnerMaps::current() const {
    const std::lock_guard guard(lock_);
    std::vector<std::shared_ptr<Map>> result;
    for (const auto& [key, held] : held_) {
        if (held.slots != 0) {
            result.push_back(held.map);
        }
    }
    return result;
}

std::shared_ptr<Map> InnerMaps::find(const Map* map) const {
    const std::lock_guard guard(lock_);
    const auto found = held_.find(map);
    return found != held_.end() ? found->second.map : nullptr;
}

bool InnerMaps::contains(const Map* map, std::uint64_t since) const noexcept {
    const std::lock_guard guard(lock_);
    const auto found = held_.find(map);
    return found != held_.end() && found->second.is_visible(since);
}

std::uint64_t InnerMaps::now() const noexcept {
    const std::lock_guard guard(lock_);
    return now_;
}

MemoryState InnerMaps::memory_state(const void* at, std::size_t size, const MapUser& user,
                                    std::uint64_t since, Map** which) const noexcept {
    const std::lock_guard guard(lock_);
    auto above = by_memory_.upper_bound(static_cast<const std::byte*>(at));
    if (above == by_memory_.begin()) {
        return MemoryState::NotMine;
    }
    Map* map = std::prev(above)->second;
    if (!held_.at(map).is_visible(since)) {
        return MemoryState::NotMine;
    }
    const MemoryState state = map->memory_state(at, size, user);
    if (state != MemoryState::NotMine) {
        *which = map;
    }
    return state;
}

void InnerMaps::leave_run(std::uint32_t phase) noexcept {
    if (runs_.leave(phase)) {
        HeldMaps gone; // destroyed after the lock is released
        const std::lock_guard guard(lock_);
        gone = take_drained();
    }
}

InnerMaps::HeldMaps InnerMaps::take_drained() {
    HeldMaps gone;
    for (const Map* map : runs_.drained()) {
        const auto found = held_.find(map);
        Held& held = found->second;
        // It may be in a slot again, or have left a slot once more.
        if (--held.retirements == 0 && held.slots == 0) {
            by_memory_.erase(held.map->memory().data());
            gone.insert(held_.extract(found));
        }
    }
    return gone;
}

} // namespace ebpfvm::maps
