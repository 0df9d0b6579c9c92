// Where time and random numbers come from.
#pragma once

#include <chrono>
#include <cstdint>

namespace ebpfvm::helpers {

/// CLOCK_MONOTONIC, in ns.
[[nodiscard]] inline std::uint64_t monotonic_ns() {
    using std::chrono::nanoseconds;
    using std::chrono::steady_clock;
    return std::uint64_t(
        std::chrono::duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

/// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): any
/// state will do.
[[nodiscard]] inline std::uint32_t next_random(std::uint64_t& state) {
    state += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58'476d'1ce4'e5b9;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d0'49bb'1331'11eb;
    return std::uint32_t((mixed ^ (mixed >> 31U)) >> 32U);
}

} // namespace ebpfvm::helpers
