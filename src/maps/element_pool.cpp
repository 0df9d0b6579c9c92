#include "maps/element_pool.hpp"

#include "maps/words.hpp"
#include "support/bits.hpp"

#include <bit>

namespace ebpfvm::maps {

HashLayout::HashLayout(const MapSpec& spec, std::uint32_t cpus, bool per_cpu)
    : elements(spec.max_entries + ElementPool::kSpareElements),
      buckets(2 * std::bit_ceil(std::uint64_t{spec.max_entries})) {
    const std::uint64_t slots = std::uint64_t{elements} + 1; // element 0 is not used
    const std::uint64_t value_off = sizeof(Element) + round_up(std::uint64_t{spec.key_size}, 8);
    const std::uint64_t value_bytes = round_up(std::uint64_t{spec.value_size}, 8);

    element_stride = per_cpu ? value_off : value_off + value_bytes;
    buckets_off = plan.add_part(buckets, sizeof(std::uint64_t));
    elements_off = plan.add_part(slots, element_stride);
    free_off = plan.add_part(elements, sizeof(std::uint32_t));
    if (per_cpu) {
        value_stride = value_bytes;
        cpu_stride = round_up(slots * value_stride, kCacheLine);
        values_off = plan.add_part(cpus, cpu_stride);
        memory_off = values_off;
        memory_bytes = cpus * cpu_stride;
    } else {
        value_stride = element_stride;
        values_off = elements_off + value_off;
        memory_off = elements_off;
        memory_bytes = slots * element_stride;
    }
}

ElementPool::ElementPool(const MapSpec& spec, const HashLayout& layout, const MapMemory& memory)
    : elements_(memory.at(layout.elements_off)), values_(memory.at(layout.values_off)),
      element_stride_(layout.element_stride), value_stride_(layout.value_stride),
      cpu_stride_(layout.cpu_stride), value_size_(spec.value_size), count_(layout.elements),
      memory_(memory.at(layout.memory_off), layout.memory_bytes),
      by_value_stride_(layout.value_stride),
      free_(reinterpret_cast<std::uint32_t*>(memory.at(layout.free_off))) {}

std::uint32_t ElementPool::take() {
    if (free_count_ <= kSpareElements && used_ < count_) {
        return ++used_;
    }
    const std::uint32_t number = free_[free_begin_];
    free_begin_ = free_begin_ + 1 == count_ ? 0 : free_begin_ + 1;
    --free_count_;
    return number;
}

void ElementPool::give_back(std::uint32_t number, std::uintptr_t state) {
    store_release(element(number).state, state);
    const std::uint64_t end = std::uint64_t{free_begin_} + free_count_;
    free_[end < count_ ? end : end - count_] = number;
    ++free_count_;
}

MemoryState ElementPool::memory_state(const void* at, std::size_t size,
                                      const MapUser& user) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    if (address - reinterpret_cast<std::uintptr_t>(memory_.data()) >= memory_.size()) {
        return MemoryState::NotMine;
    }
    const std::uint32_t number = number_at(at, user);
    const auto begin = reinterpret_cast<std::uintptr_t>(value(number, user.cpu));
    if (number == kNoElement || !fits(address - begin, size, value_size_)) {
        return MemoryState::OutOfBounds;
    }
    return is_stale(number, user) ? MemoryState::Stale : MemoryState::Ok;
}

std::span<std::byte> ElementPool::value_at(const void* at, const MapUser& user) const noexcept {
    const std::uint32_t number = number_at(at, user);
    if (number == kNoElement || is_stale(number, user)) {
        return {};
    }
    return {value(number, user.cpu), value_size_};
}

// The element whose value `at` lies in; kNoElement if there is none.
std::uint32_t ElementPool::number_at(const void* at, const MapUser& user) const {
    // Before the first value, or in the copy for an earlier cpu, this wraps to a number that is far
    // too high; the copy for a later cpu begins above count_ as well.
    const std::uint64_t off =
        reinterpret_cast<std::uintptr_t>(at) - reinterpret_cast<std::uintptr_t>(value(0, user.cpu));
    const std::uint64_t number = by_value_stride_.quotient(off);
    return number <= count_ && off - number * value_stride_ < value_size_ ? std::uint32_t(number)
                                                                          : kNoElement;
}

bool ElementPool::is_stale(std::uint32_t number, const MapUser& user) const {
    const std::uintptr_t state = load_acquire(element(number).state);
    return state == element_state::kNeverUsed ||
           state == reinterpret_cast<std::uintptr_t>(user.run);
}

} // namespace ebpfvm::maps
