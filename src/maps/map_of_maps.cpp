#include "maps/map_of_maps.hpp"

#include "maps/array_map.hpp"
#include "maps/spec_checks.hpp"
#include "maps/words.hpp"

#include <cerrno>

namespace ebpfvm::maps {
namespace {

// Kinds without map_meta_equal in the kernel, which no verdict on a program would cover.
bool may_be_inner(MapType type) {
    return type != MapType::ProgArray && !is_map_of_maps(type);
}

} // namespace

Expected<void> MapOfMaps::check_inner_spec(const MapSpec& spec) {
    if (spec.inner == nullptr) {
        return fail_map(Errc::InvalidArgument, spec, "type {} needs the spec of its inner maps",
                        name_of(spec.type));
    }
    if (!may_be_inner(spec.inner->type)) {
        return fail_map(Errc::InvalidArgument, spec, "inner maps cannot be of type {}",
                        name_of(spec.inner->type));
    }
    return check_handle_value(spec);
}

// bpf_map_meta_equal() and array_map_meta_equal() of the kernel.
bool MapOfMaps::accepts(const Map& inner) const {
    const MapSpec& wanted = *spec().inner;
    const MapSpec& found = inner.spec();
    const bool any_size =
        wanted.type != MapType::Array || (wanted.flags & map_flags::kInnerMap) != 0;
    return found.type == wanted.type && found.key_size == wanted.key_size &&
           found.value_size == wanted.value_size && found.flags == wanted.flags &&
           (any_size || found.max_entries == wanted.max_entries);
}

int MapOfMaps::set_map(const void* key, std::shared_ptr<Map> inner, std::uint64_t flags) {
    if (is_frozen()) {
        return -EPERM;
    }
    if (inner == nullptr || !accepts(*inner)) {
        return -EINVAL;
    }
    const std::lock_guard guard(change_lock_);
    Map* added = inner.get();
    const Map* old = get(key);
    inner_.add(std::move(inner)); // first: a run may find it as soon as it is in the slot
    const int error = set(key, added, flags);
    if (error != 0) {
        inner_.remove(added);
    } else if (old != nullptr) {
        inner_.remove(old);
    }
    return error;
}

std::shared_ptr<Map> MapOfMaps::map(const void* key) const {
    const std::lock_guard guard(change_lock_);
    return inner_.find(get(key));
}

void* MapOfMaps::lookup_elem(const void* key, const MapUser&) noexcept {
    return get(key);
}

int MapOfMaps::update_elem(const void*, const void*, std::uint64_t, const MapUser&) noexcept {
    return -EINVAL;
}

int MapOfMaps::delete_elem(const void* key, const MapUser& user) noexcept {
    if (user.run != nullptr) {
        return -EINVAL;
    }
    if (is_frozen()) {
        return -EPERM;
    }
    const std::lock_guard guard(change_lock_);
    const Map* old = get(key);
    const int error = set(key, nullptr, update_flags::kAny);
    if (error == 0) {
        inner_.remove(old);
    }
    return error;
}

int MapOfMaps::copy_elem(const void*, void*, const MapUser&) noexcept {
    return -ENOTSUP;
}

Expected<std::shared_ptr<Map>> ArrayOfMapsMap::create(const MapSpec& spec,
                                                      const MapOptions& options) {
    TRY(check_flags(spec, kHostAccessFlags | map_flags::kNumaNode));
    TRY(check_not_empty(spec));
    TRY(check_index_key(spec));
    TRY(check_inner_spec(spec));
    MemoryPlan plan;
    plan.add_part(spec.max_entries, sizeof(Map*));
    TRY_ASSIGN(MapMemory memory, MapMemory::allocate(spec, plan, options));
    return std::shared_ptr<Map>(new ArrayOfMapsMap(spec, std::move(memory)));
}

ArrayOfMapsMap::ArrayOfMapsMap(const MapSpec& spec, MapMemory memory)
    : MapOfMaps(spec), memory_(std::move(memory)), slots_(reinterpret_cast<Map**>(memory_.at(0))) {}

int ArrayOfMapsMap::get_next_key(const void* key, void* next) noexcept {
    return next_index(key, next, spec().max_entries);
}

Map* ArrayOfMapsMap::get(const void* key) const noexcept {
    const auto index = load_unaligned<std::uint32_t>(key);
    return index < spec().max_entries ? load_acquire(slots_[index]) : nullptr;
}

// bpf_fd_array_map_update_elem() and fd_array_map_delete_elem() of the kernel.
int ArrayOfMapsMap::set(const void* key, Map* inner, std::uint64_t flags) noexcept {
    if (flags != update_flags::kAny) {
        return -EINVAL;
    }
    const auto index = load_unaligned<std::uint32_t>(key);
    if (index >= spec().max_entries) {
        return -E2BIG;
    }
    if (inner == nullptr && slots_[index] == nullptr) {
        return -ENOENT;
    }
    store_release(slots_[index], inner);
    return 0;
}

Expected<std::shared_ptr<Map>> HashOfMapsMap::create(const MapSpec& spec,
                                                     const MapOptions& options) {
    TRY(check_inner_spec(spec));
    TRY_ASSIGN(auto index, HashMap::create_index(spec, options));
    return std::shared_ptr<Map>(new HashOfMapsMap(spec, std::move(index)));
}

HashOfMapsMap::HashOfMapsMap(const MapSpec& spec, std::shared_ptr<HashMap> index)
    : MapOfMaps(spec), index_(std::move(index)) {}

int HashOfMapsMap::get_next_key(const void* key, void* next) noexcept {
    return index_->get_next_key(key, next);
}

Map* HashOfMapsMap::get(const void* key) const noexcept {
    // Not lookup_elem(): between finding the value and reading it, it could become another key's.
    Map* inner = nullptr;
    return index_->copy_elem(key, &inner, {}) == 0 ? inner : nullptr;
}

int HashOfMapsMap::set(const void* key, Map* inner, std::uint64_t flags) noexcept {
    return inner != nullptr ? index_->update_elem(key, &inner, flags, {})
                            : index_->delete_elem(key, {});
}

} // namespace ebpfvm::maps
