// DWARF 4 of a compiled program: how to unwind its frames, and its source lines.
#pragma once

#include "jit/debug/compiled.hpp"

#include <cstddef>
#include <vector>

namespace ebpfvm::jit {

/// Contents of .eh_frame with absolute addresses: one CIE, one FDE per function, the end mark.
/// Debuggers and libgcc read the same bytes.
[[nodiscard]] std::vector<std::byte> eh_frame_of(const Compiled& compiled);

struct DebugSections {
    std::vector<std::byte> info;
    std::vector<std::byte> abbrev;
    std::vector<std::byte> line;
};
/// One compilation unit with the functions and lines of the program. All empty if it has no line
/// information.
[[nodiscard]] DebugSections debug_sections_of(const Compiled& compiled);

} // namespace ebpfvm::jit
