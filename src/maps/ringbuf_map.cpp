#include "maps/ringbuf_map.hpp"

#include "maps/spec_checks.hpp"
#include "maps/words.hpp"

#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace ebpfvm::maps {
namespace {

constexpr std::uint64_t kHeaderSize = 8;

// The first half of a header: the record's size and these bits (BPF_RINGBUF_BUSY_BIT and
// BPF_RINGBUF_DISCARD_BIT). The second half is not used.
constexpr std::uint32_t kBusy = 1U << 31U;
constexpr std::uint32_t kDiscarded = 1U << 30U;

std::uint32_t& header_of(std::byte* record) {
    return *reinterpret_cast<std::uint32_t*>(record - kHeaderSize);
}

// What a record of `size` bytes takes in the ring.
std::uint64_t footprint(std::uint64_t size) {
    return round_up(size + kHeaderSize, 8);
}

} // namespace

// ringbuf_map_alloc() of the kernel.
Expected<std::shared_ptr<Map>> RingbufMap::create(const MapSpec& spec, const MapOptions& options) {
    constexpr std::uint32_t kPage = 4096;
    TRY(check_flags(spec, map_flags::kNumaNode));
    if (spec.key_size != 0 || spec.value_size != 0) {
        return fail_map(Errc::InvalidArgument, spec,
                        "key_size={} value_size={}, a ringbuf has none", spec.key_size,
                        spec.value_size);
    }
    if (!std::has_single_bit(spec.max_entries) || spec.max_entries % kPage != 0) {
        return fail_map(Errc::InvalidArgument, spec,
                        "max_entries={} is not a power of two and a multiple of {}",
                        spec.max_entries, kPage);
    }
    MemoryPlan plan;
    plan.add_part(2, spec.max_entries);
    TRY_ASSIGN(MapMemory memory, MapMemory::allocate(spec, plan, options));
    return std::shared_ptr<Map>(new RingbufMap(spec, std::move(memory)));
}

RingbufMap::RingbufMap(const MapSpec& spec, MapMemory memory)
    : Map(spec), memory_(std::move(memory)), mask_(spec.max_entries - 1) {}

std::byte* RingbufMap::reserve(std::uint64_t size) noexcept {
    if (size > mask_ || size >= kDiscarded) { // the flags are the high bits of the size
        return nullptr;
    }
    const std::uint64_t bytes = footprint(size);
    const std::uint64_t consumed = consumed_.load(std::memory_order_acquire);
    const std::lock_guard guard(reserve_lock_);
    const std::uint64_t begin = produced_.load(std::memory_order_relaxed);
    // As in the kernel one byte always stays free, hence 8. `consumed` may be old: that errs on the
    // safe side.
    if (begin + bytes - consumed > mask_) {
        return nullptr;
    }
    std::byte* record = at(begin) + kHeaderSize;
    store_release(header_of(record), std::uint32_t(size) | kBusy);
    produced_.store(begin + bytes, std::memory_order_release);
    return record;
}

void RingbufMap::submit(std::byte* record) noexcept {
    std::uint32_t& header = header_of(record);
    store_release(header, load_acquire(header) & ~kBusy);
}

void RingbufMap::discard(std::byte* record) noexcept {
    std::uint32_t& header = header_of(record);
    store_release(header, (load_acquire(header) & ~kBusy) | kDiscarded);
}

bool RingbufMap::output(const void* data, std::uint64_t size) noexcept {
    std::byte* record = reserve(size);
    if (record == nullptr) {
        return false;
    }
    if (size != 0) { // data may be null
        std::memcpy(record, data, size);
    }
    submit(record);
    return true;
}

std::size_t RingbufMap::consume(const std::function<void(std::span<const std::byte>)>& sink) {
    std::size_t count = 0;
    std::uint64_t position = consumed_.load(std::memory_order_relaxed);
    while (position != produced_.load(std::memory_order_acquire)) {
        std::byte* record = at(position) + kHeaderSize;
        const std::uint32_t header = load_acquire(header_of(record));
        if ((header & kBusy) != 0) {
            break;
        }
        const std::uint32_t size = header & ~kDiscarded;
        if ((header & kDiscarded) == 0) {
            sink({record, size});
            ++count;
        }
        position += footprint(size);
        consumed_.store(position, std::memory_order_release);
    }
    return count;
}

void* RingbufMap::lookup_elem(const void*, const MapUser&) noexcept {
    return nullptr;
}
int RingbufMap::update_elem(const void*, const void*, std::uint64_t, const MapUser&) noexcept {
    return -ENOTSUP;
}
int RingbufMap::delete_elem(const void*, const MapUser&) noexcept {
    return -ENOTSUP;
}
int RingbufMap::get_next_key(const void*, void*) noexcept {
    return -ENOTSUP;
}
int RingbufMap::copy_elem(const void*, void*, const MapUser&) noexcept {
    return -ENOTSUP;
}

std::span<std::byte> RingbufMap::memory() noexcept {
    return {memory_.at(0), 2 * (mask_ + 1)};
}

MemoryState RingbufMap::memory_state(const void* address, std::size_t, const MapUser&) noexcept {
    const std::uint64_t off =
        reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(memory_.at(0));
    return off < memory().size() ? MemoryState::OutOfBounds : MemoryState::NotMine;
}

} // namespace ebpfvm::maps

namespace ebpfvm {

Expected<std::size_t> consume_ringbuf(Map& map,
                                      const std::function<void(std::span<const std::byte>)>& sink) {
    auto* ringbuf = dynamic_cast<maps::RingbufMap*>(&map);
    if (ringbuf == nullptr) {
        return maps::fail_map(Errc::InvalidArgument, map.spec(),
                              "type {} has no records, ringbuf has", name_of(map.spec().type));
    }
    return ringbuf->consume(sink);
}

} // namespace ebpfvm
