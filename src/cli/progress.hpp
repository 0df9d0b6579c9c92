// A line on stderr that says how far a long run has come.
#pragma once

#include "cli/style.hpp"

#include <chrono>
#include <cstdint>

namespace ebpfvm::cli {

/// Prints at most twice a second. On a terminal the line overwrites itself.
class Progress {
  public:
    explicit Progress(bool is_on) : is_on_(is_on), is_terminal_(is_terminal(stderr)) {}

    /// `fraction`: 0..1 of the whole, negative if unknown.
    void update(std::uint64_t packets, double fraction);
    /// Leaves the terminal's line empty.
    void finish();

  private:
    using Clock = std::chrono::steady_clock;
    bool is_on_;
    bool is_terminal_;
    bool has_printed_ = false;
    Clock::time_point last_ = Clock::now();
};

} // namespace ebpfvm::cli
