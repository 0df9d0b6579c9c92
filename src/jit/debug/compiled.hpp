// A compiled program as those see it who look into its code.
#pragma once

#include "ebpfvm/object.hpp"
#include "jit/code_map.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ebpfvm::jit {

struct Compiled {
    std::span<const std::byte> code; ///< where it runs
    const CodeMap& map;
    const Program* program = nullptr; ///< null: code that belongs to none

    [[nodiscard]] std::uint64_t address(std::uint32_t off) const {
        return std::uint64_t(reinterpret_cast<std::uintptr_t>(code.data())) + off;
    }
};

/// A source line that the code from `off` on was made of.
struct LineRow {
    std::uint32_t off = 0;
    const LineInfo* line = nullptr;
};

/// The lines of a function, ascending; a new row only where the line changes, and behind the
/// prologue. Empty without line information.
[[nodiscard]] std::vector<LineRow> line_rows(const Compiled& compiled,
                                             const CodeMap::Function& function);

} // namespace ebpfvm::jit
