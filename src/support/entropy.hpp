// Random bits from the host, for seeds.
#pragma once

#include <chrono>
#include <cstdint>
#include <unistd.h>

namespace ebpfvm {

/// 64 unpredictable bits. Allocates nothing and cannot fail: a host without getentropy gets the
/// time.
[[nodiscard]] inline std::uint64_t random_seed() noexcept {
    std::uint64_t seed = 0;
    if (::getentropy(&seed, sizeof(seed)) != 0) {
        seed = std::uint64_t(std::chrono::steady_clock::now().time_since_epoch().count());
    }
    return seed;
}

} // namespace ebpfvm
