// What programs may return (tables/return_ranges.def).
#pragma once

#include "ebpfvm/prog_type.hpp"

#include <cstdint>
#include <optional>

namespace ebpfvm::prog {

/// Bounds of r0 as a signed 64-bit number, both inclusive.
struct ReturnRange {
    std::int64_t min = 0;
    std::int64_t max = 0;

    bool operator==(const ReturnRange&) const = default;
};

/// Nothing: programs of this type may return any number.
[[nodiscard]] std::optional<ReturnRange> return_range(ProgType type, std::uint32_t attach_type);

} // namespace ebpfvm::prog
