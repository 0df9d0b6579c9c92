// Division by a number that is fixed at run time, as a multiplication.
#pragma once

#include <cstdint>

namespace ebpfvm::maps {

/// Divides by `divisor`, at least 1. A 64-bit division takes some 30 cycles on many hosts, and
/// checked mode asks for the element of an address on each access to a map value.
class Divider {
  public:
    explicit Divider(std::uint64_t divisor)
        : divisor_(divisor), reciprocal_(~std::uint64_t{0} / divisor) {}

    [[nodiscard]] std::uint64_t quotient(std::uint64_t dividend) const {
        __extension__ using Wide = unsigned __int128;
        // The reciprocal is at most 1 below 2^64 / divisor, so the product loses less than
        // dividend / 2^64 < 1: the estimate is right or one too small.
        const auto estimate = std::uint64_t((Wide{dividend} * reciprocal_) >> 64U);
        return dividend - estimate * divisor_ >= divisor_ ? estimate + 1 : estimate;
    }

  private:
    std::uint64_t divisor_;
    std::uint64_t reciprocal_;
};

} // namespace ebpfvm::maps
