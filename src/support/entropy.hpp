// Random bits from the host.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
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

/// Words that nobody can guess, fetched some at a time.
class RandomWords {
  public:
    [[nodiscard]] std::uint64_t next() noexcept {
        if (left_ == 0) {
            has_failed_ |= ::getentropy(words_.data(), sizeof(words_)) != 0;
            left_ = words_.size();
        }
        return words_[--left_];
    }
    /// The host has no such source: what next() returned is worth nothing.
    [[nodiscard]] bool has_failed() const noexcept { return has_failed_; }

  private:
    std::array<std::uint64_t, 32> words_{}; // getentropy() gives 256 bytes at most
    std::size_t left_ = 0;
    bool has_failed_ = false;
};

} // namespace ebpfvm
