#include "maps/array_map.hpp"

#include "maps/spec_checks.hpp"
#include "maps/words.hpp"

#include <cerrno>
#include <limits>

namespace ebpfvm::maps {
namespace {

std::uint64_t value_stride(const MapSpec& spec) {
    return round_up(std::uint64_t{spec.value_size}, 8);
}

// array_map_alloc_check() of the kernel.
Expected<void> check_spec(const MapSpec& spec) {
    constexpr std::uint32_t kMaxValue = std::numeric_limits<std::int32_t>::max();
    constexpr std::uint32_t kMaxPerCpuValue = 32 << 10U; // PCPU_MIN_UNIT_SIZE
    const bool is_per_cpu = spec.type == MapType::PercpuArray;
    constexpr std::uint32_t kPlainOnly =
        map_flags::kNumaNode | map_flags::kMmapable | map_flags::kInnerMap;
    TRY(check_flags(spec, kAccessFlags | (is_per_cpu ? 0 : kPlainOnly)));
    TRY(check_not_empty(spec));
    TRY(check_index_key(spec));
    const std::uint32_t limit = is_per_cpu ? kMaxPerCpuValue : kMaxValue;
    if (spec.value_size > limit) {
        return fail_map(Errc::LimitExceeded, spec, "value_size={}, the limit is {}",
                        spec.value_size, limit);
    }
    return {};
}

} // namespace

Expected<std::shared_ptr<Map>> ArrayMap::create(const MapSpec& spec, const MapOptions& options) {
    TRY(check_spec(spec));
    const bool is_per_cpu = spec.type == MapType::PercpuArray;
    const std::uint32_t cpus = is_per_cpu ? cpu_count(options) : 1;
    const std::uint64_t block = round_up(value_stride(spec) * spec.max_entries, kCacheLine);
    MemoryPlan plan;
    plan.add_part(cpus, block);
    TRY_ASSIGN(MapMemory memory, MapMemory::allocate(spec, plan, options));
    return std::shared_ptr<Map>(
        new ArrayMap(spec, cpus, is_per_cpu ? block : 0, std::move(memory)));
}

ArrayMap::ArrayMap(const MapSpec& spec, std::uint32_t cpus, std::uint64_t cpu_stride,
                   MapMemory memory)
    : Map(spec), memory_(std::move(memory)), cpus_(cpus), stride_(value_stride(spec)),
      cpu_stride_(cpu_stride), by_stride_(stride_) {
    all_ = {memory_.at(0), (cpus - 1) * cpu_stride + spec.max_entries * stride_};
}

void* ArrayMap::lookup_elem(const void* key, const MapUser& user) noexcept {
    const auto index = load_unaligned<std::uint32_t>(key);
    if (index >= spec().max_entries || (cpu_stride_ != 0 && user.cpu >= cpus_)) {
        return nullptr;
    }
    return all_.data() + index * stride_ + user.cpu * cpu_stride_;
}

int ArrayMap::update_elem(const void* key, const void* value, std::uint64_t flags,
                          const MapUser& user) noexcept {
    if (flags > update_flags::kExist) {
        return -EINVAL;
    }
    if (load_unaligned<std::uint32_t>(key) >= spec().max_entries) {
        return -E2BIG;
    }
    if (flags == update_flags::kNoExist) {
        return -EEXIST;
    }
    void* to = lookup_elem(key, user);
    if (to == nullptr) {
        return -EINVAL; // no such cpu
    }
    store_shared(static_cast<std::byte*>(to), value, spec().value_size);
    return 0;
}

int ArrayMap::delete_elem(const void*, const MapUser&) noexcept {
    return -EINVAL;
}

int ArrayMap::get_next_key(const void* key, void* next) noexcept {
    return next_index(key, next, spec().max_entries);
}

MemoryState ArrayMap::memory_state(const void* at, std::size_t size, const MapUser& user) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    if (address - reinterpret_cast<std::uintptr_t>(all_.data()) >= all_.size()) {
        return MemoryState::NotMine;
    }
    const std::span<std::byte> value = value_at(at, user);
    return fits(address - reinterpret_cast<std::uintptr_t>(value.data()), size, value.size())
               ? MemoryState::Ok
               : MemoryState::OutOfBounds;
}

std::span<std::byte> ArrayMap::value_at(const void* at, const MapUser& user) noexcept {
    // Before this cpu's block it wraps to an index that is far too high; after it, it is too high
    // as well.
    const std::uint64_t off = reinterpret_cast<std::uintptr_t>(at) -
                              reinterpret_cast<std::uintptr_t>(all_.data()) -
                              user.cpu * cpu_stride_;
    const std::uint64_t index = by_stride_.quotient(off);
    if (index >= spec().max_entries || off - index * stride_ >= spec().value_size) {
        return {};
    }
    return all_.subspan(user.cpu * cpu_stride_ + index * stride_, spec().value_size);
}

int next_index(const void* key, void* next, std::uint32_t max_entries) noexcept {
    std::uint32_t index = 0;
    if (key != nullptr) {
        const auto current = load_unaligned<std::uint32_t>(key);
        if (current == max_entries - 1) {
            return -ENOENT;
        }
        index = current < max_entries ? current + 1 : 0;
    }
    store_unaligned(next, index);
    return 0;
}

} // namespace ebpfvm::maps
