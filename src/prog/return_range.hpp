// What programs may return.
#pragma once

#include "ebpfvm/prog_type.hpp"

#include <cstdint>
#include <optional>

namespace ebpfvm::prog {

struct ReturnRange {
    std::int64_t min = 0;
    std::int64_t max = 0;
};

/// The values r0 may have at exit; none if any will do.
[[nodiscard]] inline std::optional<ReturnRange> return_range(ProgType, std::uint32_t) {
    return std::nullopt;
}

} // namespace ebpfvm::prog
