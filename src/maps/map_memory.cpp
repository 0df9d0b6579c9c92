#include "maps/map_memory.hpp"

#include "maps/spec_checks.hpp"
#include "support/bits.hpp"

#include <limits>
#include <sys/mman.h>

namespace ebpfvm::maps {

std::uint64_t MemoryPlan::add_part(std::uint64_t count, std::uint64_t size) {
    constexpr std::uint64_t kTooMuch = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t off = bytes_;
    std::uint64_t part = 0;
    if (bytes_ == kTooMuch || __builtin_mul_overflow(count, size, &part) ||
        part > kTooMuch - kCacheLine ||
        __builtin_add_overflow(bytes_, round_up(part, kCacheLine), &bytes_)) {
        bytes_ = kTooMuch;
    }
    return off;
}

Expected<void> check_limit(const MapSpec& spec, const MemoryPlan& plan, const MapOptions& options) {
    if (plan.bytes() > options.max_bytes) {
        return fail_map(Errc::LimitExceeded, spec, "needs {} bytes, the limit is {}", plan.bytes(),
                        options.max_bytes);
    }
    return {};
}

Expected<MapMemory> MapMemory::allocate(const MapSpec& spec, const MemoryPlan& plan,
                                        const MapOptions& options) {
    TRY(check_limit(spec, plan, options));
    const std::uint64_t bytes = plan.bytes();
    // MAP_NORESERVE: a map may be declared far larger than it will ever become.
    void* begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) {
        return fail_map(Errc::LimitExceeded, spec, "the host has no {} bytes for it", bytes);
    }
    return MapMemory(static_cast<std::byte*>(begin), bytes);
}

MapMemory::~MapMemory() {
    if (begin_ != nullptr) {
        ::munmap(begin_, bytes_);
    }
}

} // namespace ebpfvm::maps
