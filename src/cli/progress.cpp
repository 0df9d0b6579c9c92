// Tested by run_pcap_test.cpp.
#include "cli/progress.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace ebpfvm::cli {

void Progress::update(std::uint64_t packets, double fraction) {
    constexpr std::chrono::milliseconds kInterval{500};
    if (!is_on_ || Clock::now() - last_ < kInterval) {
        return;
    }
    last_ = Clock::now();
    has_printed_ = true;
    const std::string percent = fraction < 0 ? "" : fmt::format(" ({:.0f} %)", fraction * 100);
    fmt::print(stderr, "{}{} packets{}{}", is_terminal_ ? "\r" : "", packets, percent,
               is_terminal_ ? "\x1b[K" : "\n");
    std::fflush(stderr);
}

void Progress::finish() {
    if (has_printed_ && is_terminal_) {
        fmt::print(stderr, "\r\x1b[K");
    }
}

} // namespace ebpfvm::cli
