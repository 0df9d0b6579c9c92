// How much an object may grow when it is linked.
#pragma once

#include "support/try.hpp"

#include <cstdint>

namespace ebpfvm::elf {

/// Every program gets its own copy of the subprograms it calls, with their lines and names: a small
/// hostile file could ask for any amount of memory. All such copies are charged here.
class Budget {
  public:
    Expected<void> charge(std::uint64_t bytes) {
        if (bytes > left_) {
            return fail(Errc::LimitExceeded,
                        "programs and their debug information take more than "
                        "{} bytes when linked",
                        kLimit);
        }
        left_ -= bytes;
        return {};
    }

  private:
    static constexpr std::uint64_t kLimit = std::uint64_t{256} << 20;
    std::uint64_t left_ = kLimit;
};

} // namespace ebpfvm::elf
