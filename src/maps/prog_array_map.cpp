#include "maps/prog_array_map.hpp"

#include "maps/array_map.hpp"
#include "maps/map_memory.hpp"
#include "maps/spec_checks.hpp"
#include "support/bits.hpp"

#include <cerrno>
#include <mutex>
#include <utility>

namespace ebpfvm::maps {

// fd_array_map_alloc_check() of the kernel.
Expected<std::shared_ptr<Map>> ProgArrayMap::create(const MapSpec& spec,
                                                    const MapOptions& options) {
    TRY(check_flags(spec, kHostAccessFlags | map_flags::kNumaNode));
    TRY(check_not_empty(spec));
    TRY(check_index_key(spec));
    TRY(check_handle_value(spec));
    MemoryPlan plan;
    plan.add_part(spec.max_entries, sizeof(Slot));
    TRY(check_limit(spec, plan, options));
    const std::shared_ptr<ProgArrayMap> core(new ProgArrayMap(spec));
    return std::shared_ptr<Map>(core.get(), [core](Map*) { core->clear(); });
}

int ProgArrayMap::set_prog(std::uint32_t index, std::shared_ptr<const void> prog) {
    if (is_frozen()) {
        return -EPERM;
    }
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    if (prog == nullptr) {
        return -EINVAL;
    }
    exchange(slots_[index], std::move(prog));
    return 0;
}

std::shared_ptr<const void> ProgArrayMap::prog(std::uint32_t index) const noexcept {
    if (index >= slots_.size()) {
        return nullptr;
    }
    const Slot& slot = slots_[index];
    const std::lock_guard guard(slot.lock);
    return slot.prog;
}

void* ProgArrayMap::lookup_elem(const void*, const MapUser&) noexcept {
    return nullptr;
}

int ProgArrayMap::update_elem(const void*, const void*, std::uint64_t, const MapUser&) noexcept {
    return -EINVAL;
}

int ProgArrayMap::delete_elem(const void* key, const MapUser& user) noexcept {
    if (user.run != nullptr) {
        return -EINVAL;
    }
    if (is_frozen()) {
        return -EPERM;
    }
    const auto index = load_unaligned<std::uint32_t>(key);
    if (index >= slots_.size()) {
        return -E2BIG;
    }
    return exchange(slots_[index], nullptr) != nullptr ? 0 : -ENOENT;
}

int ProgArrayMap::get_next_key(const void* key, void* next) noexcept {
    return next_index(key, next, spec().max_entries);
}

int ProgArrayMap::copy_elem(const void*, void*, const MapUser&) noexcept {
    return -ENOTSUP;
}

// Returns the old program, so that the last reference to it goes when the lock is free again.
std::shared_ptr<const void> ProgArrayMap::exchange(Slot& slot,
                                                   std::shared_ptr<const void> prog) noexcept {
    const std::lock_guard guard(slot.lock);
    return std::exchange(slot.prog, std::move(prog));
}

void ProgArrayMap::clear() noexcept {
    for (Slot& slot : slots_) {
        exchange(slot, nullptr);
    }
}

} // namespace ebpfvm::maps
